"""Labels from agreement: which photos are kept, what their label is, and that a run resumes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
cv2 = pytest.importorskip("cv2")

SIDE = 320


def disc(x: float, y: float, radius: float, value: float = 1.0) -> Any:
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return np.where(inside, value, 0).astype(np.float32)


def sheet(default: Any, u2net: Any, u2netp: Any) -> Any:
    return np.round(np.hstack([default, u2net, u2netp]) * 255).astype(np.uint8)


def label(default: Any, u2net: Any, u2netp: Any) -> tuple[Any, str]:
    from tools.training.teachers.agreement import label_of

    found: tuple[Any, str] = label_of(sheet(default, u2net, u2netp))
    return found


def test_what_all_teachers_see_alike_is_kept_as_it_is() -> None:
    one = disc(0.5, 0.5, 0.3)
    found, why = label(one, one, one)
    assert why == ""
    assert not found.contradicts
    assert np.abs(found.alpha - one).max() < 0.01


def test_a_default_that_lost_the_subject_is_overruled_by_two_that_agree() -> None:
    whole, lost = disc(0.5, 0.5, 0.3), disc(0.5, 0.5, 0.3) * disc(0.3, 0.5, 0.3)
    found, why = label(lost, whole, whole)
    assert why == ""
    assert found.contradicts
    assert (found.alpha >= 0.5)[whole > 0.5].mean() > 0.97


@pytest.mark.parametrize(
    ("teachers", "reason"),
    [
        ((disc(0.5, 0.5, 0.03),) * 3, "coverage"),
        ((np.ones((SIDE, SIDE), np.float32),) * 3, "coverage"),
        ((disc(0.5, 0.5, 0.3, 0.55),) * 3, "unsure"),
        ((disc(0.5, 0.5, 0.3), disc(0.5, 0.5, 0.25), disc(0.5, 0.5, 0.36)), "no two agree"),
    ],
)
def test_a_photo_is_left_out_with_its_reason(teachers: tuple[Any, ...], reason: str) -> None:
    found, why = label(*teachers)
    assert found is None
    assert why == reason


def test_where_the_default_sees_the_same_region_its_finer_edge_is_taken() -> None:
    smooth = cv2.GaussianBlur(disc(0.5, 0.5, 0.3), (0, 0), 4)
    fine = disc(0.5, 0.5, 0.3)
    found, _ = label(fine, smooth, smooth)
    edge = (smooth > 0.1) & (smooth < 0.9)
    assert np.abs(found.alpha - fine)[edge].mean() < 0.5 * np.abs(smooth - fine)[edge].mean()


def make_photos(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"photo_{i:03d}.png"), np.full((40, 60, 3), i, np.uint8))


def run_label(monkeypatch: pytest.MonkeyPatch, photos: Path, labels: Path) -> list[str]:
    """Run the command with teachers that only count; which of them were asked."""
    from tools.training.teachers import label as command

    asked: list[str] = []

    def fake(name: str) -> Any:
        def teacher(_rgb: Any) -> Any:
            asked.append(name)
            return disc(0.5, 0.5, 0.3)

        return teacher

    monkeypatch.setattr(command, "u2net", lambda path: fake(path.stem))
    monkeypatch.setattr(command, "ours", lambda path, _side: fake(path.stem))
    argv = ["label", str(photos), "--to", str(labels)]
    argv += ["--u2net", "u2net.onnx", "--u2netp", "u2netp.onnx", "--default", "default.onnx"]
    monkeypatch.setattr(sys, "argv", argv)
    command.main()
    return asked


def test_labelling_goes_on_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photos, labels = tmp_path / "snapshots" / "images", tmp_path / "labels"
    make_photos(photos, 5)
    first = run_label(monkeypatch, photos, labels)
    assert first.count("u2net") == first.count("u2netp") == 5
    assert first.count("default") == 10  # as it is and mirrored
    made = sorted((labels / "snapshots").glob("*.png"))
    made[2].unlink()
    assert run_label(monkeypatch, photos, labels).count("u2net") == 1
    assert run_label(monkeypatch, photos, labels) == []


def test_photos_reserved_for_validation_are_never_packed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tools.training import reserved
    from tools.training.store import Store
    from tools.training.teachers.agreement import labelled, pack

    photos, labels = tmp_path / "groups" / "images", tmp_path / "labels"
    make_photos(photos, 12)
    run_label(monkeypatch, photos, labels)
    monkeypatch.setitem(reserved.RESERVED, "groups", 4)
    kept_back = reserved.reserved(photos, "groups")
    assert len(kept_back) == 4
    assert pack(tmp_path / "set", labelled(labels, [photos], frozenset())) == 8
    store = Store(tmp_path / "set")
    names = {item.name.removeprefix("groups_") for item in store.items}
    assert len(names) == 8
    assert not names & kept_back
    pixels = store.pixels(store.items[0])
    assert pixels.shape == (40, 60, 4)
    assert pixels[20, 30, 3] == 255
    assert pixels[0, 0, 3] == 0

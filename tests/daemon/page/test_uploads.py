"""Photos sent through the page: what lands in ``in/``, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path

import pytest
from disk_calls import disk_calls
from fakes import ManualClock
from harness import PHOTO, files

from edge_matting.config import parse_settings
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.errors import FolderUnavailable
from edge_matting.core.jobs import Signature, Source
from edge_matting.daemon.page.uploads import IDLE_SECONDS, MAX_NAME_BYTES, MAX_OPEN, Uploads
from edge_matting.hotfolder.layout import prepare
from edge_matting.hotfolder.scan import FoundFile, scan
from edge_matting.ledger import Ledger
from edge_matting.status.interfaces import ActionRefused
from tools.waiting import wait_for


class Desk:
    """Uploads into one hot folder, and how often the intake was woken."""

    def __init__(self, root: Path, **limits: float) -> None:
        self.clock = ManualClock()
        settings = parse_settings(
            {
                "hot_folders": [{"path": str(root / "hot")}],
                "limits": {"min_free_mb": 0, **limits},
                "recipes": {"cutout": {}, "shop": {}},
            },
            root,
        )
        self.inbox = settings.hot_folders[0].inbox
        prepare(settings.hot_folders[0])
        self.woken = 0
        path = root / "ledger.sqlite"
        self.ledger = Ledger.open(path, clock=self.clock, max_attempts=3)
        self.uploads = Uploads(settings, self.ledger, self.clock, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    def send(
        self, name: str, data: bytes, recipe: str | None = None, **parameters: object
    ) -> str | None:
        upload = self.uploads.begin(name, len(data), recipe, 0, parameters)
        half = len(data) // 2
        if half:
            self.uploads.add(upload.id, 0, data[:half])
        return self.uploads.add(upload.id, half, data[half:]).file

    def everything(self) -> list[str]:
        return sorted(str(p.relative_to(self.inbox)) for p in self.inbox.rglob("*") if p.is_file())

    def take_in(self) -> dict[str, str | None]:
        """Make jobs of all that lies in in/, as the intake would; their parameters."""
        hot = str(self.inbox.parent)
        found = [
            entry for entry in scan(AnchoredFolder(self.inbox)) if isinstance(entry, FoundFile)
        ]
        self.ledger.enqueue([Source(hot, one.path, one.signature, "cutout") for one in found])
        return {job.source: job.parameters for job in self.ledger.jobs(None, 99)}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    with desk.ledger:
        yield desk


def refused(action: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(ActionRefused) as caught:
        action()
    return caught.value.code, int(caught.value.http_status)


def test_a_whole_photo_appears_at_once_and_the_intake_is_woken(desk: Desk) -> None:
    upload = desk.uploads.begin("a.jpg", 4, None, 0)
    desk.uploads.add(upload.id, 0, b"ab")
    assert files(desk.inbox) == []  # only a hidden, unfinished one
    assert desk.uploads.add(upload.id, 2, b"cd").file == "a.jpg"
    assert (desk.inbox / "a.jpg").read_bytes() == b"abcd"
    assert (desk.everything(), desk.woken) == (["a.jpg"], 1)


def test_the_answer_to_the_last_part_names_the_job_and_the_intake_makes_no_second_one(
    desk: Desk,
) -> None:
    upload = desk.uploads.begin("a.jpg", 4, "shop", 0)
    number = desk.uploads.add(upload.id, 0, b"abcd").job
    assert number is not None
    job = desk.ledger.get(number)
    assert job is not None
    assert (job.source, job.recipe) == ("shop/a.jpg", "shop")
    assert desk.take_in() == {"shop/a.jpg": None}


def test_another_recipe_is_chosen_by_its_sub_folder(desk: Desk) -> None:
    desk.send("a.jpg", b"abcd", "shop")
    desk.send("b.jpg", b"abcd", "cutout")  # the folder's own
    assert desk.everything() == ["b.jpg", "shop/a.jpg"]
    unknown = refused(lambda: desk.send("a.jpg", b"x", "../../etc"))
    assert unknown == ("bad_request", 400)


def test_a_photos_parameters_are_in_the_ledger_before_its_name_appears(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed just before the rename nothing is left of it, just after it nothing is missing."""

    def killed(_door: AnchoredFolder, staged: str, relative: str, *, replace: bool) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AnchoredFolder, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            desk.send("never.jpg", b"1234", feather=1)
    (left,) = [path for path in desk.inbox.iterdir() if path.name.startswith(".")]
    left.unlink()  # as the sweep at the start does
    desk.send("a.jpg", b"1234", feather=2.5, crop=True)
    (desk.inbox / "never.jpg").write_bytes(b"5678")
    assert desk.take_in() == {"a.jpg": '{"crop":true,"feather":2.5}', "never.jpg": None}
    assert desk.ledger.check() == []


def test_parameters_follow_the_photo_under_another_name_and_not_another_photo(desk: Desk) -> None:
    """Announced, and renamed before it could become a job: the ledger had no room just then."""
    (desk.inbox / "sub").mkdir()
    (desk.inbox / "a.jpg").write_bytes(b"1234")
    signature = Signature.of((desk.inbox / "a.jpg").lstat())
    desk.ledger.announce(str(desk.inbox.parent), signature, '{"feather":2}')
    (desk.inbox / "a.jpg").rename(desk.inbox / "sub" / "b.jpg")
    (desk.inbox / "a.jpg").write_bytes(b"another")
    assert desk.take_in() == {"sub/b.jpg": '{"feather":2}', "a.jpg": None}
    (desk.inbox / "sub" / "b.jpg").write_bytes(b"changed before it was begun")
    assert desk.take_in()["sub/b.jpg"] is None


def test_what_was_announced_and_never_came_is_forgotten_with_the_history(desk: Desk) -> None:
    signature = Signature(4, 5, 6)
    desk.ledger.announce(str(desk.inbox.parent), signature, '{"feather":1}')
    desk.clock.time += 100
    desk.ledger.prune(50)
    desk.ledger.enqueue([Source(str(desk.inbox.parent), "a.jpg", signature, "cutout")])
    (job,) = desk.ledger.jobs(None, 9)
    assert job.parameters is None


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"feather": "soft"}, "feather: expected a valid number, got 'soft'"),
        ({"feather": -1}, "feather: "),
        ({"feathr": 1}, "feathr: unknown key; did you mean feather?"),
        ({"crop": {"margn": 1}}, "crop.margn: unknown key; did you mean margin?"),
        ({"format": "gif"}, "format gif: expected 'png'"),
        ({"format": ["png"]}, "format ['png']: expected"),
        ({"background": {"image": "/etc/passwd"}}, "only a recipe of the configuration"),
        ({"feather": float("nan")}, "a number is not finite"),
        ({"outputs": []}, "outputs: list at least one output"),
        ({"crop": reduce(lambda inner, _: [inner], range(5000), [])}, "nested too deeply"),
    ],
)
def test_parameters_that_no_recipe_takes_are_refused_at_once(
    desk: Desk, parameters: dict[str, object], told: str
) -> None:
    with pytest.raises(ActionRefused, match="parameters: ") as caught:
        desk.uploads.begin("a.jpg", 4, None, 0, parameters)
    assert told in str(caught.value)
    assert (caught.value.code, desk.everything()) == ("bad_request", [])


def test_a_photo_that_waits_already_is_not_replaced(desk: Desk) -> None:
    assert [desk.send("a.jpg", data) for data in (b"1", b"2", b"3")] == [
        "a.jpg",
        "a~2.jpg",
        "a~3.jpg",
    ]
    assert (desk.inbox / "a.jpg").read_bytes() == b"1"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b.jpg", "../a.jpg", "/etc/passwd", "a\0.jpg", ".hidden.jpg", "a.part",
     "\ud800.jpg", "x" * (MAX_NAME_BYTES + 1)],
)  # fmt: skip
def test_a_name_that_is_no_plain_photo_name_is_refused(desk: Desk, name: str) -> None:
    assert refused(lambda: desk.uploads.begin(name, 4, None, 0)) == ("bad_request", 400)
    assert desk.everything() == []


@pytest.mark.parametrize("name", ['"><script>.jpg', "new\nline.jpg", "-rf", "猫.jpg", "noending"])
def test_an_odd_name_is_kept_as_it_is(desk: Desk, name: str) -> None:
    assert desk.send(name, b"abcd") == name
    assert desk.everything() == [name]


def test_size_and_free_space_are_limits(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    desk = Desk(tmp_path / "a", max_file_mb=0.001)
    assert refused(lambda: desk.uploads.begin("a.jpg", 1001, None, 0)) == ("too_large", 413)
    assert refused(lambda: desk.uploads.begin("a.jpg", 0, None, 0)) == ("too_large", 413)
    assert desk.uploads.begin("a.jpg", 1000, None, 0).received == 0
    huge = Desk(tmp_path / "b", max_file_mb=1e12)
    assert refused(lambda: huge.uploads.begin("a.jpg", 10**17, None, 0)) == ("disk_full", 507)


def test_parts_come_in_order_and_never_go_past_the_end(desk: Desk) -> None:
    upload = desk.uploads.begin("a.jpg", 4, None, 0)
    desk.uploads.add(upload.id, 0, b"ab")
    for offset, data in ((0, b"ab"), (3, b"d"), (2, b"cde"), (2, b"")):
        part = refused(lambda at=offset, d=data: desk.uploads.add(upload.id, at, d))
        assert part == ("wrong_part", 409)
    assert desk.uploads.add(upload.id, 2, b"cd").file == "a.jpg"
    assert refused(lambda: desk.uploads.add(upload.id, 4, b"x")) == ("no_such_upload", 404)


def test_what_nobody_goes_on_with_is_removed(desk: Desk) -> None:
    kept = desk.uploads.begin("kept.jpg", 4, None, 0)
    left = desk.uploads.begin("left.jpg", 4, None, 0)
    desk.clock.time += IDLE_SECONDS
    desk.uploads.add(kept.id, 0, b"ab")
    desk.clock.time += 1
    desk.uploads.step()
    assert len(desk.everything()) == 1
    assert refused(lambda: desk.uploads.add(left.id, 0, b"ab")) == ("no_such_upload", 404)
    desk.uploads.cancel(kept.id)
    assert desk.everything() == []


def test_other_settings_end_all_uploads(desk: Desk) -> None:
    for number in range(3):
        desk.uploads.begin(f"{number}.jpg", 4, None, 0)
    desk.uploads.close()
    assert desk.everything() == []


def test_the_number_of_open_uploads_is_bounded(desk: Desk) -> None:
    for number in range(MAX_OPEN):
        desk.uploads.begin(f"{number}.jpg", 4, None, 0)
    assert refused(lambda: desk.uploads.begin("more.jpg", 4, None, 0)) == ("busy", 503)


def test_a_folder_that_is_not_there_takes_nothing(desk: Desk) -> None:
    assert refused(lambda: desk.uploads.begin("a.jpg", 4, None, 1)) == ("bad_request", 400)
    upload = desk.uploads.begin("a.jpg", 4, None, 0)
    desk.inbox.rename(desk.inbox.with_name("away"))
    with pytest.raises(FolderUnavailable):
        desk.uploads.add(upload.id, 0, b"ab")
    assert refused(lambda: desk.uploads.begin("a.jpg", 4, None, 0)) == ("folder_unavailable", 503)


def test_an_uploaded_photo_is_done_like_a_dropped_one(appliance) -> None:
    box = appliance().start()
    data = PHOTO.read_bytes()
    status, upload = box.post("/api/v1/uploads", {"name": "sent.jpg", "size": len(data)})
    assert status == 201
    for offset in range(0, len(data), upload["part_bytes"]):
        part = data[offset : offset + upload["part_bytes"]]
        status, upload = box.put(f"/api/v1/uploads/{upload['id']}?offset={offset}", part)
        assert status == 200
    assert upload["file"] == "sent.jpg"
    assert box.wait_finished(1)["succeeded"] == 1
    assert files(box.outbox) == ["sent.json", "sent.png"]
    job = box.get("/api/v1/jobs")[1]["jobs"][0]["id"]
    assert box.page(f"/api/v1/jobs/{job}/files/0") == (box.outbox / "sent.png").read_bytes()
    wait_for(lambda: b"edge_matting_end_to_end_seconds_count 1.0" in box.page("/metrics"), "count")
    assert b'edge_matting_stage_seconds_count{stage="decode"} 1.0' in box.page("/metrics")


def test_the_last_part_is_synced_before_its_name_and_the_folder_after_it(desk: Desk) -> None:
    data = PHOTO.read_bytes()
    upload = desk.uploads.begin("a.jpg", len(data), None, 0, None)
    with disk_calls() as parts:
        desk.uploads.add(upload.id, 0, data[:1000])
    assert parts == []  # nothing is promised for a part
    with disk_calls() as last:
        desk.uploads.add(upload.id, 1000, data[1000:])
    syncs = [name for call, name in last if call == "sync"]
    assert syncs[0] == "*", "the file is synced under its temporary name"
    assert syncs[-1] == "in", "and the folder that holds its final name"
    assert desk.everything() == ["a.jpg"]

"""The cache in the story of one photo: what is answered, what is inferred, and what is told."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_model import MANIFEST, ResultShelf
from harness import PHOTO

from edge_matting.cache import MatteCache
from edge_matting.cli.main import main
from edge_matting.config import Recipe
from edge_matting.core.errors import InferenceFailed
from edge_matting.core.jobs import Done, StoredResult
from edge_matting.core.model_io import InputSize, ModelInput
from edge_matting.core.states import JobState
from edge_matting.engine.jobs.delivery import deliver
from edge_matting.pipeline import PhotoTask, PixelBudget, Tools
from edge_matting.pipeline.matte import matte_context
from edge_matting.runtimes import SessionInfo
from tools.bench.adversary.reexports import exposed, resized

MODEL = MANIFEST.model_copy(update={"input": ModelInput("x", InputSize(320, 320))})
WHOLE = PHOTO.read_bytes()
RGB = cv2.cvtColor(cv2.imread(str(PHOTO)), cv2.COLOR_BGR2RGB)


class CountingSession:
    """Answers every photo with one matte, and counts how often it was asked."""

    def __init__(self, faults: int = 0) -> None:
        self.runs = 0
        self.faults = faults
        self.pause = threading.Event()
        self.pause.set()
        matte = np.zeros((1, 1, 320, 320), np.float32)
        cv2.ellipse(matte[0, 0], (144, 200), (90, 120), 0, 0, 360, 1.0, -1)
        self._matte = cv2.GaussianBlur(matte[0, 0], (0, 0), 1.5)[np.newaxis, np.newaxis]
        self.info = SessionInfo("ort", "cpu", "cpu", "fp32", (320, 320), None)

    def run(self, _batch: np.ndarray) -> np.ndarray:
        self.runs += 1
        self.pause.wait(20)
        if self.faults:
            self.faults -= 1
            raise InferenceFailed("for once")
        return self._matte

    def warm(self) -> None:
        return None

    def describe(self) -> SessionInfo:
        return self.info

    def close(self) -> None:
        return None


class House:
    """A session, a cache and a shelf of results."""

    def __init__(self, **settings) -> None:
        self.cache = MatteCache(None, memory_bytes=10**7, disk_bytes=0, **settings)
        self.session = CountingSession()
        self.shelf = ResultShelf()
        self.told: list[str] = []

    def do(self, data: bytes, **recipe) -> Done:
        tools = Tools(self.session, MODEL, PixelBudget(10**8), self.told.append, self.cache)
        task = PhotoTask("a.jpg", data, Recipe.model_validate(recipe), 10**8)
        return deliver(task, tools, self.shelf)


def jpeg(rgb: np.ndarray, quality: int = 85) -> bytes:
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.fixture
def house() -> House:
    made = House()
    made.do(WHOLE)
    assert made.session.runs == 1
    return made


def test_a_new_photo_is_a_miss_and_its_time_is_told():
    house = House()
    done = house.do(WHOLE)
    assert done.result.cache == "miss"
    assert done.result.cache_evidence == {}
    assert set(done.result.seconds) >= {"cache", "infer"}


def test_the_same_pixels_in_another_file_get_the_stored_matte(house):
    done = house.do(WHOLE + b"more metadata")
    assert done.result.cache == "matte"
    assert "infer" not in done.result.seconds
    assert house.session.runs == 1


def test_another_recipe_is_finished_anew_from_the_stored_matte(house):
    done = house.do(WHOLE, outputs=({"kind": "alpha"}, {"kind": "composite", "format": "jpg"}))
    assert done.result.cache == "matte"
    assert [file.kind for file in house.shelf.published[-1].files] == ["alpha", "composite"]
    assert house.session.runs == 1


def test_a_stored_matte_gives_the_outputs_that_a_fresh_one_gives(house):
    house.do(WHOLE + b"again", outputs=({"kind": "alpha"},))
    stored = house.shelf.published[-1].files[0].data
    fresh = House()
    fresh.do(WHOLE, outputs=({"kind": "alpha"},))
    ours, theirs = (
        cv2.imdecode(np.frombuffer(data, np.uint8), -1).astype(int)
        for data in (stored, fresh.shelf.published[-1].files[0].data)
    )
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.5, 2.0])
def test_a_reexport_is_finished_at_its_own_size_from_its_own_pixels(house, factor):
    picture = resized(RGB, factor) if factor != 1 else RGB
    done = house.do(jpeg(picture))
    assert done.result.cache == "perceptual"
    assert done.result.source_size == (picture.shape[1], picture.shape[0])
    assert set(done.result.cache_evidence) == {
        *("phash", "dhash", "difference", "patch", "colour", "gain", "drift")
    }
    cutout = cv2.imdecode(np.frombuffer(house.shelf.published[-1].files[0].data, np.uint8), -1)
    assert cutout.shape[:2] == picture.shape[:2]
    assert house.session.runs == 1


def test_an_edit_is_refused_inferred_and_its_distances_told(house):
    edited = RGB.copy()
    cv2.circle(edited, (230, 330), 14, (200, 30, 30), -1)
    done = house.do(jpeg(edited))
    assert done.result.cache == "miss"
    assert done.result.cache_evidence["difference"] > 7
    assert house.session.runs == 2


def test_a_photo_unlike_any_other_is_plainly_a_miss(house):
    done = house.do(jpeg(np.ascontiguousarray(RGB[::-1])))
    assert (done.result.cache, done.result.cache_evidence) == ("miss", {})


def test_likeness_can_be_switched_off():
    house = House(perceptual=False)
    house.do(WHOLE)
    assert house.do(jpeg(RGB)).result.cache == "miss"
    assert house.do(WHOLE + b".").result.cache == "matte"


def test_a_global_change_of_exposure_shares_the_matte(house):
    assert house.do(jpeg(exposed(RGB, 0.97, 2.0), 95)).result.cache == "perceptual"


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": (256, 256)},
        {"precision": "int8"},
        {"actual_provider": "cuda"},
    ],
)
def test_a_matte_made_in_another_way_never_serves(house, change):
    house.session.info = replace(house.session.info, **change)
    assert house.do(WHOLE + b".").result.cache == "miss"


def test_providers_of_one_class_share_their_mattes():
    info = CountingSession().info
    contexts = [
        matte_context(MODEL, replace(info, actual_provider=provider))
        for provider in ("cpu", "cuda", "tensorrt")
    ]
    assert contexts[0] != contexts[1]
    assert contexts[1] == contexts[2]
    other = MODEL.model_copy(update={"sha256": "1" * 64})
    assert matte_context(other, info).partition("/")[0] == "1" * 64
    changed = ModelInput("x", InputSize(320, 320), mean=(0.5, 0.5, 0.5))
    assert matte_context(MODEL.model_copy(update={"input": changed}), info) != contexts[0]


def test_doubles_that_come_at_once_are_inferred_once():
    house = House()
    house.session.pause.clear()
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda data: found.append(house.do(data).result.cache),
            args=(WHOLE + bytes(n),),
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    threading.Event().wait(1.5)
    house.session.pause.set()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == ["matte", "matte", "matte", "miss"]
    assert house.session.runs == 1
    assert "wait" in house.told


def test_a_double_of_a_photo_that_failed_is_inferred_itself():
    house = House()
    house.session.faults = 1
    with pytest.raises(InferenceFailed):
        house.do(WHOLE)
    assert house.do(WHOLE).result.cache == "miss"


def test_the_same_bytes_are_answered_by_the_note_where_the_ledger_knows_nothing(house):
    done = house.do(WHOLE)
    assert done.result.cache == "exact"
    (stored,) = house.shelf.copied
    assert isinstance(stored, StoredResult)
    assert (stored.state, stored.root) == (JobState.SUCCEEDED, "/out")


def test_outputs_that_are_gone_are_made_anew_from_the_stored_matte(house):
    house.shelf.intact = False
    assert house.do(WHOLE).result.cache == "matte"


def test_a_result_that_must_not_be_reused_is_not_looked_for(house):
    house.shelf.reuses = False
    assert house.do(WHOLE).result.cache == "matte"


# -- the command ----------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A state dir of this user, a config, and two photos."""
    (tmp_path / "state").mkdir()
    (tmp_path / "c.yaml").write_text("state_dir: state\nlimits: {min_free_mb: 1}\n")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(WHOLE)
    (tmp_path / "photos" / "b.jpg").write_bytes(jpeg(np.ascontiguousarray(RGB[:, ::-1])))
    return tmp_path


def processed(home: Path, out: str, *more: str) -> dict[str, str]:
    """Source to what the cache said."""
    command = ["process", str(home / "photos"), "-o", str(home / out), "-c", str(home / "c.yaml")]
    assert main([*command, *more]) == 0
    sidecars = [json.loads(path.read_text()) for path in (home / out).rglob("*.json")]
    return {sidecar["source"]: sidecar["cache"] for sidecar in sidecars}


def test_process_answers_a_new_folder_from_the_cache_on_disk(home):
    assert processed(home, "one") == {"a.jpg": "miss", "b.jpg": "miss"}
    (home / "photos" / "a.jpg").rename(home / "photos" / "new name.jpg")
    (home / "photos" / "b.jpg").write_bytes(jpeg(RGB, 80))
    assert processed(home, "two") == {"new name.jpg": "exact", "b.jpg": "perceptual"}
    (same,) = {(home / f).read_bytes() for f in ("one/a.png", "two/new name.png")}
    assert same
    assert processed(home, "three", "--no-cache") == {"new name.jpg": "miss", "b.jpg": "miss"}
    off = processed(home, "four", "--set", "cache.enabled=false")
    assert off == {"new name.jpg": "miss", "b.jpg": "miss"}


def test_process_never_answers_with_outputs_that_were_altered(home):
    processed(home, "one")
    (home / "one" / "a.png").write_bytes(b"painted over")
    (home / "one" / "b.png").unlink()
    assert processed(home, "two") == {"a.jpg": "matte", "b.jpg": "matte"}
    assert (home / "two" / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_process_leaves_no_files_in_a_state_dir_that_is_not_its_users(home, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert processed(home, "one") == {"a.jpg": "miss", "b.jpg": "miss"}
    assert not (home / "state" / "cache").exists()

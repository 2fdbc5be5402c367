"""One photo's story with a fake session, the reading of sources, and admission by pixels."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from importlib import import_module

import cv2
import numpy as np
import pytest
from fake_model import MANIFEST, FakeSession
from harness import PHOTO

from edge_matting.config import Recipe
from edge_matting.core.anchored import anchored_file
from edge_matting.core.errors import (
    InferenceFailed,
    SourceChanged,
    SourceGone,
    SourceUnreadable,
    TooLarge,
)
from edge_matting.core.jobs import Signature
from edge_matting.core.states import JobState
from edge_matting.imaging.header import Header, read_header
from edge_matting.pipeline import PhotoTask, PixelBudget, Tools, process_photo
from edge_matting.pipeline.read_source import read_source


def half() -> np.ndarray:
    """A subject that fills the left half."""
    matte = np.zeros((32, 32))
    matte[:, :16] = 1
    return matte


def tools(matte: np.ndarray, stages: list[str] | None = None) -> Tools:
    noted = stages if stages is not None else []
    return Tools(FakeSession(matte), MANIFEST, PixelBudget(10**6), noted.append)


def task(data: bytes = PHOTO.read_bytes(), **recipe) -> PhotoTask:
    return PhotoTask("a.jpg", data, Recipe.model_validate(recipe), 10**7, thumbnail=True)


def test_the_stages_come_in_order_and_are_timed():
    stages: list[str] = []
    photo = process_photo(task(), tools(half(), stages))
    assert stages == ["digest", "decode", "infer", "ground", "refine", "assess", "encode"]
    assert photo.state is JobState.SUCCEEDED
    assert set(photo.result.seconds) >= {*stages, "total"}
    assert photo.result.execution.resolution == (32, 32)
    assert photo.result.source_size == (512, 512)
    assert photo.result.sha256 == hashlib.sha256(PHOTO.read_bytes()).hexdigest()
    assert photo.thumbnail is not None
    assert process_photo(replace(task(), thumbnail=False), tools(half())).thumbnail is None


def test_the_header_of_a_photo_is_read_once(monkeypatch):
    read = []

    def counted(data: bytes, name: str) -> Header:
        read.append(name)
        return read_header(data, name)

    for module in ("edge_matting.imaging.decode", "edge_matting.pipeline.photo"):
        monkeypatch.setattr(import_module(module), "read_header", counted)
    process_photo(task(), tools(half()))
    assert read == ["a.jpg"]


def test_every_output_of_the_recipe_comes_from_one_inference():
    kinds = ["cutout", "alpha", "composite", "trimap", "foreground", "preview"]
    outputs = tuple({"kind": kind} for kind in kinds)
    files = process_photo(task(outputs=outputs), tools(half())).files
    assert [file.kind for file in files] == kinds
    decoded = {
        file.kind: cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_UNCHANGED)
        for file in files
    }
    assert decoded["cutout"].shape == (512, 512, 4)
    assert not decoded["cutout"][:, 400:].any()
    assert decoded["alpha"][256, 100] == 255
    assert decoded["alpha"][256, 400] == 0
    assert decoded["composite"][256, 400].tolist() == [255, 255, 255]
    assert set(np.unique(decoded["trimap"])) == {0, 128, 255}
    assert decoded["preview"].shape[1] == 2 * decoded["preview"].shape[0]


@pytest.mark.parametrize("refinement", ["none", "fast", "auto", "quality"])
def test_refinement_and_foreground_can_be_switched(refinement):
    recipe = {"refinement": refinement, "foreground": False, "colour": "srgb", "metadata": "none"}
    assert process_photo(task(**recipe), tools(half())).state is JobState.SUCCEEDED


def test_no_subject_goes_to_review():
    photo = process_photo(task(), tools(np.zeros((32, 32))))
    assert photo.state is JobState.REVIEW
    assert photo.result.quality.reasons == ("no_subject",)


def test_what_was_transparent_stays_transparent():
    rgba = np.full((64, 64, 4), 200, np.uint8)
    rgba[..., 3] = 255
    rgba[:32, :, 3] = 0
    data = cv2.imencode(".png", rgba)[1].tobytes()
    (file,) = process_photo(task(data), tools(np.ones((32, 32)))).files
    cutout = cv2.imdecode(np.frombuffer(file.data, np.uint8), -1)
    assert not cutout[:31].any()
    assert (cutout[33:, :, 3] == 255).all()


def test_a_model_that_gives_no_numbers_gives_no_outputs():
    with pytest.raises(InferenceFailed):
        process_photo(task(), tools(np.full((32, 32), np.nan)))


def test_a_source_is_read_only_if_it_is_the_file_that_settled(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"12345")
    settled = Signature.of(path.lstat())
    assert read_source(anchored_file(path), settled, 100) == b"12345"
    with pytest.raises(TooLarge, match="the limit is"):
        read_source(anchored_file(path), settled, 4)
    path.write_bytes(b"123456")
    with pytest.raises(SourceChanged):
        read_source(anchored_file(path), settled, 100)


def test_a_source_that_changes_while_it_is_read_is_not_used(tmp_path, monkeypatch):
    """The bytes would be of two photos, or of half a one."""
    module = import_module("edge_matting.pipeline.read_source")
    path = tmp_path / "a.jpg"
    read = module._read

    def growing(name, descriptor, size):
        data = read(name, descriptor, size)
        with path.open("ab") as file:
            file.write(b"more")
        return data

    def rewritten(name, descriptor, size):
        data = read(name, descriptor, size)
        path.write_bytes(b"54321")
        os.utime(path, ns=(0, 0))
        return data

    def cut_short(name, descriptor, size):
        return read(name, descriptor, size)[:-1]  # as a network file system may

    for meanwhile in (growing, rewritten, cut_short):
        path.write_bytes(b"12345")
        monkeypatch.setattr(module, "_read", meanwhile)
        with pytest.raises(SourceChanged, match="while it was read"):
            read_source(anchored_file(path), None, 100)


def test_nothing_but_a_regular_file_is_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(PHOTO)
    for name in ("fifo", "folder", "link", "none"):
        with pytest.raises(SourceGone):
            read_source(anchored_file(tmp_path / name), None, 100)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_source_is_not_its_own_fault(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"1")
    path.chmod(0)
    with pytest.raises(SourceUnreadable):
        read_source(anchored_file(path), None, 100)


def test_waiting_for_room_is_a_sign_of_life(monkeypatch):
    monkeypatch.setattr("edge_matting.pipeline.admission.WAIT_SECONDS", 0.01)
    gate = PixelBudget(10)
    waited = threading.Event()

    def second() -> None:
        with gate.admit(10, waited.set):
            pass

    with gate.admit(10, lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
    thread.join(10)
    assert not thread.is_alive()


def test_the_gate_bounds_the_pixels_inside_and_lets_a_giant_in_alone():
    gate = PixelBudget(100)
    inside: list[int] = []
    most = []
    lock = threading.Lock()

    def work(pixels: int) -> None:
        with gate.admit(pixels, lambda: None):
            with lock:
                inside.append(pixels)
                most.append(sum(inside))
                if pixels > 100:
                    assert inside == [pixels]
            threading.Event().wait(0.005)
            with lock:
                inside.remove(pixels)

    threads = [
        threading.Thread(target=work, args=(pixels,)) for pixels in (60, 30, 50, 40, 500, 70, 10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert inside == []
    assert max(total for total in most if total != 500) <= 100

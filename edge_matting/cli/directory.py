"""Photos found under paths, and their results in one directory; the sidecars are the memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_matting import __version__
from edge_matting.cache import content_digest
from edge_matting.cli.output import complain
from edge_matting.config import Recipe
from edge_matting.core.durable import make_folders
from edge_matting.core.errors import Blocked, ConfigError, FolderUnavailable
from edge_matting.core.jobs import Job, Original, Output, Place, Result, Signature, StoredResult
from edge_matting.core.logs import shown
from edge_matting.core.naming import conflicting_stems, stem_candidates
from edge_matting.core.states import JobState
from edge_matting.hotfolder.scan import FoundFile, scan
from edge_matting.pipeline import FinishedPhoto
from edge_matting.publish import (
    build_sidecar,
    copy_result,
    named_outputs,
    publish_result,
    read_sidecar,
    remove_result,
    renamed_outputs,
    result_intact,
    sidecar_name,
)


@dataclass(frozen=True, slots=True)
class InputPhoto:
    """A file to do; ``relative`` decides its name and sub-folder among the results."""

    path: Path
    relative: str


def find_photos(paths: Sequence[Path], out: Path) -> list[InputPhoto]:
    """Every photo under ``paths``, folders recursively, in a stable order.

    ``ConfigError`` for a path that is not there, or a folder that would take its own results in.
    """
    photos: list[InputPhoto] = []
    for path in paths:
        if path.is_dir():
            if out.resolve().is_relative_to(path.resolve()):
                raise ConfigError(f"--out {out}: lies inside {path}, whose photos it would join")
            photos += sorted(_in_folder(path), key=lambda photo: photo.relative)
        elif path.is_file():
            photos.append(InputPhoto(path, path.name))
        else:
            raise ConfigError(f"{path}: there is no such file or folder")
    return list({photo.path.resolve(): photo for photo in reversed(photos)}.values())[::-1]


def _in_folder(folder: Path) -> list[InputPhoto]:
    photos = []
    try:
        for entry in scan(folder):
            if isinstance(entry, FoundFile):
                photos.append(InputPhoto(folder / entry.path, entry.path))
            else:
                complain(f"{shown(folder / entry.path)}: {entry.reason}")
    except FolderUnavailable as error:
        raise ConfigError(str(error)) from error
    return photos


class Places:
    """Names under one results directory, given out once; shared by all worker threads."""

    def __init__(self, out: Path, recipe: str, *, reuse: bool) -> None:
        self.out = out
        self.recipe = recipe
        self.reuses = reuse
        self._taken: dict[str, InputPhoto] = {}
        self._made: dict[tuple[str, str, str], StoredResult] = {}
        self._lock = threading.Lock()

    def root(self, state: JobState) -> Path:
        return self.out / "review" if state is JobState.REVIEW else self.out

    def made_root(self, state: JobState) -> Path:
        """The root for results of that state, made where it is missing."""
        root = self.root(state)
        make_folders(root)
        return root

    def stem(self, photo: InputPhoto) -> str:
        """The photo's output name: free in this run, and not another source's from an earlier."""
        with self._lock:
            for stem in stem_candidates(photo.relative):
                if self._is_free(stem, photo):
                    self._taken[stem] = photo
                    return stem
        raise AssertionError("candidates never end")  # pragma: no cover

    def remember(self, key: tuple[str, str, str], result: StoredResult) -> None:
        with self._lock:
            self._made.setdefault(key, result)

    def recall(self, key: tuple[str, str, str]) -> StoredResult | None:
        with self._lock:
            return self._made.get(key)

    def _is_free(self, stem: str, photo: InputPhoto) -> bool:
        if any(other in self._taken for other in conflicting_stems(stem)):
            return self._taken.get(stem) is photo
        sources = [earlier_sidecar(self.root(state), stem).get("source") for state in RESULT_STATES]
        return all(source in {None, photo.relative} for source in sources)


RESULT_STATES = (JobState.SUCCEEDED, JobState.REVIEW)


def earlier_sidecar(root: Path, stem: str) -> dict[str, Any]:
    """A sidecar's content; empty where there is none that can be read."""
    try:
        return read_sidecar(root / sidecar_name(stem)) or {}
    except (Blocked, OSError):
        return {}


def sidecar_outputs(sidecar: dict[str, Any]) -> tuple[Output, ...]:
    """The outputs a sidecar lists; empty where it is not one of ours."""
    try:
        return tuple(
            Output(item["file"], item["kind"], item["format"], item["sha256"])
            for item in sidecar["outputs"]
        )
    except (KeyError, TypeError):
        return ()


class DirectoryResults:
    """`engine.jobs.source.Results` of one photo of the one-shot command."""

    def __init__(
        self, places: Places, photo: InputPhoto, recipe: Recipe, model_sha256: str
    ) -> None:
        self._places = places
        self._photo = photo
        self._recipe_key = recipe.key()
        self._model_sha256 = model_sha256
        self._stem = places.stem(photo)

    def done_before(self, data: bytes) -> bool:
        """Whether a complete result of these bytes, recipe and model lies there already."""
        for state in RESULT_STATES:
            root = self._places.root(state)
            sidecar = earlier_sidecar(root, self._stem)
            if not sidecar:
                continue  # a new photo is digested by the pipeline, once
            made_from = (
                sidecar.get("source_sha256"),
                sidecar.get("recipe_key"),
                sidecar.get("model", {}).get("sha256"),
            )
            wanted = (content_digest(data), self._recipe_key, self._model_sha256)
            if made_from == wanted and result_intact(root, sidecar_outputs(sidecar)):
                return True
        return False

    @property
    def reuses(self) -> bool:
        return self._places.reuses

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        return self._places.recall((sha256, recipe_key, model_sha256))

    def copy(self, stored: StoredResult, result: Result) -> StoredResult | None:
        origin = self._places.root(stored.state) if stored.root is None else Path(stored.root)
        copied = replace(result, outputs=renamed_outputs(self._stem, stored.result.outputs))
        root = self._places.made_root(stored.state)
        sidecar = self._sidecar(copied)
        if not copy_result(origin, stored.result.outputs, root, self._stem, sidecar):
            return None
        self._remove_other(stored.state)
        return self._stored(stored.state, copied)

    def publish(self, photo: FinishedPhoto) -> StoredResult:
        result = replace(photo.result, outputs=named_outputs(self._stem, photo.files))
        root = self._places.made_root(photo.state)
        publish_result(root, self._stem, result.outputs, photo.files, self._sidecar(result))
        self._remove_other(photo.state)
        stored = self._stored(photo.state, result)
        self._places.remember((result.sha256, result.recipe_key, result.model_sha256), stored)
        return stored

    def keep_thumbnail(self, jpeg: bytes) -> None:
        raise NotImplementedError  # there is no page, so no task asks for one

    def _stored(self, state: JobState, result: Result) -> StoredResult:
        root = str(self._places.root(state).absolute())
        return StoredResult(state, str(self._places.out), result, root=root)

    def _remove_other(self, state: JobState) -> None:
        """An earlier verdict on the same photo does not stay beside the new one."""
        for other in RESULT_STATES:
            if other is not state:
                root = self._places.root(other)
                outputs = sidecar_outputs(earlier_sidecar(root, self._stem))
                if outputs:
                    remove_result(root, self._stem, outputs)

    def _sidecar(self, result: Result) -> bytes:
        job = Job(
            id=0,  # there is no ledger here
            folder=str(self._places.out),
            source=self._photo.relative,
            signature=Signature(0, 0, 0),
            recipe=self._places.recipe,
            state=JobState.RUNNING,
            attempts=1,
            alone=False,
            stem=self._stem,
            original=Original(Place.IN, self._photo.relative),
        )
        return build_sidecar(job, result, time.time(), __version__)

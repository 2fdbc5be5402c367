"""Photos found under paths, and their results in one directory; the sidecars are the memory."""

from __future__ import annotations

import posixpath
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from edge_matting import __version__
from edge_matting.cache import content_digest
from edge_matting.cli.output import complain
from edge_matting.config import Recipe
from edge_matting.core.anchored import MAX_SAME_NAME, AnchoredFolder
from edge_matting.core.durable import make_folders
from edge_matting.core.errors import ConfigError, TemporaryError
from edge_matting.core.jobs import Job, Original, Output, Place, Result, Signature, StoredResult
from edge_matting.core.logs import shown
from edge_matting.core.naming import conflicting_stems, numbered_stem, stem_candidates
from edge_matting.core.states import JobState
from edge_matting.hotfolder.scan import FoundFile, scan
from edge_matting.pipeline import FinishedPhoto
from edge_matting.publish import (
    copy_result,
    describe_result,
    digest_of,
    publish_result,
    read_sidecar,
    remove_result,
    result_intact,
    sidecar_outputs,
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
            if _is_result(path, out):
                complain(f"{shown(path)}: is a result of an earlier run; left out")
            else:
                photos.append(InputPhoto(path, path.name))
        else:
            raise ConfigError(f"{path}: there is no such file or folder")
    return list({photo.path.resolve(): photo for photo in reversed(photos)}.values())[::-1]


def _is_result(path: Path, out: Path) -> bool:
    """Whether a sidecar beside the file tells that it was made from another one."""
    if not path.resolve().is_relative_to(out.resolve()):
        return False
    folder = AnchoredFolder(path.parent)
    stem, dot, _extension = path.name.rpartition(".")
    while dot:  # a.alpha.png is of a.json
        listed = sidecar_outputs(read_sidecar(folder, stem) or {})
        digests = {output.sha256 for output in listed if output.file.endswith(path.name)}
        if digests and digest_of(folder, path.name) in digests:
            return True
        stem, dot, _extension = stem.rpartition(".")
    return False


def _in_folder(folder: Path) -> list[InputPhoto]:
    photos = []
    try:
        for entry in scan(AnchoredFolder(folder)):
            if isinstance(entry, FoundFile):
                photos.append(InputPhoto(folder / entry.path, entry.path))
            else:
                complain(f"{shown(folder / entry.path)}: {entry.reason}")
    except TemporaryError as error:
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

    def door(self, state: JobState) -> AnchoredFolder:
        return AnchoredFolder(self.root(state))

    def made_root(self, state: JobState) -> AnchoredFolder:
        """The root for results of that state, made where it is missing."""
        make_folders(self.root(state))
        return self.door(state)

    def stem(self, photo: InputPhoto) -> str:
        """The photo's output name, as far as this run knows: asked for in the photos' order."""
        with self._lock:
            for stem in stem_candidates(photo.relative):
                if self._take(stem, photo):
                    return stem
        raise AssertionError("candidates never end")  # pragma: no cover

    def stem_for(self, photo: InputPhoto, stem: str, sha256: str) -> str:
        """``stem``, or the next one under which no other photo's result lies.

        The bytes tell which photo it is: two cards may both hold an ``IMG_0001.jpg``.
        """
        with self._lock:
            for name in chain([stem], stem_candidates(photo.relative)):
                if not self._is_of_another(name, sha256) and self._take(name, photo):
                    return name
        raise AssertionError("candidates never end")  # pragma: no cover

    def earlier(self, photo: InputPhoto, stem: str) -> Iterator[EarlierResult]:
        """Results that lie under the photo's names, of whatever photo."""
        for name in dict.fromkeys((stem, *islice(stem_candidates(photo.relative), LOOKED_AT))):
            folder, base = posixpath.split(name)
            missing = 0  # in a row, for a number may be somebody else's file
            for number in range(1, MAX_SAME_NAME):
                found = list(self._lying_at(posixpath.join(folder, numbered_stem(base, number))))
                yield from found
                missing = 0 if found else missing + 1
                if missing >= LOOKED_AT:
                    break

    def remember(self, key: tuple[str, str, str], result: StoredResult) -> None:
        with self._lock:
            self._made.setdefault(key, result)

    def recall(self, key: tuple[str, str, str]) -> StoredResult | None:
        with self._lock:
            return self._made.get(key)

    def _take(self, stem: str, photo: InputPhoto) -> bool:
        if any(self._taken.get(other, photo) is not photo for other in conflicting_stems(stem)):
            return False
        self._taken[stem] = photo
        return True

    def _is_of_another(self, stem: str, sha256: str) -> bool:
        return any(found.sha256 != sha256 for found in self._lying_at(stem))

    def _lying_at(self, stem: str) -> Iterator[EarlierResult]:
        for state in RESULT_STATES:
            try:
                sidecar = read_sidecar(self.door(state), stem)
            except TemporaryError:  # not made yet, or told when it is to be written to
                continue
            if sidecar is not None:
                yield EarlierResult(state, stem, sidecar)


RESULT_STATES: Final = (JobState.SUCCEEDED, JobState.REVIEW)
LOOKED_AT: Final = 3
"""So many names of a photo, or numbers of a name, are looked under in vain for its results."""


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """A result that lies there, as its sidecar tells."""

    state: JobState
    stem: str
    sidecar: dict[str, Any]

    @property
    def sha256(self) -> object:
        """Of the source."""
        return self.sidecar.get("source_sha256")

    @property
    def outputs(self) -> tuple[Output, ...]:
        return sidecar_outputs(self.sidecar)


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
        earlier = list(self._places.earlier(self._photo, self._stem))
        if not earlier:
            return False  # a new photo is digested by the pipeline, once
        sha256 = content_digest(data)
        return any(
            found.sha256 == sha256
            and found.sidecar.get("recipe_key") == self._recipe_key
            and _model_of(found.sidecar) == self._model_sha256
            and result_intact(self._places.door(found.state), found.outputs)
            for found in earlier
        )

    @property
    def reuses(self) -> bool:
        return self._places.reuses

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        return self._places.recall((sha256, recipe_key, model_sha256))

    def copy(self, stored: StoredResult, result: Result) -> StoredResult | None:
        source = self._places.root(stored.state) if stored.root is None else Path(stored.root)
        earlier = self._earlier(result)
        outputs = copy_result(
            AnchoredFolder(source),
            stored.result.outputs,
            self._places.made_root(stored.state),
            self._stem,
            self._description(result),
            is_ours=_of(result),
        )
        if outputs is None:
            return None
        self._remove_other(stored.state, earlier)
        return self._stored(stored.state, replace(result, outputs=outputs))

    def publish(self, photo: FinishedPhoto) -> StoredResult:
        result = photo.result
        earlier = self._earlier(result)
        outputs = publish_result(
            self._places.made_root(photo.state),
            self._stem,
            photo.files,
            self._description(result),
            is_ours=_of(result),
        )
        self._remove_other(photo.state, earlier)
        stored = self._stored(photo.state, replace(result, outputs=outputs))
        self._places.remember((result.sha256, result.recipe_key, result.model_sha256), stored)
        return stored

    def keep_thumbnail(self, jpeg: bytes) -> None:
        raise NotImplementedError  # there is no page, so no task asks for one

    def _stored(self, state: JobState, result: Result) -> StoredResult:
        root = str(self._places.root(state).absolute())
        return StoredResult(state, str(self._places.out), result, root=root)

    def _earlier(self, result: Result) -> list[EarlierResult]:
        """What lies there of the same photo; its name is decided with it."""
        earlier = self._places.earlier(self._photo, self._stem)
        same = [found for found in earlier if found.sha256 == result.sha256]
        self._stem = self._places.stem_for(self._photo, self._stem, result.sha256)
        return same

    def _remove_other(self, state: JobState, earlier: list[EarlierResult]) -> None:
        """An earlier verdict on the same photo does not stay beside the new one."""
        for found in earlier:
            if found.state is not state and found.outputs:
                remove_result(self._places.door(found.state), found.stem, found.outputs)

    def _description(self, result: Result) -> Mapping[str, Any]:
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
        return describe_result(job, result, time.time(), __version__)


def _of(result: Result) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a sidecar is of the same bytes."""
    return lambda sidecar: bool(sidecar.get("source_sha256") == result.sha256)


def _model_of(sidecar: Mapping[str, Any]) -> object:
    model = sidecar.get("model")
    return model.get("sha256") if isinstance(model, dict) else None

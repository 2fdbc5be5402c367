"""The story of one photo, from its bytes to its published outputs."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from edge_matting.cache import MatteCache, content_digest
from edge_matting.config import Recipe
from edge_matting.core.errors import SourceChanged
from edge_matting.core.jobs import Done, Execution, Quality, Result, Signature, StoredResult
from edge_matting.core.logs import shown
from edge_matting.core.states import JobState
from edge_matting.imaging import (
    PREVIEW_HEIGHT,
    Header,
    Photo,
    before_after,
    check_limits,
    decode,
    read_header,
)
from edge_matting.matting import Look, assess, halved, refine
from edge_matting.models import Manifest
from edge_matting.pipeline.admission import PixelBudget
from edge_matting.pipeline.batching import on_its_way
from edge_matting.pipeline.matte import Matted, matte, second_look
from edge_matting.pipeline.outputs import render_outputs
from edge_matting.publish import EncodedOutput
from edge_matting.runtimes import Session

log = logging.getLogger(__name__)

_SMALL = (PREVIEW_HEIGHT, PREVIEW_HEIGHT)  # least sides; the gate looks at less


@dataclass(frozen=True, slots=True)
class PhotoTask:
    """What one photo needs to be done; paths are absolute."""

    path: Path
    source: str
    signature: Signature | None
    recipe: Recipe
    max_pixels: int


class Results(Protocol):
    """Where results are looked up and published."""

    @property
    def reuses(self) -> bool:
        """Whether earlier results may be published again."""

    def root(self, state: JobState) -> Path:
        """What the outputs of results in that state are relative to."""

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        """An earlier result for the same bytes, recipe and model."""

    def reuse(self, stored: StoredResult, result: Result) -> Result | None:
        """Publish copies of a stored result's files; None when they are missing or altered."""

    def publish(self, state: JobState, files: tuple[EncodedOutput, ...], result: Result) -> Result:
        """Publish the files and the sidecar; the result with its outputs filled in."""

    @property
    def shows_previews(self) -> bool:
        """Whether small before/after pictures are wanted."""

    def preview(self, jpeg: bytes) -> None:
        """Keep a small before/after picture for the page."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the stages work with; made once per engine."""

    session: Session
    manifest: Manifest
    gate: PixelBudget
    progress: Callable[[str], None]
    cache: MatteCache | None = None


@dataclass(slots=True)
class Stopwatch:
    """Seconds per stage, and a sign of life to the supervisor as each one begins."""

    progress: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def reading(self) -> dict[str, float]:
        total = time.perf_counter() - self.started
        return {name: round(value, 4) for name, value in (*self.seconds.items(), ("total", total))}


def process_photo(task: PhotoTask, tools: Tools, results: Results, data: bytes) -> Done:
    """Do one photo whose bytes were read; raises a ``JobError`` when it cannot be done."""
    watch = Stopwatch(tools.progress)
    with watch.stage("digest"):
        sha256 = content_digest(data)
    reused = _reuse(task, tools, results, sha256, watch)
    if reused is not None:
        return reused
    name = shown(task.source)
    header = read_header(data, name)
    check_limits(header, task.max_pixels)
    with tools.gate.admit(_pixels(header, task.recipe), lambda: tools.progress("wait")):
        finished = _finish(task, tools, data, watch, previewed=results.shows_previews)
    _still_the_same(task)
    state = JobState.REVIEW if finished.quality.verdict == "review" else JobState.SUCCEEDED
    result = _result(task, tools, sha256, finished, watch)
    with watch.stage("publish"):
        published = results.publish(state, finished.files, result)
    _note(tools, results, state, published)
    if finished.preview is not None:
        results.preview(finished.preview)
    return Done(state, published)


def _pixels(header: Header, recipe: Recipe) -> int:
    """Pixels by which memory is counted: the photo's or a larger canvas's, deep ones half as much
    again, for a recipe with every step takes 55 bytes for one of theirs and 27 for one of 8 bits.
    """
    canvas = 0 if recipe.canvas is None else math.prod(recipe.canvas.pixels)
    pixels = max(header.pixels, canvas)
    return pixels * 3 // 2 if header.bits > 8 else pixels


@dataclass(frozen=True, slots=True)
class Finished:
    """A photo finished in memory."""

    size: tuple[int, int]  # width, height, upright
    quality: Quality
    files: tuple[EncodedOutput, ...]
    preview: bytes | None
    matted: Matted
    notes: tuple[str, ...]


def _finish(
    task: PhotoTask, tools: Tools, data: bytes, watch: Stopwatch, *, previewed: bool
) -> Finished:
    with on_its_way(tools.session):
        with watch.stage("decode"):
            photo = decode(data, shown(task.source), max_pixels=task.max_pixels)
        matted = _matted(photo, task.recipe, tools, watch)
    with watch.stage("refine"):
        subject = refine(photo.rgb, matted.alpha, task.recipe.refinement)
        # what was transparent already stays so
        alpha = subject if photo.alpha is None else subject * photo.alpha
    with watch.stage("assess"):
        small = (halved(photo.rgb, _SMALL), halved(alpha, _SMALL)) if previewed else None
        look = _second_look(photo, task.recipe, tools)
        quality = assess(photo.rgb, alpha, look, small=small)
    with watch.stage("encode"):
        files = render_outputs(photo, subject, task.recipe)
        preview = None if small is None else before_after(*small)
    height, width = alpha.shape
    for note in photo.notes:
        log.info("%s: %s", shown(task.source), note)
    return Finished((width, height), quality, files, preview, matted, photo.notes)


def _second_look(photo: Photo, recipe: Recipe, tools: Tools) -> Look | None:
    """None for a photo with transparency of its own: the model's matte is not what is judged."""
    if photo.alpha is not None:
        return None
    equalise = recipe.exposure == "auto"
    return second_look(tools.session, tools.manifest, equalise=equalise)


def _matted(photo: Photo, recipe: Recipe, tools: Tools, watch: Stopwatch) -> Matted:
    return matte(
        photo,
        tools.session,
        tools.manifest,
        cache=tools.cache,
        stage=watch.stage,
        waiting=lambda: tools.progress("wait"),
        equalise=recipe.exposure == "auto",
    )


def _reuse(
    task: PhotoTask, tools: Tools, results: Results, sha256: str, watch: Stopwatch
) -> Done | None:
    """Answer from an earlier result of the same bytes, recipe and model, where it still stands."""
    if not results.reuses:
        return None
    key = sha256, task.recipe.key(), tools.manifest.sha256
    lookups = [results.find] if tools.cache is None else [results.find, tools.cache.find_result]
    for look_up in lookups:
        stored = look_up(*key)
        if stored is None:
            continue
        with watch.stage("reuse"):
            same = replace(stored.result, cache="exact", cache_evidence={}, seconds=watch.reading())
            result = results.reuse(stored, same)
        if result is not None:
            if tools.cache is not None:
                tools.cache.count("exact", stored.result.seconds.get("infer", 0.0))
            _note(tools, results, stored.state, result)
            return Done(stored.state, result)
    return None


def _note(tools: Tools, results: Results, state: JobState, result: Result) -> None:
    """Where the outputs lie is remembered beyond this folder and this ledger."""
    if tools.cache is not None:
        root = str(results.root(state))
        tools.cache.keep_result(StoredResult(state, root, result, root=root))


def _still_the_same(task: PhotoTask) -> None:
    """A source replaced while it was in work gets no output of its old content."""
    if task.signature is None:
        return
    try:
        now = Signature.of(task.path.lstat())
    except OSError:
        now = None
    if now != task.signature:
        raise SourceChanged(f"{shown(task.path)}: changed while it was in work")


def _result(
    task: PhotoTask, tools: Tools, sha256: str, finished: Finished, watch: Stopwatch
) -> Result:
    info = tools.session.describe()
    return Result(
        sha256=sha256,
        source_size=finished.size,
        outputs=(),
        recipe_key=task.recipe.key(),
        model_id=tools.manifest.id,
        model_sha256=tools.manifest.sha256,
        execution=Execution(
            backend=info.backend,
            provider=info.actual_provider,
            precision=info.precision,
            resolution=info.resolution,
            batch=finished.matted.batch,
        ),
        cache=finished.matted.cache,
        cache_evidence=finished.matted.evidence,
        notes=finished.notes,
        quality=finished.quality,
        seconds=watch.reading(),
    )

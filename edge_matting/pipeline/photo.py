"""The story of one photo, from its bytes to its encoded outputs; nothing is read or written."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from edge_matting.cache import MatteCache, content_digest
from edge_matting.config import Recipe
from edge_matting.core.arrays import Alpha
from edge_matting.core.jobs import EncodedOutput, Execution, GroundFound, Quality, Result
from edge_matting.core.logs import shown
from edge_matting.core.states import JobState
from edge_matting.imaging import (
    PREVIEW_HEIGHT,
    Header,
    Photo,
    before_after,
    check_limits,
    decode_pixels,
    read_header,
)
from edge_matting.matting import Look, assess, halved, refine
from edge_matting.matting.ground import KnownGround
from edge_matting.models import Manifest
from edge_matting.pipeline.admission import PixelBudget
from edge_matting.pipeline.batching import on_its_way
from edge_matting.pipeline.grounds import LearnedPlates, doubts_of, learn_from, look_for_ground
from edge_matting.pipeline.matte import Matted, matte, second_look
from edge_matting.pipeline.outputs import render_outputs
from edge_matting.runtimes import Session

log = logging.getLogger(__name__)

_SMALL = (PREVIEW_HEIGHT, PREVIEW_HEIGHT)  # least sides; the gate looks at less


@dataclass(frozen=True, slots=True, eq=False)
class PhotoTask:
    """One photo and what to make of it; ``name`` stands in messages and decides camera formats."""

    name: str
    data: bytes
    recipe: Recipe
    max_pixels: int
    thumbnail: bool = False  # whether a small before/after picture is wanted


@dataclass(frozen=True, slots=True, eq=False)
class FinishedPhoto:
    """A photo's encoded outputs; ``result`` is complete but for where they will lie."""

    state: JobState  # SUCCEEDED or REVIEW
    files: tuple[EncodedOutput, ...]
    result: Result
    thumbnail: bytes | None = None  # JPEG, before and after side by side


@dataclass(frozen=True, slots=True)
class Tools:
    """What the stages work with; made once per engine."""

    session: Session
    manifest: Manifest
    gate: PixelBudget
    progress: Callable[[str], None]
    cache: MatteCache | None = None
    plates: LearnedPlates | None = None


@dataclass(slots=True)
class Stopwatch:
    """Seconds per stage; ``progress`` is called as each one begins."""

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


def process_photo(
    task: PhotoTask, tools: Tools, *, watch: Stopwatch | None = None, sha256: str | None = None
) -> FinishedPhoto:
    """Do one photo; raises a ``JobError`` when that is not possible.

    ``watch`` and ``sha256``, the digest of the photo's bytes, for a caller that has them already.
    """
    watch = watch or Stopwatch(tools.progress)
    if sha256 is None:
        with watch.stage("digest"):
            sha256 = content_digest(task.data)
    header = read_header(task.data, shown(task.name))
    check_limits(header, task.max_pixels)
    with tools.gate.admit(_pixels(header, task.recipe), lambda: tools.progress("wait")):
        rendered = _render(task, header, tools, watch)
    state = JobState.REVIEW if rendered.quality.verdict == "review" else JobState.SUCCEEDED
    result = _result(task, tools, sha256, rendered, watch)
    return FinishedPhoto(state, rendered.files, result, rendered.thumbnail)


def _pixels(header: Header, recipe: Recipe) -> int:
    """Pixels by which memory is counted: the photo's or a larger canvas's, deep ones half as much
    again, for a recipe with every step takes 55 bytes for one of theirs and 27 for one of 8 bits.
    """
    canvas = 0 if recipe.canvas is None else math.prod(recipe.canvas.pixels)
    pixels = max(header.pixels, canvas)
    return pixels * 3 // 2 if header.bits > 8 else pixels


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What one photo became in memory."""

    size: tuple[int, int]  # width, height, upright
    quality: Quality
    files: tuple[EncodedOutput, ...]
    thumbnail: bytes | None
    matted: Matted
    notes: tuple[str, ...]
    ground: GroundFound | None


def _render(task: PhotoTask, header: Header, tools: Tools, watch: Stopwatch) -> _Rendered:
    with on_its_way(tools.session):
        with watch.stage("decode"):
            photo = decode_pixels(task.data, header)
        matted = _matted(photo, task.recipe, tools, watch)
    with watch.stage("ground"):
        ground, found = look_for_ground(photo, matted.alpha, task.recipe, tools.plates)
    with watch.stage("refine"):
        alpha = _refined(photo, matted.alpha, ground, task.recipe)
        if photo.alpha is not None:
            alpha = alpha * photo.alpha  # what was transparent already stays so
    with watch.stage("assess"):
        small = (halved(photo.rgb, _SMALL), halved(alpha, _SMALL)) if task.thumbnail else None
        look = _second_look(photo, task.recipe, tools)
        quality = assess(
            photo.rgb,
            alpha,
            look,
            small=small,
            doubts=doubts_of(task.recipe.ground, found),
            known_ground=ground is not None,
        )
    with watch.stage("encode"):
        files = render_outputs(photo, alpha, task.recipe, ground)
        thumbnail = None if small is None else before_after(*small)
    height, width = alpha.shape
    for note in photo.notes:
        log.info("%s: %s", shown(task.name), note)
    if tools.plates is not None and task.recipe.ground.learns and quality.verdict == "ok":
        with watch.stage("learn"):
            learn_from(photo, matted.alpha, tools.plates)
    return _Rendered((width, height), quality, files, thumbnail, matted, photo.notes, found)


def _refined(photo: Photo, matte: Alpha, ground: KnownGround | None, recipe: Recipe) -> Alpha:
    """The matte at full size; without a known ground it is the network's, refined, and no other."""
    if ground is None:
        return refine(photo.rgb, matte, recipe.refinement)
    return ground.refined(photo.rgb, recipe.refinement)


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


def _result(
    task: PhotoTask, tools: Tools, sha256: str, rendered: _Rendered, watch: Stopwatch
) -> Result:
    info = tools.session.describe()
    return Result(
        sha256=sha256,
        source_size=rendered.size,
        outputs=(),
        recipe_key=task.recipe.key(),
        model_id=tools.manifest.id,
        model_sha256=tools.manifest.sha256,
        execution=Execution(
            backend=info.backend,
            provider=info.actual_provider,
            precision=info.precision,
            resolution=info.resolution,
            batch=rendered.matted.batch,
        ),
        cache=rendered.matted.cache,
        cache_evidence=rendered.matted.evidence,
        notes=rendered.notes,
        ground=rendered.ground,
        quality=rendered.quality,
        seconds=watch.reading(),
    )

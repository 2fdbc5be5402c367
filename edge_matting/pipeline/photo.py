"""The story of one photo, from its bytes to its encoded outputs; nothing is read or written."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edge_matting.cache import content_digest
from edge_matting.config import Recipe
from edge_matting.core.jobs import EncodedOutput, Execution, GroundFound, Quality, Result
from edge_matting.core.logs import shown
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.imaging import (
    Header,
    Photo,
    check_limits,
    decode_pixels,
    read_header,
)
from edge_matting.pipeline.batching import on_its_way
from edge_matting.pipeline.outputs import encode_outputs
from edge_matting.pipeline.tasks import (
    Judgement,
    ModelRun,
    TaskSteps,
    Tools,
    steps_of,
    worst,
)

log = logging.getLogger(__name__)


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


def _decoded_pixels(header: Header) -> int:
    """Pixels by which the time for decoding is judged: developing a camera raw takes longest."""
    return header.pixels * 4 if header.format == "raw" else header.pixels


@dataclass(frozen=True, slots=True)
class _Rendered:
    """What one photo became in memory."""

    size: tuple[int, int]  # width, height, upright
    quality: Quality
    files: tuple[EncodedOutput, ...]
    thumbnail: bytes | None
    run: ModelRun  # of the recipe's first task
    notes: tuple[str, ...]
    ground: GroundFound | None


@dataclass(frozen=True, slots=True, eq=False)
class _Running:
    """One task of the photo's recipe: its steps, its model, and what that made of the photo."""

    steps: TaskSteps
    tools: Tools
    run: ModelRun
    finished: Any

    def judged(self, photo: Photo, task: PhotoTask) -> Judgement:
        return self.steps.judge(
            photo, self.finished, task.recipe, self.tools, thumbnail=task.thumbnail
        )


def _render(task: PhotoTask, header: Header, tools: Tools, watch: Stopwatch) -> _Rendered:
    recipe = task.recipe
    used = [(steps_of(name), tools.of(name)) for name in recipe.tasks]
    with ExitStack() as coming:
        for _, each in used:
            coming.enter_context(on_its_way(each.session))
        with watch.stage("decode"), tools.decoding(_decoded_pixels(header)):
            photo = decode_pixels(task.data, header)
        runs = [
            steps.run(photo, steps.prepare(photo, recipe, each), each, watch.stage)
            for steps, each in used
        ]
    with watch.stage("refine"):
        running = [
            _Running(steps, each, run, steps.finish(photo, run.value, recipe))
            for (steps, each), run in zip(used, runs, strict=True)
        ]
    with watch.stage("assess"):
        judged = [each.judged(photo, task) for each in running]
    with watch.stage("encode"):
        adders = [partial(each.steps.add_parts, finished=each.finished) for each in running]
        files = encode_outputs(photo, recipe, *adders)
        shown_small = judged[0].thumbnail
        thumbnail = None if shown_small is None else shown_small()
    height, width = photo.rgb.shape[:2]
    for note in photo.notes:
        log.info("%s: %s", shown(task.name), note)
    quality = worst(each.quality for each in judged)
    ground = next((each.ground for each in judged if each.ground is not None), None)
    return _Rendered((width, height), quality, files, thumbnail, runs[0], photo.notes, ground)


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
        model_sha256=tools.identity,
        execution=Execution(
            backend=info.backend,
            provider=info.actual_provider,
            precision=info.precision,
            resolution=info.resolution,
            batch=rendered.run.batch,
        ),
        cache=rendered.run.cache,
        cache_evidence=rendered.run.evidence,
        notes=Reason.all_of(rendered.notes),
        quality=rendered.quality,
        ground=rendered.ground,
        seconds=watch.reading(),
    )

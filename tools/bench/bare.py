"""The bare loop: the work of `process` in two threads that take photos from one list.

    python -m tools.bench.bare IN OUT -c CONFIG --recipe NAME

It calls the same functions as the pipeline, in its order and with its syncs, and has no queue, no
ledger, no cache, no names to keep apart and no bookkeeping: what a pipeline costs beside its work
is the difference. ``performance.py`` runs it beside `process`.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_matting import __version__
from edge_matting.cache import content_digest
from edge_matting.config import Recipe, load_settings
from edge_matting.core.anchored import AnchoredFolder, anchored_file
from edge_matting.core.arrays import Alpha
from edge_matting.core.jobs import (
    Execution,
    Job,
    Original,
    Place,
    Quality,
    Result,
    Signature,
)
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.engine.process_tuning import tune_process
from edge_matting.imaging import Photo, decode
from edge_matting.matting import assess, refine
from edge_matting.matting.exposure import equalised
from edge_matting.matting.preprocess import model_view
from edge_matting.models import Manifest
from edge_matting.pipeline.matte import infer, second_look
from edge_matting.pipeline.outputs import render_outputs
from edge_matting.pipeline.read_source import read_source
from edge_matting.publish import describe_result, publish_result
from edge_matting.runtimes import Session

LIMIT = 10**9

Stage = Callable[[str], AbstractContextManager[None]]
"""Told what is done within it."""


def unwatched(_name: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Bare:
    """One photo after the other; an instance serves all threads."""

    session: Session
    manifest: Manifest
    recipe: Recipe
    out: Path

    def do(self, path: Path, stage: Stage = unwatched) -> None:
        """The whole way of one photo."""
        with stage("read"):
            data = read_source(anchored_file(path), None, LIMIT)
        with stage("digest"):
            digest = content_digest(data)
        with stage("decode"):
            photo = decode(data, path.name, max_pixels=LIMIT)
        alpha, quality = self._matte(photo, stage)
        with stage("foreground, encode"):
            files = render_outputs(photo, alpha, self.recipe)
        with stage("publish"):
            result = self._result(digest, photo, quality)
            publish_result(
                AnchoredFolder(self.out),
                path.stem,
                files,
                _description(path, result),
            )

    def _matte(self, photo: Photo, stage: Stage) -> tuple[Alpha, Quality]:
        equalise = self.recipe.exposure == "auto"
        with stage("model's view"):
            view = model_view(photo.rgb, self.manifest.input, self.session.describe().resolution)
            view = equalised(view) if equalise else view
        with stage("infer"):
            small = infer(view, self.session, self.manifest)
        with stage("refine"):
            alpha = refine(photo.rgb, small, self.recipe.refinement)
        with stage("assess"):
            look = second_look(self.session, self.manifest, equalise=equalise)
            quality = assess(photo.rgb, alpha, look)
        return alpha, quality

    def _result(self, digest: str, photo: Photo, quality: Quality) -> Result:
        info = self.session.describe()
        return Result(
            sha256=digest,
            source_size=(photo.rgb.shape[1], photo.rgb.shape[0]),
            outputs=(),
            recipe_key=self.recipe.key(),
            model_id=self.manifest.id,
            model_sha256=self.manifest.sha256,
            execution=Execution(
                backend=info.backend,
                provider=info.actual_provider,
                precision=info.precision,
                resolution=info.resolution,
                batch=1,
            ),
            cache="miss",
            cache_evidence={},
            notes=Reason.all_of(photo.notes),
            quality=quality,
            seconds={},
        )


def _description(path: Path, result: Result) -> dict[str, Any]:
    job = Job(
        id=0,
        folder=str(path.parent),
        source=path.name,
        signature=Signature(0, 0, 0),
        recipe="cutout",
        state=JobState.RUNNING,
        attempts=1,
        alone=False,
        stem=path.stem,
        original=Original(Place.IN, path.name),
    )
    return describe_result(job, result, time.time(), __version__)


def open_bare(config: Path | None, recipe: str, out: Path) -> tuple[Bare, int]:
    """The loop with a warm model, and how many threads the plan has."""
    settings = load_settings(config)
    plan = plan_for(settings)
    tune_process()  # as `process` and the engine do
    session, manifest = load_tools(settings, plan, settings.model)
    out.mkdir(parents=True, exist_ok=True)
    return Bare(session, manifest, settings.recipes[recipe], out), plan.workers


def main() -> int:
    parser = argparse.ArgumentParser(description="The bare loop over a folder of photos.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("-c", "--config", type=Path)
    parser.add_argument("--recipe", default="cutout")
    parser.add_argument("--threads", type=int, help="the plan's number if not given")
    options = parser.parse_args()
    bare, workers = open_bare(options.config, options.recipe, options.out)
    waiting = iter(sorted(options.photos.iterdir()))
    threads = [
        threading.Thread(target=_work, args=(bare, waiting))
        for _ in range(options.threads or workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def _work(bare: Bare, waiting: Iterator[Path]) -> None:
    for path in waiting:  # an iterator over a list gives each item to one thread only
        bare.do(path)


if __name__ == "__main__":
    sys.exit(main())

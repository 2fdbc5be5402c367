"""``process``: once over files and folders, with a bar, resumable, with honest exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from edge_matting.cli.directory import DirectoryResults, InputPhoto, Places, find_photos
from edge_matting.cli.output import complain, print_json, print_line
from edge_matting.cli.settings import read_settings
from edge_matting.config import Recipe, Settings, find_config, load_settings, with_format
from edge_matting.core.anchored import anchored_file
from edge_matting.core.errors import (
    ConfigError,
    InternalFault,
    JobError,
    ModelError,
    OutOfMemory,
)
from edge_matting.core.logs import shown
from edge_matting.core.plan import Plan
from edge_matting.core.states import JobState
from edge_matting.engine.factory import open_cache, plan_for, tools_for_recipe
from edge_matting.engine.jobs.delivery import deliver
from edge_matting.engine.process_tuning import tune_process
from edge_matting.pipeline import PhotoTask, Tools
from edge_matting.pipeline.read_source import read_source

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger(__name__)

ALL_DONE, SOME_FAILED, INTERRUPTED = 0, 1, 130


@dataclass(slots=True)
class RunSummary:
    """What came of the photos so far."""

    done: int = 0
    review: int = 0
    skipped: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # path -> reason

    def count(self, path: str, outcome: JobState | JobError | None) -> None:
        match outcome:
            case None:
                self.skipped += 1
            case JobError():
                self.failed[path] = f"{outcome.code}: {outcome}"
            case JobState.REVIEW:
                self.review += 1
            case _:
                self.done += 1


@dataclass(frozen=True, slots=True)
class Run:
    """Everything one call of the command works with."""

    settings: Settings
    recipe: Recipe
    places: Places
    tools: Tools

    def results_of(self, photo: InputPhoto) -> DirectoryResults:
        """Where the photo's results go; asked for in the photos' order, which decides names."""
        return DirectoryResults(self.places, photo, self.recipe, self.tools.identity)

    def do(self, photo: InputPhoto, results: DirectoryResults) -> JobState | JobError | None:
        """One photo: its state, the error that it ended with, or None when it was done before."""
        try:
            return self._do(photo, results)
        except JobError as error:
            return error
        except MemoryError:
            return OutOfMemory(f"{shown(photo.path)}: not enough memory")
        except Exception as error:
            # A mistake of ours must cost one photo, never the whole run.
            log.exception("%s: internal fault", shown(photo.path))
            return InternalFault(f"{shown(photo.path)}: {type(error).__name__}: {error}")

    def _do(self, photo: InputPhoto, results: DirectoryResults) -> JobState | None:
        file, limits = anchored_file(photo.path), self.settings.limits
        status = file.status()
        with self.tools.gate.reading(0 if status is None else status.st_size, lambda: None):
            data = read_source(file, None, int(limits.max_file_mb * 1e6))
            if results.done_before(data):
                return None
            task = PhotoTask(photo.relative, data, self.recipe, limits.max_pixels)
            return deliver(task, self.tools, results).state


class Interrupt:
    """Ctrl-C: what is in work is finished, nothing new is begun; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.asked.set()
        signal.signal(number, signal.SIG_DFL)


def run(options: argparse.Namespace) -> int:
    begin = time.perf_counter()
    settings = _settings(options)
    name, recipe = _recipe(options, settings)
    photos = find_photos(options.paths, options.out)
    interrupt = Interrupt()
    tune_process()
    plan = _plan(settings)
    cache = None if options.no_cache else open_cache(settings, on_disk=_is_ours(settings.state_dir))
    tools = tools_for_recipe(settings, plan, recipe, cache=cache)
    places = Places(options.out, name, reuse=cache is not None)
    work = Run(settings, recipe, places, tools)
    tally = _do_all(work, photos, plan.workers, interrupt)
    _report(options, tally, len(photos), time.perf_counter() - begin)
    if interrupt.asked.is_set():
        return INTERRUPTED
    return SOME_FAILED if tally.failed else ALL_DONE


def _is_ours(state_dir: Path) -> bool:
    """Whether the cache on disk may be used: the service must not find files of another user."""
    try:
        ours = state_dir.stat().st_uid == os.geteuid() and os.access(state_dir, os.W_OK)
    except OSError:
        ours = False
    if not ours:
        log.info("%s belongs to another user: mattes are cached for this run only", state_dir)
    return ours


def _settings(options: argparse.Namespace) -> Settings:
    if options.model is not None:
        options.set = [*options.set, f"model={options.model}"]
    if any(_of_a_recipe(each) for each in options.set):
        name = options.recipe or load_settings(find_config(options.config)).hot_folders[0].recipe
        options.set = [
            f"recipes.{name}.{each}" if _of_a_recipe(each) else each for each in options.set
        ]
    return read_settings(options)


def _of_a_recipe(override: str) -> bool:
    """Whether ``KEY=VALUE`` names a recipe's key, such as ``ground=none``, and no other."""
    key = re.split(r"[.=]", override, maxsplit=1)[0]
    return key in Recipe.model_fields and key not in Settings.model_fields


def _plan(settings: Settings) -> Plan:
    try:
        return plan_for(settings)
    except ModelError as error:
        raise ConfigError(f"model: {error}") from error


def _recipe(options: argparse.Namespace, settings: Settings) -> tuple[str, Recipe]:
    name = options.recipe or settings.hot_folders[0].recipe
    if name not in settings.recipes:
        known = ", ".join(settings.recipes)
        raise ConfigError(f"--recipe {name}: no recipe is named so; known: {known}")
    recipe = settings.recipes[name]
    if options.format is None:
        return name, recipe
    try:
        return name, with_format(recipe, options.format)
    except ConfigError as error:
        raise ConfigError(f"--{error}") from error


def _do_all(
    work: Run, photos: Sequence[InputPhoto], workers: int, interrupt: Interrupt
) -> RunSummary:
    tally = RunSummary()
    with _bar(len(photos)) as bar, ThreadPoolExecutor(workers) as pool:
        for photo, outcome in _finished(work, photos, pool, workers, interrupt):
            tally.count(str(photo.path), outcome)
            if isinstance(outcome, JobError):
                if bar is not None:
                    bar.clear()
                complain(f"{shown(photo.path)}: {outcome.code}: {outcome}")
            if bar is not None:
                bar.update()
    return tally


def _bar(total: int) -> AbstractContextManager[tqdm[NoReturn] | None]:
    """A progress bar on a terminal. Elsewhere even importing it would cost a start 60 ms."""
    if not sys.stderr.isatty():
        return nullcontext()
    from tqdm import tqdm  # noqa: PLC0415

    return tqdm(total=total, unit="photo", file=sys.stderr, dynamic_ncols=True)


def _finished(
    work: Run,
    photos: Sequence[InputPhoto],
    pool: ThreadPoolExecutor,
    workers: int,
    interrupt: Interrupt,
) -> Iterator[tuple[InputPhoto, JobState | JobError | None]]:
    """Each photo with its outcome as it comes; never more in work than ``workers``."""
    waiting = iter(photos)
    in_work: dict[Future[JobState | JobError | None], InputPhoto] = {}
    while True:
        while len(in_work) < workers and not interrupt.asked.is_set():
            photo = next(waiting, None)
            if photo is None:
                break
            in_work[pool.submit(work.do, photo, work.results_of(photo))] = photo
        if not in_work:
            return
        for future in wait(in_work, return_when=FIRST_COMPLETED).done:
            yield in_work.pop(future), future.result()


def _report(options: argparse.Namespace, tally: RunSummary, total: int, seconds: float) -> None:
    if options.json:
        print_json(
            {
                "total": total,
                "done": tally.done,
                "review": tally.review,
                "skipped": tally.skipped,
                "failed": [
                    {"file": path, "reason": reason} for path, reason in tally.failed.items()
                ],
                "seconds": round(seconds, 3),
            }
        )
        return
    made = tally.done + tally.review
    rate = f", {made / seconds:.1f} photos/s" if made else ""
    print_line(
        f"{tally.done} done, {tally.review} to review, {tally.skipped} done before, "
        f"{len(tally.failed)} failed of {total} in {seconds:.1f} s{rate}"
    )
    left = total - made - tally.skipped - len(tally.failed)
    if left:
        print_line(f"{left} not begun; run the same command again to go on")

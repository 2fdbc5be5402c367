"""The way of one photo from its bytes to a published result: copied where it was done before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_matting.cache import content_digest
from edge_matting.core.jobs import Done, StoredResult
from edge_matting.core.tasks import TASKS
from edge_matting.engine.jobs.source import Results
from edge_matting.pipeline import PhotoTask, Stopwatch, Tools, process_photo


def deliver(
    task: PhotoTask, tools: Tools, results: Results, computed: Callable[[], None] | None = None
) -> Done:
    """Do one photo and publish its result; raises a ``JobError`` when that is not possible.

    ``computed`` is called when only the disk is needed any more, if it comes so far.
    """
    watch = Stopwatch(tools.progress)
    with watch.stage("digest"):
        sha256 = content_digest(task.data)
    copied = _copied(task, tools, results, sha256, watch)
    if copied is not None:
        return Done(copied.state, copied.result)
    photo = process_photo(task, tools, watch=watch, sha256=sha256)
    if computed is not None:
        computed()
    with watch.stage("publish"):
        published = results.publish(photo)
    _remember(tools, published)
    if photo.thumbnail is not None:
        results.keep_thumbnail(photo.thumbnail)
    return Done(published.state, published.result)


def _copied(
    task: PhotoTask, tools: Tools, results: Results, sha256: str, watch: Stopwatch
) -> StoredResult | None:
    """A copy of an earlier result of the same bytes, recipe and model, if that is still intact."""
    if not results.reuses or not all(TASKS[name].repeatable for name in tools.tasks):
        return None
    key = sha256, task.recipe.key(), tools.identity
    lookups = [results.find] if tools.cache is None else [results.find, tools.cache.find_result]
    for look_up in lookups:
        stored = look_up(*key)
        if stored is None:
            continue
        with watch.stage("reuse"):
            same = replace(stored.result, cache="exact", cache_evidence={}, seconds=watch.reading())
            copied = results.copy(stored, same)
        if copied is not None:
            _remember(tools, copied)
            return copied
    return None


def _remember(tools: Tools, stored: StoredResult) -> None:
    """Note where the outputs lie, so that they are found beyond this folder and this ledger."""
    if tools.cache is not None and stored.root is not None:
        tools.cache.keep_result(stored)

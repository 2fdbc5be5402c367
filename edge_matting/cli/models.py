"""``models``: the catalog."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from edge_matting.cli.output import complain, print_line
from edge_matting.cli.sample import trial_photos
from edge_matting.cli.settings import read_settings
from edge_matting.cli.trial import BuiltInPhotos, reference_mattes
from edge_matting.core.errors import EdgeMattingError
from edge_matting.core.model_ids import former_ids
from edge_matting.engine.factory import open_catalog, record_golden_matte
from edge_matting.models import Catalog
from edge_matting.models.catalog import HIDDEN
from edge_matting.onboarding.add import Added, add_model
from edge_matting.onboarding.propose import OnboardingOptions

_CLOSE = 1.5
"""Two normalisations are hard to separate below this ratio: a robust network, fed in another way
than it was trained with, was seen to do better than with its own by a third."""


def run(options: argparse.Namespace) -> int:
    catalog = open_catalog(read_settings(options))
    return _ACTIONS[options.action](catalog, options)


def _list(catalog: Catalog, _options: argparse.Namespace) -> int:
    for entry in catalog.list():
        origin = "shipped" if entry.shipped else "added"
        if entry.manifest is None:
            print_line(f"{entry.id:24} {origin:8} {entry.fault}")
        else:
            size, manifest = entry.manifest.input.size, entry.manifest
            before = "".join(f", formerly {former}" for former in former_ids(entry.id))
            licence = f"{size.width} x {size.height}  {manifest.licence}"
            print_line(f"{entry.id:24} {origin:8} {manifest.name}{before}  {licence}")
    for model_id in catalog.hidden():
        print_line(f"{model_id:24} {'hidden':8} {HIDDEN}")
    return 0


def _show(catalog: Catalog, options: argparse.Namespace) -> int:
    print_line(catalog.get(options.id).as_yaml().rstrip())
    return 0


def _add(catalog: Catalog, options: argparse.Namespace) -> int:
    trial = BuiltInPhotos(trial_photos())
    added = add_model(
        catalog,
        options.file,
        trial,
        model_id=options.id,
        answers=OnboardingOptions(options.preset, options.output, options.size),
        reference=reference_mattes(catalog, trial),
    )
    record_golden_matte(read_settings(options), added.manifest.id)
    print_line(added.manifest.as_yaml().rstrip())
    for line in explain(added):
        print_line(f"# {line}")
    return 0


def explain(added: Added) -> Iterator[str]:
    """What was found out, and what to do where it may be wrong."""
    manifest, found = added.manifest, added.statistics
    yield f"recognised as: {added.family.title}"
    if len(added.scores) > 1:
        ranked = sorted(added.scores.items(), key=lambda item: item[1].total)
        tried = ", ".join(f"{name} {score.total:.3f}" for name, score in ranked)
        yield f"normalisation: {added.normalisation}; tried, less is better: {tried}"
    yield (
        f"mattes of the built-in photos: from {found.minimum:.3f} to {found.maximum:.3f}, "
        f"mean {found.mean:.3f}, deviation {found.deviation:.3f}"
    )
    if close := rivals(added):
        yield (
            f"not much worse: {', '.join(close)}; where its makers name one of these, remove the "
            f"model and add it again with --preset {close[0]}"
        )
    yield f"added as {manifest.id}; use it with --model {manifest.id}, or as model: in the settings"


def rivals(added: Added) -> tuple[str, ...]:
    """Normalisations that did nearly as well as the one chosen."""
    if added.normalisation not in added.scores:
        return ()
    bound = _CLOSE * added.scores[added.normalisation].total
    return tuple(
        name
        for name, score in added.scores.items()
        if name != added.normalisation and score.total < bound
    )


def _verify(catalog: Catalog, options: argparse.Namespace) -> int:
    wanted = [options.id] if options.id else [entry.id for entry in catalog.list()]
    status = 0
    for model_id in wanted:
        try:
            path = catalog.verify(model_id)
        except EdgeMattingError as error:
            complain(f"{model_id}: {error}")
            status = 1
        else:
            print_line(f"{model_id}: {path} is as its manifest says")
    return status


def _remove(catalog: Catalog, options: argparse.Namespace) -> int:
    catalog.remove(options.id)
    print_line(f"{options.id} removed")
    return 0


_ACTIONS: dict[str, Callable[[Catalog, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "add": _add,
    "verify": _verify,
    "remove": _remove,
}

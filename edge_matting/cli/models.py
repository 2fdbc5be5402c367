"""``models``: the catalog."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_matting.cli.confined import Bounds, run_confined
from edge_matting.cli.output import complain, print_line
from edge_matting.cli.settings import read_settings
from edge_matting.core.errors import EdgeMattingError
from edge_matting.core.model_ids import former_ids
from edge_matting.device import VitalsReader
from edge_matting.engine.factory import open_catalog
from edge_matting.models import Catalog
from edge_matting.models.catalog import HIDDEN
from edge_matting.onboarding.add import default_id
from edge_matting.onboarding.normalisation import normalisation_of
from edge_matting.onboarding.propose import OnboardingOptions

TRIAL: Final = "edge_matting.cli.model_trial"

_LEAST_BYTES: Final = 2 << 30
"""Address space that a runtime needs beside the model's own."""

_SHARE: Final = 0.7
"""Of the memory that is free, what a stranger's model may take."""


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
    settings = read_settings(options)
    answers = OnboardingOptions(
        options.preset,
        options.output,
        options.size,
        normalisation_of(options.mean, options.std, options.channels),
    )
    folder = catalog.added_dir / (options.id or default_id(options.file))
    is_new = not os.path.lexists(folder)
    request = {
        "settings": json.dumps(settings.as_json()),
        "file": str(options.file),
        "id": options.id,
        "answers": answers.as_json(),
    }
    try:
        made = run_confined(TRIAL, request, Bounds(options.seconds, _memory_bytes(options)))
    except EdgeMattingError as error:
        if is_new and folder.parent == catalog.added_dir:  # ended while it was being copied
            shutil.rmtree(folder, ignore_errors=True)
        error.message = _naming(options.file, error.message)
        raise
    for line in made["lines"]:
        print_line(line)
    return 0


def _memory_bytes(options: argparse.Namespace) -> int:
    if options.memory_mb is not None:
        return int(options.memory_mb) << 20
    free = VitalsReader().read().memory_available_bytes or 0
    return max(_LEAST_BYTES, int(_SHARE * free))


def _naming(file: Path, message: str) -> str:
    return message if str(file) in message else f"{file}: {message}"


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

"""``models``: the catalog."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edge_matting.cli.output import complain, print_line
from edge_matting.cli.sample import sample_photo
from edge_matting.cli.settings import read_settings
from edge_matting.core.errors import EdgeMattingError
from edge_matting.engine.start import open_catalog
from edge_matting.inference import Catalog, Manifest, Session
from edge_matting.inference.add import add_model
from edge_matting.matting import from_output, to_tensor


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
            licence = f"{size.width} x {size.height}  {manifest.licence}"
            print_line(f"{entry.id:24} {origin:8} {manifest.name}  {licence}")
    return 0


def _show(catalog: Catalog, options: argparse.Namespace) -> int:
    print_line(catalog.get(options.id).as_yaml().rstrip())
    return 0


def _add(catalog: Catalog, options: argparse.Namespace) -> int:
    added = add_model(catalog, options.file, try_out, model_id=options.id, preset=options.preset)
    print_line(added.manifest.as_yaml().rstrip())
    found = added.statistics
    print_line(
        f"# added as {added.manifest.id}; its matte of the built-in photo: "
        f"from {found.minimum:.3f} to {found.maximum:.3f}, mean {found.mean:.3f}"
    )
    return 0


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


def try_out(manifest: Manifest, session: Session) -> npt.NDArray[np.float32]:
    """The matte, h x w float32 in [0, 1], that a model makes of the built-in photo."""
    tensor, geometry = to_tensor(sample_photo(), manifest.input, session.describe().resolution)
    return from_output(session.run(tensor), manifest.output, geometry)


_ACTIONS: dict[str, Callable[[Catalog, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "add": _add,
    "verify": _verify,
    "remove": _remove,
}

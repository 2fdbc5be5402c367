"""Adding a model: propose a manifest, try it on a real photo, keep it only if a matte comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_matting.core.durable import durable_write, make_folders, read_chunks
from edge_matting.core.errors import InferenceFailed, ModelError
from edge_matting.inference.catalog import Catalog, file_sha256
from edge_matting.inference.manifest import MANIFEST_NAME, Manifest, check_id
from edge_matting.inference.ort import OrtSession
from edge_matting.inference.propose import propose_manifest

Matte = npt.NDArray[np.float32]
Trial = Callable[[Manifest, OrtSession], Matte]
"""Runs the built-in photo through preprocessing, session and decoding of the output. The matting
stage belongs to the caller: this layer may not import it."""

_FLAT = 0.02  # standard deviation below which a matte shows nothing


@dataclass(frozen=True, slots=True)
class MatteStatistics:
    """What a model made of the built-in photo."""

    minimum: float
    maximum: float
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added, and why it was believed."""

    manifest: Manifest
    statistics: MatteStatistics


def add_model(
    catalog: Catalog,
    path: Path,
    trial: Trial,
    *,
    model_id: str | None = None,
    preset: str = "unit",
) -> Added:
    """Copy the model file ``path`` into the catalog after it has proved itself in ``trial``.

    Raises ``ModelError`` for an id that is taken or no id, a file that is no plain file, a graph
    that fits no manifest, and a flat matte; ``SessionError`` for a file that cannot be loaded.
    """
    chosen = _free_id(catalog, model_id or default_id(path))
    file_sha256(path)  # refuses links and devices before a runtime opens them
    manifest = propose_manifest(path, chosen, preset)
    statistics = _try_out(manifest, path, trial)
    folder = catalog.added_dir / chosen
    make_folders(folder)
    durable_write(folder / manifest.file, read_chunks(path), mode=0o644)
    if file_sha256(folder / manifest.file) != manifest.sha256:
        raise ModelError(f"{path}: changed while it was copied", hint="add it again")
    durable_write(folder / MANIFEST_NAME, manifest.as_yaml().encode(), mode=0o644)
    return Added(manifest, statistics)


def default_id(path: Path) -> str:
    """An id made from a file's name."""
    kept = "".join(c if c.isalnum() and c.isascii() else "-" for c in path.stem.lower())
    return kept.strip("-")[:64] or "model"


def matte_statistics(alpha: Matte) -> MatteStatistics:
    return MatteStatistics(
        float(alpha.min()), float(alpha.max()), float(alpha.mean()), float(alpha.std())
    )


def _free_id(catalog: Catalog, model_id: str) -> str:
    try:
        check_id(model_id)
    except ValueError as error:
        raise ModelError(f"{model_id!r} is no model id: {error}") from error
    if any(entry.id == model_id for entry in catalog.list()):
        raise ModelError(f"there is a model {model_id} already", hint="choose another with --id")
    return model_id


def _try_out(manifest: Manifest, path: Path, trial: Trial) -> MatteStatistics:
    session = OrtSession(manifest, path, threads=0)
    try:
        statistics = matte_statistics(trial(manifest, session))
    except InferenceFailed as error:
        raise ModelError(f"{path}: it gives no matte: {error.message}") from error
    finally:
        session.close()
    if statistics.deviation < _FLAT:
        raise ModelError(
            f"{path}: its matte of the built-in photo is flat "
            f"(from {statistics.minimum:.3f} to {statistics.maximum:.3f})",
            hint="try another --preset: unit, half or imagenet",
        )
    return statistics

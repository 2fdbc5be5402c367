"""The network alone, for photos in memory."""

from __future__ import annotations

from pathlib import Path

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting import from_output, to_tensor
from edge_matting.models.catalog import load_model_manifest
from edge_matting.runtimes.ort.session import OrtSession

SIDE = 320


class Network:
    """A model of the catalog on one thread at 320 pixels."""

    def __init__(self, folder: Path) -> None:
        self._manifest = load_model_manifest(folder)
        file = folder / self._manifest.file
        self._session = OrtSession(self._manifest, file, threads=1, resolution=(SIDE, SIDE))

    def matte(self, rgb: Rgb) -> Alpha:
        """h x w float32 in [0, 1] of a photo, H x W x 3."""
        tensor, geometry = to_tensor(rgb, self._manifest.input, (SIDE, SIDE))
        return from_output(self._session.run(tensor), self._manifest.output, geometry)

"""What the built-in photo's matte must be, by model and input size.

A shipped model brings it for the size it was made for (``golden.png``). For an added model, and
for another size, the processor in full precision says it once. The file's name holds the size, the
version, and a digest of the model and of how it is fed and read: what any of them changes is made
anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge_matting import __version__
from edge_matting.core.durable import durable_write, make_folders
from edge_matting.core.errors import TemporaryError
from edge_matting.models import Manifest
from edge_matting.pipeline import Tools
from edge_matting.pipeline.self_test import SIDE, Matte, sample_matte, self_test

log = logging.getLogger(__name__)

GOLDEN_NAME: Final = "golden.png"

Reference = Callable[[tuple[int, int]], Tools]
"""The model on the processor in full precision, for an input of that width and height."""


class GoldenMattes:
    """Known mattes under ``folder``; ``shipped`` is the folder of the model's own files."""

    def __init__(self, manifest: Manifest, shipped: Path, folder: Path) -> None:
        self._manifest = manifest
        self._shipped = shipped / GOLDEN_NAME
        self._folder = folder

    def matte(self, resolution: tuple[int, int], reference: Reference) -> Matte:
        """The known matte for that input size; ``reference`` is asked where there is none yet.

        Raises ``SelfTestFailed`` when the processor itself fails.
        """
        size = self._manifest.input.size
        native = (size.width, size.height)
        shipped = _read(self._shipped)
        if shipped is not None and resolution == native:
            return shipped
        path = self._folder / f"{_key(self._manifest)}-{_times(resolution)}-{__version__}.png"
        recorded = _read(path)
        if recorded is not None:
            return recorded
        if shipped is not None:
            _check(reference(native), shipped)
        tools = reference(resolution)
        try:
            matte = sample_matte(tools)
        finally:
            tools.session.close()
        self._record(path, matte)
        return matte

    def _record(self, path: Path, matte: Matte) -> None:
        try:
            make_folders(path.parent)
            durable_write(path, matte_png(matte))
        except (TemporaryError, OSError) as error:
            # Another user's state dir, or a full disk: it is made again the next time.
            log.info("the golden matte cannot be stored: %s", error)


def matte_png(matte: Matte) -> bytes:
    """A matte as the PNG that ``golden.png`` is."""
    written, data = cv2.imencode(".png", matte)
    assert written
    return data.tobytes()


def _check(tools: Tools, known: Matte) -> None:
    try:
        self_test(tools, known)
    finally:
        tools.session.close()


def _read(path: Path) -> Matte | None:
    """The matte in a file; None for none and for a damaged one."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if picture is None or picture.shape != (SIDE, SIDE):
        return None
    return picture.astype(np.uint8)


def _key(manifest: Manifest) -> str:
    """One file may be added twice, with another normalisation."""
    told = manifest.model_dump(mode="json", include={"sha256", "input", "output"})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _times(resolution: tuple[int, int]) -> str:
    return f"{resolution[0]}x{resolution[1]}"

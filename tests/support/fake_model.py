"""A model and a place for results in memory: what the story of one photo needs, and no more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge_matting.core.jobs import Output, Result, StoredResult
from edge_matting.core.model_io import InputSize, ModelInput, ModelOutput
from edge_matting.models import Manifest
from edge_matting.pipeline import FinishedPhoto
from edge_matting.runtimes import SessionInfo

MANIFEST = Manifest(
    id="fake",
    version="1",
    name="fake",
    task="matting",
    file="x.onnx",
    sha256="0" * 64,
    input=ModelInput("x", InputSize(32, 32)),
    output=ModelOutput("y"),
    licence="none",
    provenance="none",
)


class FakeSession:
    """Answers every photo with the same matte."""

    def __init__(self, matte: np.ndarray) -> None:
        self._matte = matte.astype(np.float32)

    def run(self, batch: np.ndarray) -> np.ndarray:
        assert batch.shape == (1, 3, 32, 32)
        return self._matte[np.newaxis, np.newaxis]

    def warm(self) -> None:
        return None

    def describe(self) -> SessionInfo:
        return SessionInfo("ort", "cpu", "cpu", "fp32", (32, 32), None)

    def close(self) -> None:
        return None


class ResultShelf:
    """`engine.jobs.source.Results` in memory."""

    def __init__(self, stored: StoredResult | None = None, *, intact: bool = True) -> None:
        self.stored = stored
        self.intact = intact  # whether stored files can be copied
        self.published: list[FinishedPhoto] = []
        self.copied: list[StoredResult] = []
        self.thumbnails: list[bytes] = []
        self.reuses = True

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        return self.stored

    def copy(self, stored: StoredResult, result: Result) -> StoredResult | None:
        if not self.intact:
            return None
        self.copied.append(stored)
        return StoredResult(stored.state, "/hot", result, root="/out")

    def publish(self, photo: FinishedPhoto) -> StoredResult:
        self.published.append(photo)
        outputs = tuple(Output(f"a.{one.format}", one.kind, one.format, "") for one in photo.files)
        result = replace(photo.result, outputs=outputs)
        return StoredResult(photo.state, "/hot", result, root="/out")

    def keep_thumbnail(self, jpeg: bytes) -> None:
        self.thumbnails.append(jpeg)

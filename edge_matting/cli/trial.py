"""The built-in photos through a model that is to be added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting import from_output, to_tensor
from edge_matting.models import Catalog, Manifest
from edge_matting.runtimes import Session
from edge_matting.runtimes.registry import open_session
from edge_matting.runtimes.session import Tensor

Picture = TypeVar("Picture", bound=npt.NDArray[Any])

_JUDGE = "default"
"""The shipped model that the others are compared with."""


class BuiltInPhotos:
    """`inference.add.Trial` on photos, H x W x 3 uint8 RGB."""

    def __init__(self, photos: Sequence[Rgb]) -> None:
        self._photos = photos

    @property
    def photos(self) -> int:
        return len(self._photos)

    def output(self, manifest: Manifest, session: Session, photo: int) -> Tensor:
        tensor, _ = to_tensor(self._photos[photo], manifest.input)
        return session.run(tensor)

    def matte(
        self, manifest: Manifest, session: Session, photo: int, *, mirrored: bool = False
    ) -> Alpha:
        rgb: Rgb = self._photos[photo]
        tensor, geometry = to_tensor(_turned(rgb) if mirrored else rgb, manifest.input)
        alpha = from_output(session.run(tensor), manifest.output, geometry)
        return _turned(alpha) if mirrored else alpha


def _turned(picture: Picture) -> Picture:
    """Left to right."""
    return cast("Picture", np.ascontiguousarray(picture[:, ::-1]))


def reference_mattes(catalog: Catalog, trial: BuiltInPhotos) -> tuple[Alpha, ...] | None:
    """What the shipped model makes of the photos; None where none is shipped."""
    if not catalog.is_shipped(_JUDGE):
        return None
    manifest = catalog.get(_JUDGE)
    part = manifest.files[0]
    session = open_session(manifest, catalog.verify(_JUDGE, part), part)
    try:
        return tuple(trial.matte(manifest, session, photo) for photo in range(trial.photos))
    finally:
        session.close()

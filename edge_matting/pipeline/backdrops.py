"""From what a recipe says of the background to what is laid under a photo."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_matting.config import Background, Recipe
from edge_matting.config import ShadowSettings as ShadowSpec
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.errors import PermanentError, SourceUnreadable, TemporaryError
from edge_matting.imaging import decode, from_srgb, to_srgb
from edge_matting.matting import (
    Backdrop,
    Flat,
    Frame,
    Gradient,
    Shadow,
    blurred,
    cover,
    drop_shadow,
)

MOST_PIXELS: Final = 60_000_000
"""Of a background picture."""


def make_backdrop(
    background: Background, rgb: Rgb, alpha: Alpha, frame: Frame, icc: bytes | None
) -> Backdrop:
    """The backdrop of a photo (``rgb``, h x w x 3, and ``alpha``, h x w) as ``frame`` shows it.

    Colours and pictures are sRGB or have a profile of their own; they are brought to ``icc``, the
    photo's profile, so that they look the same in every output. Raises ``SourceUnreadable`` where
    the picture is not the one that the settings were read with.
    """
    if background.image is not None:
        picture = _picture(background.image, background.image_sha256)
        return cover(from_srgb(picture, icc), frame.size)
    if background.blur is not None:
        return blurred(rgb, alpha, frame, background.blur)
    if background.gradient is not None:
        first, last = (_colour(text, icc) for text in background.gradient)
        return Gradient(first, last, background.angle, frame.size)
    return Flat(_colour(background.colour or "#ffffff", icc))


def make_shadow(
    recipe: Recipe, alpha: Alpha, icc: bytes | None, own: Shadow | None
) -> Shadow | None:
    """The recipe's shadow of ``alpha``, which is H x W at the output's size.

    ``own`` is the photo's; None where its ground is not known, and then there is none.
    """
    spec: ShadowSpec | None = recipe.shadow
    if spec is None:
        return None
    if spec.natural:
        return own
    return drop_shadow(
        alpha,
        colour=_colour(spec.colour, icc),
        opacity=spec.opacity,
        blur=spec.blur,
        offset=spec.offset,
    )


def _colour(text: str, icc: bytes | None) -> tuple[float, float, float]:
    """``#rrggbb`` in the photo's own colour space, 0 to 1."""
    one = np.frombuffer(bytes.fromhex(text.removeprefix("#")), np.uint8).reshape(1, 1, 3)
    red, green, blue = (from_srgb(one, icc)[0, 0] / 255).tolist()
    return red, green, blue


def _picture(path: Path, sha256: str | None) -> npt.NDArray[np.uint8]:
    """The background picture in sRGB, 8 bits a sample."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error.strerror or "cannot be read") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise _unusable(path, "is not the file that the settings were read with")
    try:
        photo = decode(data, path.name, max_pixels=MOST_PIXELS)
    except (PermanentError, TemporaryError) as error:
        raise _unusable(path, error.message) from error
    rgb = to_srgb(photo.rgb, photo.icc)
    return (rgb >> (8 * (rgb.dtype.itemsize - 1))).astype(np.uint8, copy=False)


def _unusable(path: Path, reason: str) -> SourceUnreadable:
    return SourceUnreadable(
        f"background picture {path}: {reason}",
        hint="put it right, then have the settings read again (SIGHUP)",
    )

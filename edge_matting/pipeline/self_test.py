"""The built-in photo through the whole path, its matte compared with the known one.

Catches what no exception tells: a driver that computes nonsense, half precision that overflows, a
damaged library. The known matte is what the processor makes of the photo in full precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.errors import InferenceFailed, SelfTestFailed
from edge_matting.core.providers import PRECISIONS
from edge_matting.imaging import Photo, decode, encode
from edge_matting.pipeline.tasks import Tools, steps_of

SIDE: Final = 64
"""The matte is compared at this size: edges may move a little, the subject may not."""

Matte = npt.NDArray[np.uint8]
"""SIDE x SIDE, alpha in [0, 255]."""


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A self-test that was passed."""

    difference: float  # mean absolute difference of alpha, 0 to 1
    tolerance: float


def sample_bytes() -> bytes:
    """The built-in photo's JPEG (NASA, public domain), 512 x 512."""
    return (resources.files("edge_matting") / "data" / "photos" / "astronaut.jpg").read_bytes()


def sample_photo() -> Photo:
    """The built-in photo."""
    return decode(sample_bytes(), "the built-in photo", max_pixels=10**7)


def sample_matte(tools: Tools) -> Matte:
    """The built-in photo's matte (or what its task gives as sample), decoded, run and encoded.

    Raises ``SelfTestFailed`` for a matte that is no numbers, and what the stages raise.
    """
    photo = sample_photo()
    try:
        made = steps_of(tools.manifest.task).sample(photo, tools)
    except InferenceFailed as error:
        raise SelfTestFailed(f"the built-in photo gets no matte: {error.message}") from error
    data = np.frombuffer(encode(made, "png"), np.uint8)
    written = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    if written is None or written.shape != photo.rgb.shape[:2]:
        raise SelfTestFailed("the built-in photo's matte cannot be read back")
    small: Matte = cv2.resize(written, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


def self_test(tools: Tools, known: Matte) -> SelfTest:
    """Compare the built-in photo's matte with the ``known`` one; ``SelfTestFailed`` says why."""
    info = tools.session.describe()
    tolerance = PRECISIONS[info.precision].tolerance
    difference = matte_difference(sample_matte(tools), known)
    if difference > tolerance:
        raise SelfTestFailed(
            f"{tools.manifest.id} on {info.actual_provider} in {info.precision}: the matte of "
            f"the built-in photo is off by {difference:.3f}, at most {tolerance} is right"
        )
    return SelfTest(round(difference, 5), tolerance)


def matte_difference(one: Matte, other: Matte) -> float:
    """Mean absolute difference of alpha, 0 to 1."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean() / 255.0)

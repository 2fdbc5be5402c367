"""What a model's answers to the built-in photos say of how it wants to be used.

Pure arithmetic on arrays. Two signs show the right normalisation: the mattes
agree with those of the shipped model, and the matte of the mirrored photo is the mirrored matte.
On the three foreign models of the tests, whose normalisation is documented, the sum of both was
least for the documented one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_matting.core.errors import ModelError
from edge_matting.core.model_io import ModelOutput

Matte = npt.NDArray[np.float32]
Tensor = npt.NDArray[Any]

FLAT: Final = 0.02
"""Standard deviation below which a matte shows nothing."""

_GRID: Final = 128  # mattes of different sizes are compared on so many points a side
_SLACK: Final = 0.05  # how far beyond its range an alpha may swing
_INVERTED: Final = 0.5  # upside down if the opposite differs less than this share


@dataclass(frozen=True, slots=True)
class MatteStatistics:
    """What a model made of the built-in photos."""

    minimum: float
    maximum: float
    mean: float
    deviation: float  # of the photo whose matte varies most


@dataclass(frozen=True, slots=True)
class TrialScore:
    """How one way of feeding the model did; smaller is better, both in units of alpha."""

    disagreement: float  # mean absolute difference from the reference mattes
    mirror_error: float  # mean absolute difference between a photo's and its mirror's matte
    inverted: bool = False  # the matte is 1 where the background is

    @property
    def total(self) -> float:
        return self.disagreement + self.mirror_error


def statistics_of(mattes: Sequence[Matte]) -> MatteStatistics:
    return MatteStatistics(
        float(min(matte.min() for matte in mattes)),
        float(max(matte.max() for matte in mattes)),
        float(np.mean([matte.mean() for matte in mattes])),
        float(max(matte.std() for matte in mattes)),
    )


def judge(
    mattes: Sequence[Matte], mirrored: Sequence[Matte], reference: Sequence[Matte]
) -> TrialScore:
    """Compare ``mattes`` (h x w float32 in [0, 1], one per photo) with those of the mirrored
    photos, already mirrored back, and with the ``reference`` mattes, of any size each."""
    mirror = float(np.mean([_difference(*pair) for pair in zip(mattes, mirrored, strict=True)]))
    pairs = list(zip(mattes, reference, strict=True))
    straight = float(np.mean([_difference(*pair) for pair in pairs]))
    opposite = float(np.mean([_difference(1.0 - matte, other) for matte, other in pairs]))
    if opposite < _INVERTED * straight:
        return TrialScore(opposite, mirror, inverted=True)
    return TrialScore(straight, mirror)


def choose(scores: Mapping[str, TrialScore], usual: str, trust: float) -> str:
    """The name of the best score; ``usual`` unless another is better by the share ``trust``."""
    best = min(scores, key=lambda name: scores[name].total)
    if usual in scores and scores[best].total > (1.0 - trust) * scores[usual].total:
        return usual
    return best


def output_form(spec: ModelOutput, outputs: Sequence[Tensor], maker: str) -> ModelOutput:
    """``spec`` with the kind and range that the values of ``outputs`` show.

    ``outputs`` are the graph's own answers to several photos, one photo each, of any layout;
    ``maker`` is the operator that computes them, as far as it is known. Raises ``ModelError``
    for what has no form of a matte.
    """
    pictures = [_channels_last(output, spec.name) for output in outputs]
    channels = pictures[0].shape[2]
    if not all(np.isfinite(picture).all() for picture in pictures):
        raise ModelError(f"output {spec.name} holds values that are not numbers")
    if channels == 2 and spec.channel is None and not _independent(pictures):
        return replace(spec, kind="two_class")
    subject = {1: 0, 2: 1, 4: 3}[channels] if spec.channel is None else spec.channel
    values = np.concatenate([picture[:, :, subject].ravel() for picture in pictures])
    kind, top = _scale(values, maker)
    if channels == 4 and kind == "alpha":
        return replace(spec, kind="rgba", range=top)
    named = None if subject == 0 else subject
    return replace(spec, kind=kind, range=top, channel=named)  # type: ignore[arg-type]


def turned(spec: ModelOutput) -> ModelOutput:
    """``spec`` with subject and background exchanged."""
    if spec.kind == "two_class":
        return replace(spec, channel=0 if spec.channel in (None, 1) else 1)
    return replace(spec, range=(spec.range[1], spec.range[0]))


def _scale(values: Tensor, maker: str) -> tuple[str, tuple[float, float]]:
    """Kind and range of the subject's channel."""
    low, high = float(values.min()), float(values.max())
    if low >= -_SLACK and high <= 1.0 + _SLACK:
        return "alpha", (0.0, 1.0)
    if maker == "Tanh" or (-1.0 <= low < -0.8 and 0.8 < high <= 1.0):
        return "alpha", (-1.0, 1.0)
    if low >= 0.0 and 64.0 < high <= 255.5:
        return "alpha", (0.0, 255.0)
    return "logits", (0.0, 1.0)


def _independent(pictures: Sequence[Tensor]) -> bool:
    """Two channels in [0, 1] that are no shares of 1: two mattes rather than two classes."""
    within = all(p.min() >= 0.0 and p.max() <= 1.0 for p in pictures)
    return within and any(np.abs(p.sum(axis=2) - 1.0).max() > 0.01 for p in pictures)


def _channels_last(output: Tensor, name: str) -> Tensor:
    """h x w x C of one photo's output; C is 1, 2 or 4."""
    picture = np.asarray(output, dtype=np.float32)
    while picture.ndim > 2 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim == 2:
        return picture[:, :, np.newaxis]
    if picture.ndim == 3 and picture.shape[0] in (1, 2, 4):
        return np.moveaxis(picture, 0, 2)
    if picture.ndim == 3 and picture.shape[2] in (1, 2, 4):
        return picture
    raise ModelError(
        f"output {name} has shape {tuple(output.shape)}, which is no matte: "
        "expected 1, 2 or 4 channels",
        hint="name another output with --output",
    )


def _difference(matte: Matte, other: Matte) -> float:
    """Mean absolute difference of two mattes of any size, on a grid of points."""
    return float(np.abs(_points(matte) - _points(other)).mean())


def _points(matte: Matte) -> Matte:
    rows, columns = (
        np.linspace(0, side - 1, _GRID).round().astype(np.intp) for side in matte.shape
    )
    return matte[np.ix_(rows, columns)]

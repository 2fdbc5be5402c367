"""How pixels become a network's numbers: the ways in use, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal

from edge_matting.core.errors import ModelError
from edge_matting.core.model_io import ModelInput

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """The part of ``ModelInput`` that no graph contains: ``(pixel in range - mean) / std``."""

    range: tuple[float, float] = (0.0, 1.0)
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    channels: Literal["rgb", "bgr"] = "rgb"

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Normalisation:
        low, high = body["range"]
        return cls((low, high), _triple(body["mean"]), _triple(body["std"]), body["channels"])

    def applied(self, spec: ModelInput) -> ModelInput:
        return replace(spec, range=self.range, mean=self.mean, std=self.std, channels=self.channels)


def _triple(numbers: Sequence[float]) -> Triple:
    red, green, blue = numbers
    return red, green, blue


NORMALISATIONS: Final[Mapping[str, Normalisation]] = MappingProxyType(
    {
        "unit": Normalisation(),
        "half": Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        "imagenet": Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        "centred": Normalisation(mean=(0.5, 0.5, 0.5)),
        "raw": Normalisation(range=(0.0, 255.0)),
        "caffe": Normalisation((0.0, 255.0), mean=(103.939, 116.779, 123.68), channels="bgr"),
    }
)
"""unit: 0 to 1; half: -1 to 1; imagenet: mean and deviation of ImageNet, as torchvision has them;
centred: -0.5 to 0.5; raw: 0 to 255; caffe: blue first, 0 to 255 less ImageNet's mean."""


def normalisation_of(
    mean: Triple | None, std: Triple | None, channels: Literal["rgb", "bgr"] | None
) -> Normalisation | None:
    """The normalisation that a user has named; None when nothing was.

    Means and deviations of at most 1 are those of pixels from 0 to 1, larger ones of pixels from
    0 to 255, as papers and repositories give them.
    """
    if mean is None and std is None and channels is None:
        return None
    of_bytes = max(*(mean or (0.0,)), *(std or (0.0,))) > 1.0
    top = 255.0 if of_bytes else 1.0
    if std is not None and min(std) <= 0.0:
        raise ModelError("--std: a deviation is greater than 0")
    return Normalisation(
        (0.0, top), mean or (0.0, 0.0, 0.0), std or (1.0, 1.0, 1.0), channels or "rgb"
    )

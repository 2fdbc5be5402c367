"""What a model takes and gives: the part of its manifest that preprocessing needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class InputSize:
    """``fixed``: exactly width x height. ``multiple_of``: any sides that are multiples; width and
    height are then the size the model was made for. ``stretch`` fills them, ``letterbox`` pads."""

    width: int
    height: int
    rule: Literal["fixed", "multiple_of"] = "fixed"
    fit: Literal["stretch", "letterbox"] = "stretch"
    multiple: int = 1


@dataclass(frozen=True, slots=True)
class ConstantInput:
    """A further input of the graph that gets the same array every time: zeros for the recurrent
    states of RobustVideoMatting's image mode, its down-sampling ratio."""

    name: str
    shape: tuple[int, ...]
    value: float = 0.0
    dtype: Literal["float32", "float16", "int32", "int64", "bool"] = "float32"


@dataclass(frozen=True, slots=True)
class ModelInput:
    """The input tensor: ``(range[0] + pixel * (range[1] - range[0]) - mean) / std``, with
    ``pixel`` in [0, 1] and ``mean`` and ``std`` in the tensor's own channel order."""

    name: str
    size: InputSize
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    channels: Literal["rgb", "bgr"] = "rgb"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    batch: int | None = None  # the only batch size that the graph takes; None: any
    constants: tuple[ConstantInput, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """The output tensor that holds the matte, and in which form.

    ``alpha`` runs from ``range[0]`` (background) to ``range[1]``, ``rgba`` likewise, and
    ``logits`` after a sigmoid; the two channels of ``two_class`` go through a softmax.
    ``channel`` is where the subject stands; None: 3 of ``rgba``, 1 of ``two_class``, else 0.
    """

    name: str
    kind: Literal["alpha", "logits", "two_class", "rgba"] = "alpha"
    range: tuple[float, float] = (0.0, 1.0)
    channel: int | None = None

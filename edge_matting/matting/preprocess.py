"""Photo to input tensor, output tensor to alpha matte, as the model's manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_rgb
from edge_matting.core.errors import InferenceFailed
from edge_matting.core.model_io import InputSize, ModelInput, ModelOutput
from edge_matting.matting.resize import resample

Tensor: TypeAlias = npt.NDArray[Any]

_CHANNELS: Final = MappingProxyType({"alpha": 1, "logits": 1, "two_class": 2, "rgba": 4})
_SUBJECT: Final = MappingProxyType({"alpha": 0, "logits": 0, "two_class": 1, "rgba": 3})


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the photo lies in the model's picture: a box inside width x height."""

    width: int
    height: int
    left: int
    top: int
    box_width: int
    box_height: int


def input_size(size: InputSize, resolution: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height of the input tensor.

    ``resolution`` replaces the manifest's box for models of free size, rounded to what they take;
    for fixed ones it is ignored. All photos get one size, so that they can share a batch; whether
    a photo is stretched into it or letterboxed is the manifest's ``fit``.
    """
    if size.rule == "fixed":
        return size.width, size.height
    width, height = (
        max(size.multiple, round(side / size.multiple) * size.multiple)
        for side in resolution or (size.width, size.height)
    )
    return width, height


def model_view(rgb: Rgb, spec: ModelInput, resolution: tuple[int, int] | None = None) -> Rgb:
    """The whole photo at the size at which the model sees it, h x w x 3, without margins.

    ``to_tensor`` makes the same tensor of it as of the photo.
    """
    check_rgb(rgb)
    geometry = _place(spec.size, (rgb.shape[1], rgb.shape[0]), resolution)
    return resample(rgb, (geometry.box_width, geometry.box_height))


def to_tensor(
    rgb: Rgb, spec: ModelInput, resolution: tuple[int, int] | None = None
) -> tuple[Tensor, Geometry]:
    """The input tensor of a photo (H x W x 3, uint8 or uint16, RGB) and where the photo lies in it.

    The tensor is 1 x 3 x h x w or 1 x h x w x 3 in the manifest's type, channel order and range.
    Under ``letterbox`` the photo is centred and the rest holds the value of black.
    """
    check_rgb(rgb)
    geometry = _place(spec.size, (rgb.shape[1], rgb.shape[0]), resolution)
    pixels = resample(rgb, (geometry.box_width, geometry.box_height))
    if spec.size.fit == "letterbox":
        pixels = _pad(pixels, geometry)
    values = _normalised(pixels, spec)
    return np.ascontiguousarray(values[np.newaxis], dtype=spec.dtype), geometry


def from_output(output: Tensor, spec: ModelOutput, geometry: Geometry) -> Alpha:
    """The alpha matte at model size, float32 h x w in [0, 1], of one photo's output.

    ``output`` has one photo's worth of any layout: leading axes of length 1 are dropped, and the
    channel axis is found beside the two sides of the picture. The values are clamped, never
    stretched. Letterbox margins are cut off.

    Raises ``InferenceFailed`` for NaN, infinity or a shape that does not fit.
    """
    channels = _channels_first(np.asarray(output, dtype=np.float32), spec)
    if not np.isfinite(channels).all():
        raise InferenceFailed(
            "the model gave values that are not numbers", hint="try precision fp32"
        )
    alpha = np.clip(_alpha(channels, spec), 0.0, 1.0).astype(np.float32)
    if geometry.box_width == geometry.width and geometry.box_height == geometry.height:
        return np.ascontiguousarray(alpha)
    return _cut_margins(alpha, geometry)


def _place(size: InputSize, photo: tuple[int, int], resolution: tuple[int, int] | None) -> Geometry:
    width, height = input_size(size, resolution)
    if size.fit == "stretch":
        return Geometry(width, height, 0, 0, width, height)
    scale = min(width / photo[0], height / photo[1])
    box_width = min(width, max(1, round(photo[0] * scale)))
    box_height = min(height, max(1, round(photo[1] * scale)))
    left, top = (width - box_width) // 2, (height - box_height) // 2
    return Geometry(width, height, left, top, box_width, box_height)


def _pad(pixels: Tensor, place: Geometry) -> Tensor:
    padded = np.zeros((place.height, place.width, 3), pixels.dtype)
    rows = slice(place.top, place.top + place.box_height)
    padded[rows, place.left : place.left + place.box_width] = pixels
    return padded


def _normalised(pixels: Tensor, spec: ModelInput) -> Tensor:
    """float32 in the manifest's layout, channel order and range."""
    if spec.layout == "nchw" and pixels.dtype == np.uint8:
        return _looked_up(pixels, spec)
    values = _scaled(pixels[:, :, ::-1] if spec.channels == "bgr" else pixels, spec)
    return values.transpose(2, 0, 1) if spec.layout == "nchw" else values


def _looked_up(pixels: Rgb, spec: ModelInput) -> Tensor:
    """3 x h x w, the 256 levels scaled instead of every pixel: the same values in a tenth of the
    time."""
    levels = np.arange(256, dtype=np.uint8)[:, np.newaxis]
    tables = np.ascontiguousarray(_scaled(np.repeat(levels, 3, axis=1), spec).T)
    planes = list(cv2.split(pixels))
    if spec.channels == "bgr":
        planes.reverse()
    values = np.empty((3, *pixels.shape[:2]), np.float32)
    for plane, table, value in zip(planes, tables, values, strict=True):
        cv2.LUT(plane, table, value)
    return values


def _scaled(pixels: Tensor, spec: ModelInput) -> Tensor:
    """Pixels, channels last in the model's order, as the network wants them, float32."""
    low, high = spec.range
    scale = (high - low) / np.iinfo(pixels.dtype).max
    values = low + pixels.astype(np.float32) * np.float32(scale)
    values = (values - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    if spec.dtype == "uint8":
        values = np.clip(np.rint(values), 0, 255)
    scaled: Tensor = values
    return scaled


def _channels_first(output: Tensor, spec: ModelOutput) -> Tensor:
    """C x h x w, whatever the layout."""
    while output.ndim > 2 and output.shape[0] == 1:
        output = output[0]
    wanted = max(_CHANNELS[spec.kind], 1 + (spec.channel or 0))
    if output.ndim == 2 and wanted == 1:
        return output[np.newaxis]
    if output.ndim == 3 and wanted <= output.shape[0] <= 4:
        return output
    if output.ndim == 3 and wanted <= output.shape[2] <= 4:
        return np.moveaxis(output, 2, 0)
    raise InferenceFailed(
        f"output {spec.name} has shape {output.shape}, which is no matte of kind {spec.kind}",
        hint="correct output.kind in the model's manifest",
    )


def _alpha(channels: Tensor, spec: ModelOutput) -> Tensor:
    channel = _SUBJECT[spec.kind] if spec.channel is None else spec.channel
    values: Tensor = channels[channel]
    if spec.kind == "two_class":
        return _softmax(channels[1 - channel], values)
    if spec.kind == "logits":
        values = _sigmoid(values)
    low, high = spec.range
    return values if (low, high) == (0.0, 1.0) else (values - low) / (high - low)


def _softmax(background: Tensor, subject: Tensor) -> Tensor:
    """The subject's share; a graph that ends in its own softmax is taken as it is."""
    shares = min(background.min(), subject.min()) >= 0.0
    if shares and np.abs(background + subject - 1.0).max() < 0.01:
        return subject
    return _sigmoid(subject - background)


def _sigmoid(values: Tensor) -> Tensor:
    halved: Tensor = 0.5 * (1.0 + np.tanh(0.5 * values))  # does not overflow
    return halved


def _cut_margins(alpha: Alpha, place: Geometry) -> Alpha:
    """The photo's box of the matte; the output may be smaller or larger than the input."""
    if alpha.shape != (place.height, place.width):
        alpha = resample(alpha, (place.width, place.height))
        alpha = np.minimum(alpha, np.float32(1.0))  # area averages end a rounding error above 1
    rows = slice(place.top, place.top + place.box_height)
    return np.ascontiguousarray(alpha[rows, place.left : place.left + place.box_width])

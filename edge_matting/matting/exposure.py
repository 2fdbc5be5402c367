"""A very dark photo made legible, for the network's eyes only.

The network has learned from photos that someone found worth keeping; in the dark it sees little.
Only its input is changed: outputs keep the photo's own values. Blown-out photos are left alone:
what is gone cannot be brought back, and stretching the rest made mattes worse (docs/outputs.md).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edge_matting.core.arrays import Rgb, check_rgb

_DARK: Final = 0.10  # mean brightness below which a photo is equalised
_MIDDLE: Final = 0.42  # the mean brightness it is brought to
_SHARE: Final = 0.5  # percent of the pixels that may be clipped at either end
_LEAST_SPAN: Final = 1 / 64  # a flat picture is not stretched into noise
_STRONGEST: Final = 4.0  # gamma


def equalised(view: Rgb) -> Rgb:
    """``view`` (H x W x 3, uint8 or uint16) itself or, very dark, brought to usual brightness.

    It is stretched between its darkest and brightest half percent and bent by one gamma, the same
    for all channels, so that hues stay.
    """
    check_rgb(view)
    top = np.iinfo(view.dtype).max
    luma = view.astype(np.float32) @ np.array((0.299, 0.587, 0.114), np.float32) / np.float32(top)
    if float(luma.mean()) >= _DARK:
        return view
    low, high = (float(value) for value in np.percentile(luma, (_SHARE, 100 - _SHARE)))
    if high - low < _LEAST_SPAN:
        return view
    spread = np.clip((luma - low) / (high - low), 0.0, 1.0)
    gamma = _gamma(float(spread.mean()))
    levels = np.clip((np.arange(top + 1) / top - low) / (high - low), 0.0, 1.0)
    table = np.rint(levels**gamma * top).astype(view.dtype)
    picked: Any = table[view]
    result: Rgb = picked
    return result


def _gamma(mean: float) -> float:
    """The exponent that brings ``mean`` about to the middle; a brighter picture is left there."""
    inside = min(max(mean, 0.01), _MIDDLE)
    return max(float(np.log(_MIDDLE) / np.log(inside)), 1 / _STRONGEST)

"""What the output kinds of matting show, made from a photo's finished parts.

Which kind takes which parts is in the table, ``core.output_kinds``.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.backdrop import Shadow
from edge_matting.matting.compositing import CutoutRows, cutout, quantised, with_shadow

_ROWS: Final = 256


def cutout_output(
    *, foreground: Rgb, alpha: Alpha, shadow: Shadow | None, premultiplied: bool
) -> Rgb | CutoutRows:
    """RGBA, H x W x 4 in the type of ``foreground``, with its shadow where it has one."""
    if shadow is not None:
        foreground, alpha = with_shadow(foreground, alpha, shadow)
    if premultiplied:
        return cutout(foreground, alpha, premultiplied=True)
    return CutoutRows(foreground, alpha)


def alpha_output(*, alpha: Alpha, bits: Literal["auto", 8, 16]) -> Rgb:
    """The matte, H x W; uint16 for 16 ``bits``, else uint8."""
    return quantised(alpha, np.uint16 if bits == 16 else np.uint8)


def shadow_output(*, natural_shadow: Shadow | None, alpha: Alpha) -> Rgb:
    """The photo's own shadow: black with its opacity, RGBA, H x W x 4 uint8; empty where the
    ground is not known. ``alpha`` is H x W at the output's size."""
    height, width = alpha.shape
    layer = np.zeros((height, width, 4), np.uint8)
    for start in range(0, height if natural_shadow is not None else 0, _ROWS):
        stop = min(height, start + _ROWS)
        assert natural_shadow is not None
        layer[start:stop, :, 3] = quantised(natural_shadow.opacity_of(start, stop))
    return layer


def foreground_output(*, foreground: Rgb) -> Rgb:
    """The subject's own colours, H x W x 3."""
    return foreground

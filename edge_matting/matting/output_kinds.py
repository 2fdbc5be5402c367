"""What the output kinds of matting show, made from a photo's finished parts.

Which kind takes which parts is in the table, ``core.output_kinds``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.matting.backdrop import Shadow
from edge_matting.matting.compositing import CutoutRows, cutout, quantised, with_shadow


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


def foreground_output(*, foreground: Rgb) -> Rgb:
    """The subject's own colours, H x W x 3."""
    return foreground

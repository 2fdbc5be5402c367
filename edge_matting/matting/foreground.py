"""Foreground estimation: the subject's own colour where the old background shines through.

Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (blur fusion). The blurred colours
are computed at reduced size, for the kernel grows with the picture; the final correction uses the
photo at full size, only where 0 < alpha < 1. The paper makes two passes; four from wide to narrow
leave half of their error where the band is wide, and cost as much at this size.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Alpha, Rgb, check_alpha, check_rgb
from edge_matting.matting.resize import enlarge_rows, resample, three_times

_WORKING_SIDE: Final = 768
_KERNELS: Final = (0.2, 0.06, 0.02, 0.006)  # sides of the passes, as parts of the longer side
_TINY: Final = 1e-5
_ROWS: Final = 64

Planes = npt.NDArray[np.float32]


def estimate_foreground(rgb: Rgb, alpha: Alpha) -> Rgb:
    """F of I = aF + (1 - a)B, H x W x 3 in the type of ``rgb``.

    ``rgb`` (uint8 or uint16) and ``alpha`` (float32 in [0, 1]) are H x W. Where alpha is 1 F is
    the photo; where it is 0 F is black, so that nothing of the background can be read from it.
    """
    check_rgb(rgb)
    check_alpha(alpha)
    top = float(np.iinfo(rgb.dtype).max)
    result = np.empty_like(rgb)
    front, back = _blurred_colours(rgb, alpha, top)
    for start in range(0, alpha.shape[0], _ROWS):
        rows = slice(start, min(start + _ROWS, alpha.shape[0]))
        np.multiply(rgb[rows], three_times((alpha[rows] > 0.0).view(np.uint8)), out=result[rows])
        band = (alpha[rows] > 0.0) & (alpha[rows] < 1.0)
        if band.any():
            share = three_times(alpha[rows])
            near = enlarge_rows(front, rows, alpha.shape)
            far = enlarge_rows(back, rows, alpha.shape)
            fixed = _corrected(rgb[rows].astype(np.float32), share, near, far)
            pixels = np.clip(np.rint(fixed), 0, top).astype(rgb.dtype)
            np.copyto(result[rows], pixels, where=three_times(band.view(np.uint8)).view(bool))
    return result


def _blurred_colours(rgb: Rgb, alpha: Alpha, top: float) -> tuple[Planes, Planes]:
    """Smooth foreground and background, h x w x 3 each, at reduced size."""
    height, width = alpha.shape
    shrink = min(1.0, _WORKING_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    image = resample(rgb, size).astype(np.float32)
    share = three_times(resample(alpha, size))
    front, back = image, image
    for part in _KERNELS:
        side = max(3, round(part * max(size)))
        smooth_front, back = _fuse(front, back, share, side)
        front = np.clip(_corrected(image, share, smooth_front, back), 0.0, top)
    return smooth_front, back


def _fuse(front: Planes, back: Planes, share: Planes, side: int) -> tuple[Planes, Planes]:
    """Equations 5 and 6 of the paper: means of both colours, weighted by alpha and 1 - alpha."""
    weight = _blur(share, side)
    smooth_front = _blur(front * share, side) / (weight + _TINY)
    smooth_back = _blur(back * (1.0 - share), side) / (1.0 - weight + _TINY)
    return smooth_front, smooth_back


def _corrected(photo: Planes, share: Planes, front: Planes, back: Planes) -> Planes:
    """Equation 4: move the smooth foreground so that the composite gives the photo again."""
    fixed: Planes = front + share * (photo - share * front - (1.0 - share) * back)
    return fixed


def _blur(values: Planes, side: int) -> Planes:
    blurred = cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(values.shape).astype(np.float32, copy=False)

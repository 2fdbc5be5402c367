"""Where a doubted matte is doubted: one box, for who looks at it."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height, in shares of the picture's."""

_SPREAD: Final = 0.02  # of the longer side: doubts as near as this are one place
_HIGH: Final = 0.4  # of the strongest doubt, smoothed
_MARGIN: Final = 0.02
_NARROW: Final = 0.012  # of the longer side: an edge as soft as this is no doubt


def doubted_box(alpha: Alpha, other: Alpha | None) -> Box | None:
    """The place where most of the doubt lies, in a matte ``alpha`` H x W in [0, 1].

    With the matte of a second look, ``other`` H x W (NaN where it did not look), doubt is how far
    both lie apart; without it, how undecided the matte is. A soft edge alone is none, and then
    there is no box.
    """
    decided = 4 * alpha * (1 - alpha)
    apart = decided if other is None else np.where(np.isnan(other), decided, np.abs(alpha - other))
    longer = max(alpha.shape)
    width = max(1, round(_NARROW * longer))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    broad: Any = cv2.morphologyEx(np.asarray(apart, np.float32), cv2.MORPH_OPEN, disc)
    smooth: Any = cv2.GaussianBlur(broad, (0, 0), max(0.5, _SPREAD * longer))
    strongest = float(smooth.max())
    if strongest < 0.02:
        return None
    high = (smooth.reshape(alpha.shape) >= _HIGH * strongest).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(high, connectivity=8)
    sums = [float(smooth[labels == label].sum()) for label in range(1, count)]
    left, top, wide, tall = (int(v) for v in stats[1 + int(np.argmax(sums)), :4])
    rows, columns = alpha.shape
    x, y = max(0.0, left / columns - _MARGIN), max(0.0, top / rows - _MARGIN)
    right = min(1.0, (left + wide) / columns + _MARGIN)
    bottom = min(1.0, (top + tall) / rows + _MARGIN)
    return round(x, 4), round(y, 4), round(right - x, 4), round(bottom - y, 4)

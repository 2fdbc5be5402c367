"""The photo's own shadow as a layer: black with an opacity."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from edge_matting.core.arrays import Alpha
from edge_matting.matting.ground.estimate import Ground, labels
from edge_matting.matting.ground.key import Key
from edge_matting.matting.ground.surface import Mask, Planes

_FAINTEST: Final = 0.02  # of the light: less is no shadow
_DEEPEST: Final = np.float32(0.9)
_NOISE: Final = 3.0  # deviations
_NEAR: Final = 2.0  # cells: how far a shadow is carried on below the subject


def shadow_of(ground: Ground, key: Key, prior: Alpha) -> Alpha:
    """Opacity of black over the evenly lit ground that gives what is seen beside the subject.

    ``prior`` is the matte at working size, h x w; so is the result, float32 in [0, 1). Under the
    subject the shadow is carried on, so that no light gap shows along its edge.
    """
    lit = _light(ground.smooth)
    seen = _light(ground.colour + ground.away)
    dark = np.clip(1 - seen / np.maximum(lit, np.float32(0.02)), 0, _DEEPEST)
    least = max(_FAINTEST, _NOISE * float(ground.grain[0]) / 100)
    clear = (prior < 0.05) & (key.like | key.shadow)
    soft: Any = cv2.GaussianBlur(np.where(clear, dark, 0), (0, 0), 1.0)
    share: Any = cv2.GaussianBlur(clear.astype(np.float32), (0, 0), 1.0)
    dark = np.where(clear, soft / (share + np.float32(1e-4)), 0)
    dark = np.maximum(dark - np.float32(least), 0) * np.float32(1 / (1 - least))
    dark = np.where(_beside(dark > 0, prior > 0.5), dark, 0).astype(np.float32)
    return _carried_on(dark, clear)


def _light(planes: Planes) -> Alpha:
    """Coded lightness in [0, 1], which compositing multiplies, of CIELAB h x w x 3."""
    grey: Any = cv2.cvtColor(planes, cv2.COLOR_Lab2RGB)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY), np.float32)


def _beside(dark: Mask, subject: Mask) -> Mask:
    """Of the dark regions those that touch the subject; a dark corner of the set is none."""
    wide: Any = cv2.dilate(subject.view(np.uint8), np.ones((9, 9), np.uint8))
    count, marks, _ = labels(dark | (wide > 0))
    kept = np.zeros(count, np.bool_)
    kept[np.unique(marks[subject])] = True
    kept[0] = False
    return kept[marks] & dark


def _carried_on(dark: Alpha, clear: Mask) -> Alpha:
    result, weight = dark, clear.astype(np.float32)
    for times in (1, 4, 16):
        share: Any = cv2.GaussianBlur(weight, (0, 0), _NEAR * times)
        total: Any = cv2.GaussianBlur(dark * weight, (0, 0), _NEAR * times)
        near = np.minimum(share * 20, 1)
        result = np.where(clear, dark, result + near * (total / (share + 1e-4) - result))
    return np.asarray(np.clip(result, 0, _DEEPEST), np.float32)

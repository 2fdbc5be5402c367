"""Array contracts: what a picture and a matte are, checked where layers meet."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Rgb: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""H x W x 3, uint8 or uint16, RGB order, upright."""

Alpha: TypeAlias = npt.NDArray[np.float32]
"""H x W, float32, in [0, 1]: the alpha matte."""


def check_rgb(rgb: Rgb) -> None:
    """Raise ``ValueError`` unless ``rgb`` is H x W x 3, uint8 or uint16, not empty."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise ValueError(f"expected H x W x 3 pixels, got shape {rgb.shape}")
    if rgb.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 pixels, got {rgb.dtype}")


def check_alpha(alpha: Alpha) -> None:
    """Raise ``ValueError`` unless ``alpha`` is H x W, float32, finite and in [0, 1]."""
    if alpha.ndim != 2 or 0 in alpha.shape:
        raise ValueError(f"expected an H x W alpha matte, got shape {alpha.shape}")
    if alpha.dtype != np.float32:
        raise ValueError(f"expected a float32 alpha matte, got {alpha.dtype}")
    low, high = float(alpha.min()), float(alpha.max())
    if not (low >= 0.0 and high <= 1.0):  # also false for NaN
        raise ValueError(f"alpha matte outside [0, 1]: {low} to {high}")

"""High dynamic range to sRGB: PQ and HLG code values to what an ordinary screen shows.

ITU-R BT.2100-2 (curves), BT.2408 (reference white at 203 cd/m2), BT.2390-10 section 5.4 (the knee
that brings highlights into range; all darker than the knee stays as it is).
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_matting.core.arrays import Rgb
from edge_matting.imaging.icc_build import BT709, Primaries, to_xyz

Floats: TypeAlias = npt.NDArray[np.float32]

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
WHITE: Final = 203.0  # cd/m2 that becomes sRGB's white
_PEAK: Final = 1000.0
_TOP: Final = 10_000.0
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_LUMINANCE: Final = np.array((0.2627, 0.6780, 0.0593), np.float32)
_ROWS: Final = 64


def tone_mapped(rgb: Rgb, transfer: int, primaries: Primaries, peak: float | None = None) -> Rgb:
    """``rgb`` (H x W x 3, uint8 or uint16 code values) as sRGB of the same type.

    ``transfer`` is ``PQ`` or ``HLG``; ``peak`` is the brightest light of the picture in cd/m2.
    """
    top = np.float32(np.iinfo(rgb.dtype).max)
    matrix = (np.linalg.inv(to_xyz(BT709)) @ to_xyz(primaries)).astype(np.float32)
    result = np.empty_like(rgb)
    for start in range(0, rgb.shape[0], _ROWS):
        coded = rgb[start : start + _ROWS].astype(np.float32) / top
        light = _pq_light(coded) if transfer == PQ else _hlg_light(coded)
        shown = _kneed(light, max(peak or _PEAK, WHITE)) / np.float32(WHITE)
        result[start : start + _ROWS] = np.rint(_srgb(shown @ matrix.T) * top)
    return result


def _pq_light(coded: Floats) -> Floats:
    power = np.power(coded, 1 / _M2)
    light: Floats = np.power(np.maximum(power - _C1, 0) / (_C2 - _C3 * power), 1 / _M1)
    return np.asarray(light * np.float32(_TOP), np.float32)


def _pq_code(light: Any) -> Any:
    power = np.power(np.maximum(light, 0) / _TOP, _M1)
    return np.power((_C1 + _C2 * power) / (1 + _C3 * power), _M2)


def _hlg_light(coded: Floats) -> Floats:
    """Light of a display of 1000 cd/m2, through its OOTF of gamma 1.2."""
    high = (np.exp((np.maximum(coded, 0.5) - _C) / _A) + _B) / 12
    scene = np.where(coded <= 0.5, coded * coded / 3, high).astype(np.float32)
    luminance = np.maximum(scene @ _LUMINANCE, np.float32(1e-6))[:, :, np.newaxis]
    shown: Floats = scene * np.power(luminance, np.float32(0.2)) * np.float32(_PEAK)
    return shown


def _kneed(light: Floats, peak: float) -> Floats:
    """Highlights brought below ``WHITE``, the colour of each pixel kept."""
    brightest = np.maximum(light.max(axis=2, keepdims=True), np.float32(1e-6))
    whole = float(_pq_code(peak))
    code = np.minimum(_pq_code(brightest) / whole, 1)
    most = float(_pq_code(WHITE)) / whole
    knee = 1.5 * most - 0.5
    t = np.clip((code - knee) / max(1 - knee, 1e-6), 0, 1)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    bent += (3 * t**2 - 2 * t**3) * most
    lowered = _pq_light(np.where(code < knee, code, bent).astype(np.float32) * np.float32(whole))
    scaled: Floats = light * (lowered / brightest)
    return scaled


def _srgb(linear: Floats) -> Floats:
    inside = np.clip(linear, 0, 1)
    high = np.float32(1.055) * np.power(inside, np.float32(1 / 2.4)) - np.float32(0.055)
    coded: Floats = np.where(inside <= 0.0031308, inside * np.float32(12.92), high)
    return coded

"""Soft alpha from binary masks and trimaps: matting on a narrow band around the outline.

Closed-form matting: Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting"
(2008). Foreground colours: Germer et al., "Fast Multi-Level Foreground Estimation" (2020). Both
through pymatting.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

BAND = 0.012  # half width of the band, in units of the photo's short side
HEAD_BAND = 0.030  # outwards, around the top of a person
HEAD_SHARE = 0.16  # of the person's height
COLLAR = 0.06  # half of the widest collar, in units of the short side
LEAST_AGREEMENT = 0.90  # IoU with the mask below which matting has run away
LEAST_CORE = 12  # pixels: smaller ones are corners of a ragged outline, not gaps or straps


def _disc(radius: int) -> U8:
    side = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _opened(part: U8, radius: int) -> U8:
    """`part` HxW without what is narrower than the disc; past the edge the picture goes on."""
    size = radius + 1
    wide = cv2.copyMakeBorder(part, size, size, size, size, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(wide, cv2.MORPH_OPEN, _disc(radius))
    return np.asarray(opened[size:-size, size:-size], np.uint8)


def _cores(part: U8, opened: U8) -> NDArray[np.bool_]:
    """The middle of each piece of `part` HxW {0, 255} that opening took away."""
    within = cv2.erode(part, _disc(1), borderType=cv2.BORDER_REPLICATE)
    seeds = ((within > 0) & (opened == 0)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(seeds, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= LEAST_CORE
    large[0] = False
    return np.asarray(large[labels], np.bool_)


def trimap_of(mask: U8, *, person: bool) -> U8:
    """Binary mask HxW {0, 255} -> trimap HxW {0, 128, 255}, wider above a person's head.

    Where a gap (between arm and waist) or a part (a strap) is narrower than the band, its middle
    stays what the mask says: without any known pixel there, matting would close or drop it.
    """
    short = min(mask.shape)
    radius = max(2, round(BAND * short))
    ground = np.asarray(255 - mask, np.uint8)
    inner = cv2.erode(mask, _disc(radius), borderType=cv2.BORDER_REPLICATE)
    outer = cv2.dilate(mask, _disc(radius))
    open_ground = _opened(ground, radius)
    rows = np.flatnonzero(mask.max(1))
    if person and rows.size:
        head_end = rows[0] + int(HEAD_SHARE * (rows[-1] - rows[0])) + 1
        head_radius = max(3, round(HEAD_BAND * short))
        wide = cv2.dilate(mask[:head_end], _disc(head_radius))
        outer[:head_end] = np.maximum(outer[:head_end], wide)
        open_ground[:head_end] = _opened(ground, head_radius)[:head_end]
    trimap = np.full(mask.shape, 128, np.uint8)
    trimap[(inner == 255) | _cores(mask, _opened(mask, radius))] = 255
    trimap[(outer == 0) | _cores(ground, open_ground)] = 0
    return trimap


def _agreement(alpha: U8, mask: U8, known: NDArray[np.bool_]) -> float:
    a, m = (alpha >= 128) & known, (mask >= 128) & known
    union = int((a | m).sum())
    return 1.0 if union == 0 else float((a & m).sum()) / union


def solve_alpha(rgb: U8, trimap: U8) -> U8:
    """HxWx3 RGB uint8 and trimap {0, 128, 255} -> alpha HxW uint8 (255 = opaque)."""
    from pymatting import estimate_alpha_cf

    alpha = estimate_alpha_cf(
        rgb.astype(np.float64) / 255.0,
        trimap.astype(np.float64) / 255.0 + (trimap == 128) * (0.5 - 128 / 255),
        cg_kwargs={"maxiter": 400, "rtol": 1e-5},
    )
    alpha = np.clip((alpha - 0.03) / 0.94, 0.0, 1.0)
    return np.asarray(np.round(alpha * 255), np.uint8)


def soft_alpha(rgb: U8, mask: U8, *, person: bool) -> tuple[U8, bool]:
    """Binary mask to soft alpha, both HxW uint8. False where it fell back to a blurred mask."""
    blurred = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.8), np.uint8)
    trimap = trimap_of(mask, person=person)
    if not ((trimap == 255).any() and (trimap == 0).any()):
        return blurred, False
    try:
        alpha = solve_alpha(rgb, trimap)
    except ValueError:
        return blurred, False
    if _agreement(alpha, mask, np.ones(mask.shape, bool)) < LEAST_AGREEMENT:
        return blurred, False
    return alpha, True


def without_collars(trimap: U8) -> U8:
    """Trimap {0, 128, 255} -> the same with collars and harnesses made foreground.

    The pets' trimaps count these as border. They differ from it in two ways: they lie deeper than
    the border is wide, and between two parts of the animal (whiskers lie deep too, but outside).
    """
    depth = cv2.distanceTransform((trimap != 0).astype(np.uint8), cv2.DIST_L2, 5)
    rim = (trimap == 128) & (cv2.dilate((trimap == 255).astype(np.uint8), _disc(1)) > 0)
    if not rim.any():
        return trimap
    width = float(np.median(depth[rim]))
    deep = (trimap == 128) & (depth > 1.4 * width + 1)
    reach = _disc(round(COLLAR * min(trimap.shape)))
    between = cv2.morphologyEx((trimap == 255).astype(np.uint8), cv2.MORPH_CLOSE, reach) > 0
    return np.where(deep & between, 255, trimap).astype(np.uint8)


def pet_alpha(rgb: U8, trimap: U8) -> tuple[U8, bool]:
    """As `soft_alpha`, from a trimap {0, 128, 255} whose border band is unknown."""
    if not (trimap == 0).any():
        return np.where(trimap == 0, 0, 255).astype(np.uint8), False
    return solve_alpha(rgb, without_collars(trimap)), True


def foreground_of(rgb: U8, alpha: U8) -> U8:
    """Colours of the subject without the old background: HxWx3 uint8 for HxW alpha uint8."""
    from pymatting import estimate_foreground_ml

    foreground = estimate_foreground_ml(
        rgb.astype(np.float64) / 255.0, alpha.astype(np.float64) / 255.0
    )
    return np.asarray(np.round(np.clip(foreground, 0, 1) * 255), np.uint8)

"""Geometry and light: random crops, and what cameras, studios and compression do to a photo.

Every function takes and returns RGB uint8 HxWx3 and alpha uint8 HxW unless it says otherwise.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_matting.matting.exposure import equalised

U8 = NDArray[np.uint8]
Rng = np.random.Generator
WELL_DEPTH = 4000.0  # electrons at full scale: a phone's sensor at a middling ISO
READ_NOISE = 4.0
ILL_LIT = 0.12  # of the pictures, by far
TOO_BRIGHT = 0.6  # of these; the others are too dark


def resized(image: U8, width: int, height: int) -> U8:
    """HxW or HxWxC uint8 to the given size: by area when shrinking, linear when growing."""
    shrinking = width < image.shape[1] or height < image.shape[0]
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=how).astype(np.uint8, copy=False)


def rotated(image: U8, degrees: float, border: int = cv2.BORDER_REFLECT_101) -> U8:
    """Turned about the middle; the frame keeps its size."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(
        image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=border
    ).astype(np.uint8, copy=False)


def _crop_box(rng: Rng, height: int, width: int) -> tuple[int, int, int, int]:
    """A box of 30 to 100 % of the area; its shape within a factor 1.7 of the photo's own."""
    area = rng.uniform(0.30, 1.0)
    stretch = math.exp(rng.uniform(-0.53, 0.53))
    h = min(height, max(16, round(height * math.sqrt(area * stretch))))
    w = min(width, max(16, round(width * math.sqrt(area / stretch))))
    return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w


def random_view(rng: Rng, pixels: U8, size: int) -> U8:
    """HxWxC pixels -> size x size x C: the whole photo stretched, a crop, or a turned crop.

    The whole photo stretched to a square is what the appliance feeds the model, so it is frequent.
    """
    if rng.random() < 0.12:
        pixels = rotated(np.ascontiguousarray(pixels), rng.uniform(-15, 15))
    if rng.random() < 0.45:
        return resized(pixels, size, size)
    for _ in range(4):
        y, x, h, w = _crop_box(rng, *pixels.shape[:2])
        view = pixels[y : y + h, x : x + w]
        if pixels.shape[2] < 4 or view[..., 3].mean() > 5:
            break
    return resized(np.ascontiguousarray(view), size, size)


def bust_view(rng: Rng, pixels: U8, size: int) -> U8:
    """HxWxC pixels of a standing person -> size x size x C around the head and shoulders.

    Busts and close-ups are what portraits look like; full-body sets have none of their own.
    """
    alpha = pixels[..., 3]
    rows = np.flatnonzero(alpha.max(1) > 127)
    if rows.size < 40:
        return random_view(rng, pixels, size)
    top, tall = int(rows[0]), int(rows[-1] - rows[0])
    head = np.flatnonzero(alpha[top : top + max(4, tall // 8)].max(0) > 127)
    side = max(48, round(tall * rng.uniform(0.2, 0.5)))
    w = min(pixels.shape[1], round(side * rng.uniform(0.8, 1.3)))
    h = min(pixels.shape[0], side)
    y = int(np.clip(top - rng.uniform(-0.05, 0.25) * h, 0, pixels.shape[0] - h))
    middle = head.mean() + rng.uniform(-0.2, 0.2) * w
    x = int(np.clip(middle - w / 2, 0, pixels.shape[1] - w))
    return resized(np.ascontiguousarray(pixels[y : y + h, x : x + w]), size, size)


def bare_box(rng: Rng, alpha: U8, tries: int) -> tuple[slice, slice] | None:
    """The largest of the random parts of a photo, alpha HxW, that lie well away from its subject.

    None where no try finds one. A part is at least 72 pixels wide and high.
    """
    height, width = alpha.shape
    margin = round(0.03 * min(height, width))
    best, largest = None, 0
    for _ in range(tries):
        h, w = (round(length * rng.uniform(0.15, 0.9)) for length in (height, width))
        y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        if min(h, w) < 72 or not 0.33 < h / w < 3 or h * w <= largest:
            continue
        around = alpha[max(0, y - margin) : y + h + margin, max(0, x - margin) : x + w + margin]
        if not around.any():
            best, largest = (slice(y, y + h), slice(x, x + w)), h * w
    return best


def bare_view(rng: Rng, pixels: U8, size: int) -> U8 | None:
    """HxWxC pixels with alpha as the fourth -> size x size x 3 RGB of a part without the subject.

    None where a few tries find no such part. Real backgrounds behind subjects are what a model
    mistakes for subjects; scenes photographed for their own sake are easier.
    """
    part = bare_box(rng, pixels[..., 3], tries=12)
    return (
        None if part is None else resized(np.ascontiguousarray(pixels[part][..., :3]), size, size)
    )


def _curve(rng: Rng) -> U8:
    """One look-up table per channel, 256x1x3: gain, gamma, contrast and white balance."""
    x = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = math.exp(rng.uniform(-0.45, 0.45))
    gain, lift = rng.uniform(0.65, 1.35), rng.uniform(-0.08, 0.08)
    contrast = rng.uniform(0.7, 1.3)
    common = ((x**gamma - 0.5) * contrast + 0.5) * gain + lift
    balance = rng.uniform(0.88, 1.12, 3) if rng.random() < 0.6 else np.ones(3)
    table = np.clip(common[:, None] * balance[None, :] * 255, 0, 255)
    return table.astype(np.uint8).reshape(256, 1, 3)


def _saturation(rng: Rng, rgb: U8) -> U8:
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    keep = 0.0 if rng.random() < 0.2 else rng.uniform(0.3, 1.6)
    return cv2.addWeighted(rgb, keep, grey, 1 - keep, 0).astype(np.uint8, copy=False)


def _jpeg(rgb: U8, quality: int) -> U8:
    _, coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _noise(rng: Rng, rgb: U8) -> U8:
    sigma = rng.uniform(2, 14)
    noise = np.empty(rgb.shape, np.int16)
    cv2.randn(noise, np.zeros(3), np.full(3, sigma))
    return cv2.add(rgb, noise, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


def light(rng: Rng, rgb: U8) -> U8:
    """Colour and exposure only: also used on a subject apart from its new background."""
    return cv2.LUT(rgb, _curve(rng)).astype(np.uint8, copy=False)


def camera(rng: Rng, rgb: U8) -> U8:
    """What happens to the whole picture: light, colour, blur, noise, JPEG."""
    if rng.random() < ILL_LIT:
        rgb = _ill_lit(rng, rgb)
    elif rng.random() < 0.75:
        rgb = light(rng, rgb)
    if rng.random() < 0.35:
        rgb = _saturation(rng, rgb)
    if rng.random() < 0.15:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.4)).astype(np.uint8, copy=False)
    if rng.random() < 0.25:
        rgb = _noise(rng, rgb)
    if rng.random() < 0.4:
        rgb = _jpeg(np.ascontiguousarray(rgb), int(rng.integers(25, 95)))
    return rgb


def exposed(rng: Rng, rgb: U8, stops: float) -> U8:
    """The photo as an 8-bit camera would have taken it with `stops` more light."""
    if stops == 0:
        return rgb
    electrons = (rgb / 255.0) ** 2.2 * 2.0**stops * WELL_DEPTH
    noisy = rng.poisson(electrons) + rng.normal(0, READ_NOISE, rgb.shape)
    linear = np.clip(noisy / WELL_DEPTH, 0, 1)
    return np.rint(linear ** (1 / 2.2) * 255).astype(np.uint8)


def _ill_lit(rng: Rng, rgb: U8) -> U8:
    """Far too bright or too dark, and then as the appliance shows it to its network."""
    stops = rng.uniform(0.7, 3.0) if rng.random() < TOO_BRIGHT else rng.uniform(-6.0, -1.5)
    return np.asarray(equalised(exposed(rng, rgb, stops)), np.uint8)

"""Hair finer than a pixel: strands drawn at three times the size, thinner towards their tips."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.training.augment import Rng, resized

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]
FINE = 3
SHIFT = 4
PIECES = 3  # of a strand, each thinner than the one before


def with_strands(rng: Rng, cut: U8, *, head: bool) -> U8:
    """An RGBA cut-out with strands around it, in the colours of its rim; wider by a margin.

    ``head``: only around the top, as on a person.
    """
    side = 300
    height, width = cut.shape[:2]
    scale = side / max(height, width)
    body = resized(cut, max(8, round(width * scale)), max(8, round(height * scale)))
    pad = round(0.14 * side)
    body = np.asarray(cv2.copyMakeBorder(body, pad, 0, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
    body[:pad, :, 3] = 0
    body[:, :pad, 3] = 0
    body[:, -pad:, 3] = 0
    alpha = np.ascontiguousarray(body[..., 3])
    outlines, _ = cv2.findContours(
        (alpha > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if not outlines:
        return np.ascontiguousarray(body)
    outline = max(outlines, key=len)[:, 0].astype(np.float32)
    rows = outline[:, 1]
    reach = rows.min() + (rows.max() - rows.min()) * (rng.uniform(0.08, 0.16) if head else 1.0)
    outline = outline[rows <= reach]
    if len(outline) < 12:
        return np.ascontiguousarray(body)
    roots = outline[rng.integers(len(outline), size=int(rng.integers(60, 700)))]
    soft = cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 4)
    slope = np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)])
    normal = -slope[:, roots[:, 1].astype(int), roots[:, 0].astype(int)].T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-3)
    drawn, colour = _drawn(rng, body, roots - 3 * normal, normal)
    cover = drawn[..., None].astype(np.float32) / 255
    own = alpha[..., None].astype(np.float32) / 255
    rgb = body[..., :3] * own + colour * (1 - own)
    out = np.maximum(alpha, drawn)
    rgb = np.where(own > 0.5, rgb * (1 - 0.3 * cover) + colour * 0.3 * cover, rgb)
    return np.ascontiguousarray(np.dstack([np.clip(rgb, 0, 255).astype(np.uint8), out]))


def _drawn(rng: Rng, body: U8, roots: F32, normal: F32) -> tuple[U8, F32]:
    """Coverage HxW uint8 of the strands, and one colour for them, (3,) float32."""
    height, width = body.shape[:2]
    count = len(roots)
    length = 300 * rng.uniform(0.02, 0.12) * rng.uniform(0.3, 1.5, (count, 1))
    comb = rng.normal(0, 0.8, 2)
    bend = comb + rng.normal(0, rng.uniform(0.2, 0.9), (count, 2))
    t = np.linspace(0, 1, 10)[None, :, None]
    points = roots[:, None] + (normal[:, None] * t + bend[:, None] * t**2) * length[:, None]
    points = points + rng.normal(0, 0.5, (count, 1, 2)) * np.sin(t * np.pi * rng.uniform(1, 3))
    canvas = np.zeros((height * FINE, width * FINE), np.uint8)
    fixed = np.round(points * FINE * 2**SHIFT).astype(np.int32)
    thick = int(rng.integers(2, 5))
    for piece in range(PIECES):
        part = list(fixed[:, piece * 3 : piece * 3 + 4])
        level = 255 - 70 * piece * (thick - piece < 1)
        cv2.polylines(canvas, part, False, level, max(1, thick - piece), cv2.LINE_AA, SHIFT)
    inside = np.clip(roots - 3 * normal, 0, [width - 1, height - 1]).astype(int)
    seen = body[inside[:, 1], inside[:, 0], :3].astype(np.float32)
    return resized(canvas, width, height), np.median(seen, axis=0).astype(np.float32)

"""Things of a shop, drawn with exact alpha: rings, chains, chairs, mugs, watches, plush and others.

Each is drawn three times as large and averaged, so that its edge is as soft as a lens draws it and
its holes are as small as real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Rng = np.random.Generator
Draw = Callable[[U8, Rng], None]

OVER: Final = 3  # how much larger a thing is drawn


def thing(name: str, rng: Rng, size: tuple[int, int]) -> tuple[F32, F32]:
    """Colours (H x W x 3) and alpha (H x W), float32 in [0, 1], of ``size`` (width, height)."""
    width, height = size
    canvas = np.zeros((height * OVER, width * OVER), np.uint8)
    THINGS[name](canvas, rng)
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small / np.float32(255), (0, 0), rng.uniform(0.4, 1.1))
    alpha = np.asarray(soft, np.float32)
    alpha[alpha < 1 / 255] = 0
    alpha[alpha > 254 / 255] = 1
    colour = shaded(rng, alpha, base_colour(rng, pale=name in PALE))
    if name in DETAILED:
        details(rng, colour, alpha)
    if name.endswith("print"):
        print_on(rng, colour, alpha)
    return colour, alpha


def base_colour(rng: Rng, *, pale: bool) -> F32:
    """The colour of a thing, 3 values; a pale one is near white."""
    if pale:
        return np.asarray(rng.uniform(0.86, 1.0) - rng.uniform(0, 0.05, 3), np.float32)
    kind = rng.integers(4)
    if kind == 0:  # metal, grey
        return np.asarray(np.full(3, rng.uniform(0.25, 0.75)), np.float32)
    if kind == 1:  # dark
        return np.asarray(rng.uniform(0.03, 0.25, 3), np.float32)
    if kind == 2:  # gold, leather, wood
        return np.asarray(np.array([0.75, 0.55, 0.3]) * rng.uniform(0.5, 1.15), np.float32)
    return np.asarray(rng.uniform(0.05, 0.95, 3), np.float32)


def shaded(rng: Rng, alpha: F32, base: F32) -> F32:
    """``base`` under a light: darker at its rims, with folds, grain and highlights."""
    height, width = alpha.shape
    inside = (alpha > 0.5).astype(np.uint8)
    depth = np.asarray(cv2.distanceTransform(inside, cv2.DIST_L2, 3), np.float32)
    reach = rng.uniform(2, 0.03 * max(alpha.shape))
    light = 1 - rng.uniform(0.04, 0.3) * np.exp(-depth / reach)
    for cells, strength in ((5, 0.1), (20, 0.05)):
        coarse = rng.normal(0, strength * rng.uniform(0.2, 1), (cells, cells)).astype(np.float32)
        light += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    light += rng.normal(0, 0.01, alpha.shape)
    shine = cv2.resize(
        rng.normal(0, 1, (14, 14)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    colour = base * light[..., None] + 0.35 * np.clip(shine - 1.6, 0, 1)[..., None]
    return np.asarray(np.clip(colour, 0, 1), np.float32)


def details(rng: Rng, colour: F32, alpha: F32) -> None:
    """White print, hands of a watch, labels: parts of the thing that look like a white ground."""
    rows, columns = np.nonzero(alpha > 0.999)
    if not len(rows):
        return
    side = max(alpha.shape)
    mark = np.zeros(alpha.shape, np.uint8)
    for _ in range(int(rng.integers(3, 9))):
        at = int(rng.integers(len(rows)))
        x, y = int(columns[at]), int(rows[at])
        long, thick = rng.uniform(0.02, 0.08) * side, int(rng.integers(2, 9))
        turn = rng.uniform(0, 2 * np.pi)
        end = int(x + long * np.cos(turn)), int(y + long * np.sin(turn))
        if rng.random() < 0.3:
            cv2.circle(mark, (x, y), int(long / 3), 255, -1, cv2.LINE_AA)
        else:
            cv2.line(mark, (x, y), end, 255, thick, cv2.LINE_AA)
    core = cv2.erode((alpha > 0.999).astype(np.uint8), np.ones((7, 7), np.uint8))
    share = cv2.GaussianBlur(mark * core, (0, 0), 0.7).astype(np.float32)[..., None] / 255
    white = np.float32(rng.uniform(0.88, 1.0)) - rng.uniform(0, 0.03, 3).astype(np.float32)
    colour += share * (white - colour)


def _at(canvas: U8, x: float, y: float) -> tuple[int, int]:
    return round(x * (canvas.shape[1] - 1)), round(y * (canvas.shape[0] - 1))


def _px(canvas: U8, share: float) -> int:
    return max(OVER, round(share * min(canvas.shape)))


def _line(canvas: U8, points: list[tuple[float, float]], share: float, value: int = 255) -> None:
    path = np.array([_at(canvas, *point) for point in points], np.int32)
    cv2.polylines(canvas, [path], False, value, _px(canvas, share), cv2.LINE_AA)


def ring(canvas: U8, rng: Rng) -> None:
    axes = _px(canvas, rng.uniform(0.2, 0.35)), _px(canvas, rng.uniform(0.15, 0.35))
    turn, thick = rng.uniform(0, 180), _px(canvas, rng.uniform(0.02, 0.09))
    cv2.ellipse(canvas, _at(canvas, 0.5, 0.5), axes, turn, 0, 360, 255, thick, cv2.LINE_AA)
    if rng.random() < 0.6:
        cv2.circle(canvas, _at(canvas, 0.5, 0.5 - axes[1] / canvas.shape[0]), thick, 255, -1)


def earrings(canvas: U8, rng: Rng) -> None:
    radius, thick = _px(canvas, rng.uniform(0.06, 0.14)), _px(canvas, rng.uniform(0.012, 0.03))
    gap = rng.uniform(0.14, 0.2)
    for side in (-1, 1):
        x = 0.5 + side * gap
        cv2.circle(canvas, _at(canvas, x, 0.6), radius, 255, thick, cv2.LINE_AA)
        _line(canvas, [(x, 0.6 - radius / canvas.shape[0]), (x, 0.3)], 0.01)
        cv2.circle(canvas, _at(canvas, x, 0.3), _px(canvas, 0.025), 255, -1, cv2.LINE_AA)


def chain(canvas: U8, rng: Rng) -> None:
    count, dip = int(rng.integers(24, 44)), rng.uniform(0.3, 0.5)
    for index in range(count):
        part = index / (count - 1)
        x, y = 0.18 + 0.64 * part, 0.25 + dip * np.sin(np.pi * part)
        slope = np.degrees(np.arctan2(dip * np.pi * np.cos(np.pi * part), 0.64))
        axes = _px(canvas, 0.024), _px(canvas, 0.014 if index % 2 else 0.007)
        cv2.ellipse(canvas, _at(canvas, x, y), axes, slope, 0, 360, 255, _px(canvas, 0.006))
    cv2.circle(canvas, _at(canvas, 0.5, 0.29 + dip), _px(canvas, 0.05), 255, _px(canvas, 0.02))


def chair(canvas: U8, rng: Rng) -> None:
    thick = rng.uniform(0.012, 0.035)
    left, right, seat = 0.3, 0.7, rng.uniform(0.5, 0.58)
    lean = rng.uniform(-0.04, 0.04)
    for x in (left, right):
        _line(canvas, [(x + lean, 0.14), (x, seat), (x + 2 * lean, 0.88)], thick)
    for x in (left + 0.09, right + 0.09):
        _line(canvas, [(x, seat + 0.05), (x, 0.82)], thick)
    for index in range(int(rng.integers(2, 6))):
        y = 0.18 + 0.06 * index
        _line(canvas, [(left + lean, y), (right + lean, y)], thick * 0.8)
    corners = [(left - 0.02, seat), (right, seat), (right + 0.11, seat + 0.06), (0.38, seat + 0.06)]
    cv2.fillPoly(canvas, [np.array([_at(canvas, *c) for c in corners], np.int32)], 255, cv2.LINE_AA)
    _line(canvas, [(left, 0.75), (right, 0.75)], thick * 0.7)


def mug(canvas: U8, rng: Rng) -> None:
    left, right = 0.3, rng.uniform(0.55, 0.62)
    top, bottom = rng.uniform(0.25, 0.35), rng.uniform(0.68, 0.8)
    cv2.rectangle(canvas, _at(canvas, left, top), _at(canvas, right, bottom), 255, -1)
    middle = _at(canvas, (left + right) / 2, top), _at(canvas, (left + right) / 2, bottom)
    axes = _at(canvas, (right - left) / 2, 0.04)
    for centre in middle:
        cv2.ellipse(canvas, centre, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    handle = _px(canvas, rng.uniform(0.09, 0.13)), _px(canvas, rng.uniform(0.1, 0.16))
    at = _at(canvas, right, (top + bottom) / 2)
    cv2.ellipse(canvas, at, handle, 0, -95, 95, 255, _px(canvas, rng.uniform(0.02, 0.045)))


def wheel(canvas: U8, rng: Rng) -> None:
    radius, centre = _px(canvas, rng.uniform(0.3, 0.4)), _at(canvas, 0.5, 0.5)
    cv2.circle(canvas, centre, radius, 255, _px(canvas, rng.uniform(0.015, 0.04)), cv2.LINE_AA)
    cv2.circle(canvas, centre, _px(canvas, 0.03), 255, -1, cv2.LINE_AA)
    count = int(rng.integers(8, 22))
    for turn in np.linspace(0, 2 * np.pi, count, endpoint=False):
        end = centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)
        cv2.line(canvas, centre, (int(end[0]), int(end[1])), 255, _px(canvas, 0.005), cv2.LINE_AA)


def frame(canvas: U8, rng: Rng) -> None:
    thick = _px(canvas, rng.uniform(0.03, 0.09))
    cv2.rectangle(canvas, _at(canvas, 0.25, 0.2), _at(canvas, 0.75, 0.8), 255, thick)


def glasses(canvas: U8, rng: Rng) -> None:
    thick = rng.uniform(0.01, 0.025)
    axes = _px(canvas, 0.13), _px(canvas, rng.uniform(0.09, 0.13))
    for x in (0.33, 0.67):
        cv2.ellipse(canvas, _at(canvas, x, 0.5), axes, 0, 0, 360, 255, _px(canvas, thick))
    _line(canvas, [(0.45, 0.47), (0.5, 0.45), (0.55, 0.47)], thick)
    _line(canvas, [(0.2, 0.47), (0.12, 0.35)], thick)
    _line(canvas, [(0.8, 0.47), (0.88, 0.35)], thick)


def shoes(canvas: U8, rng: Rng) -> None:
    gap = rng.uniform(0.015, 0.05)
    for side in (-1, 1):
        x = 0.5 + side * (0.12 + gap)
        axes = _px(canvas, 0.115), _px(canvas, rng.uniform(0.25, 0.32))
        cv2.ellipse(canvas, _at(canvas, x, 0.5), axes, side * 6, 0, 360, 255, -1, cv2.LINE_AA)


def bottle(canvas: U8, rng: Rng) -> None:
    half, shoulder = rng.uniform(0.08, 0.16), rng.uniform(0.3, 0.42)
    cv2.rectangle(canvas, _at(canvas, 0.5 - half, shoulder), _at(canvas, 0.5 + half, 0.85), 255, -1)
    axes = _at(canvas, half, rng.uniform(0.04, 0.1))
    cv2.ellipse(canvas, _at(canvas, 0.5, shoulder), axes, 0, 180, 360, 255, -1, cv2.LINE_AA)
    neck = half * rng.uniform(0.3, 0.8)
    cv2.rectangle(canvas, _at(canvas, 0.5 - neck, 0.18), _at(canvas, 0.5 + neck, shoulder), 255, -1)


def shirt(canvas: U8, rng: Rng) -> None:
    out, low = rng.uniform(0.03, 0.08), rng.uniform(0.45, 0.62)
    half = [(0.56, 0.17), (0.7, 0.22), (0.82 + out, low), (0.75 + out, low + 0.05), (0.67, 0.4)]
    half += [(0.68, 0.85)]
    other = [(1 - x, y) for x, y in reversed(half)]
    path = np.array([_at(canvas, x, y) for x, y in [*half, *other]], np.int32)
    cv2.fillPoly(canvas, [path], 255, cv2.LINE_AA)
    cv2.ellipse(canvas, _at(canvas, 0.5, 0.16), _at(canvas, 0.07, 0.05), 0, 0, 360, 0, -1)


def plush(canvas: U8, rng: Rng) -> None:
    for x, y, share in ((0.5, 0.62, 0.2), (0.5, 0.36, 0.14), (0.4, 0.25, 0.05), (0.6, 0.25, 0.05)):
        radius = _px(canvas, share)
        cx, cy = _at(canvas, x, y)
        cv2.circle(canvas, (cx, cy), radius, 255, -1, cv2.LINE_AA)
        for turn in rng.uniform(0, 2 * np.pi, int(900 * share)):
            bend, long = rng.normal(0, 0.4), radius * rng.uniform(1.03, 1.25)
            begin = cx + 0.95 * radius * np.cos(turn), cy + 0.95 * radius * np.sin(turn)
            end = cx + long * np.cos(turn + bend / 5), cy + long * np.sin(turn + bend / 5)
            first, last = ((int(px), int(py)) for px, py in (begin, end))
            cv2.line(canvas, first, last, 255, int(rng.integers(2, 5)), cv2.LINE_AA)


def basket(canvas: U8, rng: Rng) -> None:
    step, thick = rng.uniform(0.05, 0.09), rng.uniform(0.014, 0.026)
    xs, ys = np.arange(0.25, 0.76, step), np.arange(0.4, 0.81, step)
    for x in xs:
        _line(canvas, [(x, ys[0]), (0.5 + 0.85 * (x - 0.5), ys[-1])], thick)
    for y in ys:
        inset = 0.075 * 0.5 * (y - ys[0]) / 0.4
        _line(canvas, [(xs[0] + inset, y), (xs[-1] - inset, y)], thick)
    axes = _at(canvas, 0.22, 0.24)
    cv2.ellipse(canvas, _at(canvas, 0.5, 0.4), axes, 0, 180, 360, 255, _px(canvas, 0.02))


def watch(canvas: U8, rng: Rng) -> None:
    band = rng.uniform(0.06, 0.1)
    cv2.rectangle(canvas, _at(canvas, 0.5 - band, 0.1), _at(canvas, 0.5 + band, 0.9), 255, -1)
    cv2.circle(canvas, _at(canvas, 0.5, 0.5), _px(canvas, rng.uniform(0.16, 0.24)), 255, -1)


def can(canvas: U8, rng: Rng) -> None:
    half = rng.uniform(0.14, 0.24)
    cv2.rectangle(canvas, _at(canvas, 0.5 - half, 0.22), _at(canvas, 0.5 + half, 0.8), 255, -1)
    for y in (0.22, 0.8):
        cv2.ellipse(canvas, _at(canvas, 0.5, y), _at(canvas, half, 0.04), 0, 0, 360, 255, -1)


def lamp(canvas: U8, rng: Rng) -> None:
    thick = rng.uniform(0.006, 0.018)
    _line(canvas, [(0.5, 0.35), (0.5, 0.85)], thick)
    cv2.ellipse(canvas, _at(canvas, 0.5, 0.86), _at(canvas, 0.12, 0.02), 0, 0, 360, 255, -1)
    shade = [(0.4, 0.12), (0.6, 0.12), (0.68, 0.36), (0.32, 0.36)]
    cv2.fillPoly(canvas, [np.array([_at(canvas, *p) for p in shade], np.int32)], 255, cv2.LINE_AA)


def carton(canvas: U8, rng: Rng) -> None:
    left, right, top = rng.uniform(0.2, 0.32), rng.uniform(0.62, 0.8), rng.uniform(0.15, 0.3)
    lean = rng.uniform(-0.03, 0.03)
    corners = [(left, top), (right, top + lean), (right, 0.84), (left, 0.84 - lean)]
    cv2.fillPoly(canvas, [np.array([_at(canvas, *c) for c in corners], np.int32)], 255, cv2.LINE_AA)


def print_on(rng: Rng, colour: F32, alpha: F32) -> None:
    """Dark and coloured print on a white carton: lines of text, blocks, a picture."""
    rows, columns = np.nonzero(alpha > 0.99)
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    for _ in range(int(rng.integers(5, 16))):
        ink = rng.uniform(0.0, 0.9, 3).astype(np.float32)
        mark = np.zeros(alpha.shape, np.uint8)
        x, y = int(rng.integers(left, right)), int(rng.integers(top, bottom))
        kind = rng.integers(3)
        if kind == 0:
            size = rng.uniform(0.6, 3.0)
            cv2.putText(
                mark,
                "MILD 1,5% eko"[: int(rng.integers(2, 13))],
                (x, y),
                cv2.FONT_HERSHEY_DUPLEX,
                size,
                255,
                max(1, int(2 * size)),
                cv2.LINE_AA,
            )
        elif kind == 1:
            end = x + int(rng.integers(10, 260)), y + int(rng.integers(8, 120))
            cv2.rectangle(mark, (x, y), end, 255, -1)
        else:
            cv2.circle(mark, (x, y), int(rng.integers(8, 90)), 255, int(rng.choice([-1, 6])))
        share = (mark / np.float32(255) * (alpha > 0.5))[..., None]
        colour += share * (ink - colour)


THINGS: Final[dict[str, Draw]] = {
    "ring": ring,
    "earrings": earrings,
    "chain": chain,
    "chair": chair,
    "mug": mug,
    "wheel": wheel,
    "frame": frame,
    "glasses": glasses,
    "shoes": shoes,
    "bottle": bottle,
    "shirt": shirt,
    "plush": plush,
    "basket": basket,
    "watch": watch,
    "can": can,
    "lamp": lamp,
    "pale bottle": bottle,
    "pale shirt": shirt,
    "pale mug": mug,
    "pale shoes": shoes,
    "pale carton": carton,
    "pale carton with print": carton,
}
PALE: Final = frozenset(name for name in THINGS if name.startswith("pale"))
DETAILED: Final = frozenset({"watch", "can", "mug", "bottle", "shirt"})

"""Wheels, bicycles, chairs, racks, lamps, rackets, hangers, ladders: frames with gaps."""

from __future__ import annotations

import numpy as np

from tools.training.augment import Rng
from tools.training.goods.canvas import Canvas, Material, material
from tools.training.goods.shapes import F32, View, ellipse, profile, smooth, superellipse


def _line(*points: tuple[float, float]) -> F32:
    return np.asarray(points, np.float32)


class Hoop:
    """An ellipse that spokes run to."""

    def __init__(self, at: tuple[float, float], radii: tuple[float, float], turn: float) -> None:
        self.at, self.radii, self.turn = at, radii, turn

    def spokes(self, rng: Rng, canvas: Canvas, metal: Material, thin: float, count: int) -> None:
        rim = ellipse(self.at, self.radii, self.turn, count)
        small = (self.radii[0] * 0.09, self.radii[1] * 0.09)
        hub = ellipse(self.at, small, self.turn + rng.uniform(0, 0.6), count)
        for i in range(count):
            canvas.stroke(np.stack([hub[(i + i % 2) % count], rim[i]]), thin, metal)


def wheel(rng: Rng, canvas: Canvas) -> None:
    """A tyre, a rim, spokes and a hub; seen from the front or at an angle."""
    at, wide = (0.5, 0.5), 0.42
    radii, turn = (wide * rng.uniform(0.35, 1.0), wide), rng.uniform(-0.3, 0.3)
    metal, tyre = material(rng), Material(np.full(3, rng.uniform(10, 60), np.float32), 0.7, 0.1)
    thin = rng.random() < 0.65
    count = int(rng.integers(16, 37)) if thin else int(rng.integers(4, 11))
    hoop = Hoop(at, radii, turn)
    hoop.spokes(rng, canvas, metal, 0.004 if thin else rng.uniform(0.02, 0.05), count)
    canvas.stroke(ellipse(at, radii, turn), rng.uniform(0.02, 0.06), tyre, closed=True)
    inner = (radii[0] * 0.92, radii[1] * 0.92)
    canvas.stroke(ellipse(at, inner, turn), 0.014, metal, closed=True)
    canvas.fill(ellipse(at, (radii[0] * 0.11, radii[1] * 0.11), turn), metal)


def bicycle(rng: Rng, canvas: Canvas) -> None:
    """Two wheels and a frame of tubes, from the side."""
    frame, metal = material(rng), material(rng)
    tyre = Material(np.full(3, rng.uniform(10, 70), np.float32), 0.7, 0.1)
    radius, flat = rng.uniform(0.17, 0.2), rng.uniform(0.75, 1.0)
    y = 0.66
    back, front = 0.5 - 0.27 * flat, 0.5 + 0.27 * flat
    for x in (back, front):
        hoop = Hoop((x, y), (radius * flat, radius), 0.0)
        hoop.spokes(rng, canvas, metal, 0.002, int(rng.integers(14, 30)))
        tyre_line = ellipse((x, y), (radius * flat, radius))
        canvas.stroke(tyre_line, rng.uniform(0.008, 0.025), tyre, closed=True)
    tube = rng.uniform(0.009, 0.022)
    foot = (0.47, y + 0.02)
    seat, head = (0.43, y - rng.uniform(0.18, 0.25)), (front - 0.06, y - rng.uniform(0.2, 0.26))
    for one, other in (((back, y), foot), (foot, seat), (seat, (back, y)), (foot, head),
                       (seat, head), (head, (front, y))):  # fmt: skip
        canvas.stroke(_line(one, other), tube, frame)
    saddle = (seat[0] - 0.02, seat[1] - 0.06)
    canvas.stroke(_line(seat, saddle), tube * 0.8, metal)
    canvas.fill(superellipse(saddle, (0.055, 0.014), 2), tyre)
    bar = (head[0] - 0.01, head[1] - 0.06)
    canvas.stroke(_line(head, bar), tube * 0.8, metal)
    canvas.stroke(smooth([bar, (bar[0] + 0.05, bar[1]), (bar[0] + 0.07, bar[1] + 0.04)]),
                  tube, metal)  # fmt: skip
    canvas.stroke(ellipse(foot, (0.035, 0.035)), 0.01, metal, closed=True)


def chair(rng: Rng, canvas: Canvas) -> None:
    """Four legs, a seat, a back of bars; also stools and tables."""
    view, made = View(rng), material(rng)
    rod = rng.uniform(0.012, 0.035)
    w, d, seat = rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.8), rng.uniform(-0.3, 0.2)
    for x, z in ((-w, -d), (w, -d), (-w, d), (w, d)):
        slant = rng.uniform(0, 0.12)
        canvas.stroke(view([(x, seat, z), (x * (1 + slant), -1, z * (1 + slant))]), rod, made)
    if rng.random() < 0.5:
        level = rng.uniform(-0.8, seat - 0.2)
        for one, other in (((-w, level, -d), (w, level, -d)), ((-w, level, d), (w, level, d))):
            canvas.stroke(view([one, other]), rod * 0.7, made)
    cover = made if rng.random() < 0.5 else material(rng)
    top = view([(-w, seat, -d), (w, seat, -d), (w, seat, d), (-w, seat, d)])
    canvas.fill(top, cover, flat=True)
    canvas.stroke(top, rod, cover, closed=True)
    if rng.random() < 0.7:
        _back(rng, canvas, view, made, (w, d, seat, rod))


def _back(rng: Rng, canvas: Canvas, view: View, made: Material,
          sizes: tuple[float, float, float, float]) -> None:  # fmt: skip
    w, d, seat, rod = sizes
    lean = d * rng.uniform(1.0, 1.25)
    for x in (-w, w):
        canvas.stroke(view([(x, seat, -d), (x, 1, -lean)]), rod, made)
    canvas.stroke(view([(-w, 1, -lean), (w, 1, -lean)]), rod * 1.3, made)
    for x in np.linspace(-w, w, int(rng.integers(3, 9)))[1:-1]:
        canvas.stroke(view([(x, seat, -d), (x, 1, -lean)]), rod * 0.7, made)


def rack(rng: Rng, canvas: Canvas) -> None:
    """A box of rods with shelves, or a cage with close bars."""
    view, made, rod = View(rng), material(rng), rng.uniform(0.007, 0.028)
    w, d, h = rng.uniform(0.4, 0.9), rng.uniform(0.3, 0.7), rng.uniform(0.6, 1.0)
    for x, z in ((-w, -d), (w, -d), (-w, d), (w, d)):
        canvas.stroke(view([(x, -h, z), (x, h, z)]), rod, made)
    cage = rng.random() < 0.5
    for y in np.linspace(-h, h, int(rng.integers(2, 6))):
        square = view([(-w, y, -d), (w, y, -d), (w, y, d), (-w, y, d)])
        if not cage and rng.random() < 0.6:
            canvas.fill(square, made, flat=True)
        canvas.stroke(square, rod, made, closed=True)
    if cage:
        for x in np.linspace(-w, w, int(rng.integers(5, 14))):
            for z in (-d, d):
                canvas.stroke(view([(x, -h, z), (x, h, z)]), rod * 0.6, made)


def lamp(rng: Rng, canvas: Canvas) -> None:
    """A foot, a thin stem or arms with joints, and a shade."""
    made, shade = material(rng), material(rng)
    rod = rng.uniform(0.008, 0.024)
    x = rng.uniform(0.35, 0.65)
    canvas.fill(superellipse((x, 0.93), (rng.uniform(0.08, 0.16), rng.uniform(0.012, 0.035)), 2.2),
                made)  # fmt: skip
    wide = rng.uniform(0.09, 0.2)
    if rng.random() < 0.5:  # straight
        top = rng.uniform(0.12, 0.5)
        canvas.stroke(_line((x, 0.93), (x, top)), rod, made)
        narrow = wide * rng.uniform(0.45, 1.0)
        canvas.fill(_line((x - narrow, top - 0.1), (x + narrow, top - 0.1), (x + wide, top + 0.1),
                          (x - wide, top + 0.1)), shade)  # fmt: skip
        return
    elbow = (x + rng.uniform(-0.25, 0.25), rng.uniform(0.45, 0.6))
    end = (x + rng.uniform(-0.3, 0.3), rng.uniform(0.12, 0.3))
    path = [(x, 0.93), elbow, end]
    line = smooth(path) if rng.random() < 0.4 else np.asarray(path, np.float32)
    canvas.stroke(line, rod, made)
    if rng.random() < 0.4:  # a second, parallel arm with a gap
        canvas.stroke(line + np.array([rod * 2.5, 0], np.float32), rod, made)
    way = 1 if end[0] > elbow[0] else -1
    x, y = end
    cone = _line((x - way * 0.02, y - 0.03), (x + way * 0.03, y - 0.05), (x + way * wide, y + 0.06),
                 (x - way * 0.01, y + 0.16))  # fmt: skip
    canvas.fill(cone, shade)


def racket(rng: Rng, canvas: Canvas) -> None:
    """A frame with strings, or a sieve, a mirror's empty rim, a net on a handle."""
    made, strings = material(rng), material(rng)
    at, radii = (0.5, 0.35), (rng.uniform(0.18, 0.27), rng.uniform(0.22, 0.28))
    hoop = ellipse(at, radii)
    if rng.random() < 0.8:
        step, thin = rng.uniform(0.02, 0.06), rng.uniform(0.002, 0.006)
        for k in np.arange(-radii[0] + step, radii[0], step):
            tall = radii[1] * np.sqrt(1 - (k / radii[0]) ** 2)
            canvas.stroke(_line((0.5 + k, at[1] - tall), (0.5 + k, at[1] + tall)), thin, strings)
        for k in np.arange(-radii[1] + step, radii[1], step):
            wide = radii[0] * np.sqrt(1 - (k / radii[1]) ** 2)
            canvas.stroke(_line((0.5 - wide, at[1] + k), (0.5 + wide, at[1] + k)), thin, strings)
    canvas.stroke(hoop, rng.uniform(0.015, 0.04), made, closed=True)
    foot = at[1] + radii[1]
    if rng.random() < 0.5:
        canvas.stroke(_line((0.42, foot - 0.05), (0.5, foot + 0.12)), 0.022, made)
        canvas.stroke(_line((0.58, foot - 0.05), (0.5, foot + 0.12)), 0.022, made)
    canvas.stroke(_line((0.5, foot + 0.1), (0.5, 0.95)), rng.uniform(0.025, 0.06), material(rng))


def hanger(rng: Rng, canvas: Canvas) -> None:
    """A clothes hanger."""
    made, rod = material(rng), rng.uniform(0.01, 0.03)
    w, low = rng.uniform(0.35, 0.45), rng.uniform(0.55, 0.68)
    canvas.stroke(smooth([(0.5 - w, low), (0.35, 0.45), (0.5, 0.36), (0.65, 0.45), (0.5 + w, low)]),
                  rod, made)  # fmt: skip
    if rng.random() < 0.7:
        canvas.stroke(_line((0.5 - w, low), (0.5 + w, low)), rod, made)
    canvas.stroke(smooth([(0.5, 0.36), (0.5, 0.28), (0.55, 0.22), (0.51, 0.15), (0.45, 0.19)]),
                  rod * 0.5, material(rng))  # fmt: skip


def ladder(rng: Rng, canvas: Canvas) -> None:
    """A ladder, a grid or a comb-like thing with even gaps."""
    view, made, rod = View(rng), material(rng), rng.uniform(0.012, 0.04)
    w = rng.uniform(0.2, 0.8)
    for x in (-w, w):
        canvas.stroke(view([(x, -1, 0), (x * rng.uniform(0.7, 1), 1, 0)]), rod, made)
    for y in np.linspace(-0.9, 0.9, int(rng.integers(4, 12))):
        canvas.stroke(view([(-w, y, 0), (w, y, 0)]), rod * 0.8, made)


def vase_with_stems(rng: Rng, canvas: Canvas) -> None:
    """Thin stems with leaves and blossoms, in a vase or bare."""
    green = Material(np.array([rng.uniform(40, 110), rng.uniform(90, 150), rng.uniform(30, 80)],
                              np.float32), 0.6, 0.1)  # fmt: skip
    blossom = Material(rng.uniform(90, 255, 3).astype(np.float32), 0.7, 0.1)
    vase = rng.random() < 0.6
    for _ in range(int(rng.integers(1, 7))):
        top = (rng.uniform(0.12, 0.88), rng.uniform(0.08, 0.4))
        middle = ((0.5 + top[0]) / 2 + rng.normal(0, 0.04), rng.uniform(0.45, 0.6))
        line = smooth([(0.5 + rng.normal(0, 0.02), 0.75 if vase else 0.95), middle, top])
        canvas.stroke(line, rng.uniform(0.003, 0.012), green)
        for at in line[10 : -4 : int(rng.integers(8, 16))]:
            turn, long = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.08)
            tip = at + long * np.array([np.cos(turn), np.sin(turn)], np.float32)
            leaf = ellipse(tuple((at + tip) / 2), (long / 2, long * rng.uniform(0.1, 0.25)), turn)
            canvas.fill(leaf, green)
        if rng.random() < 0.6:
            canvas.disc(top, rng.uniform(0.012, 0.06), blossom)
    if vase:
        wide = rng.uniform(0.06, 0.16, 4)
        wide[0] = max(0.04, wide[0] * 0.6)
        canvas.fill(profile((0.62, 0.72, 0.84, 0.95), wide), material(rng))


FURNITURE = (wheel, bicycle, chair, chair, rack, lamp, lamp, racket, hanger, ladder,
             vase_with_stems)  # fmt: skip

"""Jugs with handles, bottles, baskets, cables, scissors, shoes, bags, pieces with gaps."""

from __future__ import annotations

import numpy as np

from tools.training.augment import Rng
from tools.training.goods.canvas import Canvas, Material, material, pale
from tools.training.goods.shapes import ellipse, profile, smooth, superellipse


def jug(rng: Rng, canvas: Canvas) -> None:
    """A mug, jug, pot or watering can: a body with a handle and the hole in it."""
    made = material(rng)
    y = np.array([0.2, 0.3, 0.55, 0.8, 0.85]) + rng.uniform(-0.05, 0.05)
    w = rng.uniform(0.1, 0.24) * rng.uniform(0.75, 1.2, 5)
    handle, side = rng.uniform(0.015, 0.05), rng.choice([-1, 1])
    reach = rng.uniform(0.1, 0.22)
    root = 0.5 + side * w[1:4].min() * 0.8
    top, low = rng.uniform(0.26, 0.38), rng.uniform(0.55, 0.75)
    edge = 0.5 + side * (w.max() + reach)
    loop = smooth([(root, top), (edge, top - 0.02), (edge + side * 0.01, (top + low) / 2),
                   (root, low)])  # fmt: skip
    canvas.stroke(loop, handle, made if rng.random() < 0.7 else material(rng))
    if rng.random() < 0.4:
        spout = smooth([(0.5 - side * w[3] * 0.7, 0.68), (0.5 - side * (w[2] + 0.1), 0.5),
                        (0.5 - side * (w[2] + 0.17), 0.3)])  # fmt: skip
        canvas.stroke(spout, rng.uniform(0.03, 0.05), made)
    canvas.fill(profile(y, w), made)
    mouth = ellipse((0.5, float(y[0])), (float(w[0]) * 0.97, 0.2 * float(w[0])))
    canvas.fill(mouth, Material(made.colour * rng.uniform(0.4, 0.9), 0.8, 0), flat=True)


def bottle(rng: Rng, canvas: Canvas) -> None:
    """A bottle, tube, jar or dispenser, pale more often than not, with cap and label."""
    made = Material(pale(rng), rng.uniform(0.8, 0.97), 0.3) if rng.random() < 0.6 else material(rng)
    wide = rng.uniform(0.07, 0.2)
    neck = wide * rng.uniform(0.25, 1.0)
    top = rng.uniform(0.12, 0.3)
    heights = (top, top + 0.06, top + 0.14, 0.6, 0.92, 0.94)
    canvas.fill(profile(heights, (neck, neck, wide, wide, wide, wide * 0.94)), made)
    cap = made if rng.random() < 0.4 else material(rng)
    canvas.fill(superellipse((0.5, top - 0.02), (neck * 1.08, rng.uniform(0.03, 0.06)), 6), cap)
    if rng.random() < 0.3:  # a pump's spout
        canvas.stroke(smooth([(0.5, top - 0.05), (0.5, top - 0.1), (0.5 + 0.12, top - 0.09)]),
                      0.02, cap)  # fmt: skip
    if rng.random() < 0.6:
        label = superellipse((0.5, 0.68), (wide * rng.uniform(0.5, 0.98), 0.12), 6)
        canvas.fill(label, material(rng), flat=True)
        ink = Material(np.full(3, rng.choice([20.0, 250.0]), np.float32), 0.9, 0)
        for k in range(int(rng.integers(1, 5))):
            x = wide * 0.4
            row = 0.62 + 0.04 * k
            canvas.stroke(np.array([(0.5 - x, row), (0.5 + x, row)], np.float32), 0.008, ink)


def basket(rng: Rng, canvas: Canvas) -> None:
    """Wicker: an outline woven of strips with small holes, with a handle or without."""
    made = material(rng)
    high, top, low = rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.42), rng.uniform(0.2, 0.38)
    wide, y0 = rng.uniform(0.3, 0.42), 0.4
    rows, columns = int(rng.integers(5, 14)), int(rng.integers(9, 26))
    fill = rng.uniform(0.35, 0.72)  # of a cell, by the strip
    for i in range(columns + 1):
        x = i / columns * 2 - 1
        foot = (0.5 + x * wide * low / top, y0 + high)
        stake = np.array([(0.5 + x * wide, y0), foot], np.float32)
        canvas.stroke(stake, fill * 2 * wide / columns * 0.6, made)
    for j in range(rows + 1):
        share = j / rows
        half = wide * (1 + share * (low / top - 1))
        bend = 0.02 * np.sin(np.linspace(0, np.pi, 40))
        across = np.linspace(0.5 - half, 0.5 + half, 40)
        weave = 0.003 * np.sin(np.linspace(0, np.pi * columns, 40) + j * np.pi)
        line = np.stack([across, y0 + share * high + bend + weave], 1).astype(np.float32)
        canvas.stroke(line, fill * high / rows, made)
    if rng.random() < 0.6:
        tall = rng.uniform(0.15, 0.34)
        arch = smooth([(0.5 - wide * 0.9, y0), (0.5 - wide * 0.6, y0 - tall * 0.85),
                       (0.5, y0 - tall), (0.5 + wide * 0.6, y0 - tall * 0.85),
                       (0.5 + wide * 0.9, y0)])  # fmt: skip
        canvas.stroke(arch, rng.uniform(0.015, 0.04), made)


def cable(rng: Rng, canvas: Canvas) -> None:
    """A cable in loops with plugs, or headphones, or a rope."""
    made, rod = material(rng), rng.uniform(0.006, 0.022)
    kind = rng.random()
    if kind < 0.35:
        points = rng.uniform(0.12, 0.88, (int(rng.integers(4, 8)), 2))
        line = smooth(points, 160)
    elif kind < 0.65:  # a coil
        turns = int(rng.integers(2, 6))
        t = np.linspace(0, 2 * np.pi * turns, 60 * turns)
        radius = rng.uniform(0.2, 0.36) + 0.02 * np.sin(t * 0.37) + rng.uniform(0, 0.015) * t / 6
        line = np.stack([0.5 + radius * np.cos(t), 0.5 + radius * 0.8 * np.sin(t)], 1)
    else:  # headphones
        arch = smooth([(0.2, 0.62), (0.22, 0.35), (0.5, 0.16), (0.78, 0.35), (0.8, 0.62)])
        canvas.stroke(arch, rng.uniform(0.02, 0.06), made)
        for x in (0.22, 0.78):
            canvas.fill(superellipse((x, 0.66), (rng.uniform(0.05, 0.09), 0.12), 2.5), made)
        line = smooth([(0.24, 0.76), (0.3, 0.92), (0.55, 0.85), (0.7, 0.95)])
    line = np.asarray(line, np.float32)
    canvas.stroke(line, rod, made)
    if kind < 0.65:
        plug = material(rng)
        for end in (line[0], line[-1]):
            canvas.fill(superellipse(tuple(end), (rng.uniform(0.02, 0.04), 0.02), 5), plug)


def scissors(rng: Rng, canvas: Canvas) -> None:
    """Two blades and two eyes; pliers are shorter."""
    blade, grip = material(rng), material(rng)
    angle = rng.uniform(0.08, 0.6)
    for side in (-1, 1):
        c, s = np.cos(side * angle / 2), np.sin(side * angle / 2)
        turn = np.array([[c, -s], [s, c]], np.float32)
        leaf = np.array([(-0.02 * side, 0.08), (0.02 * side, -0.4), (0.035 * side, 0.05)])
        canvas.fill((leaf @ turn.T + (0.5, 0.5)).astype(np.float32), blade)
        eye = ellipse((-0.09 * side, 0.27), (rng.uniform(0.05, 0.075), rng.uniform(0.08, 0.12)), 0)
        neck = np.array([(0.0, 0.0), (-0.045 * side, 0.18)])
        canvas.stroke((neck @ turn.T + 0.5).astype(np.float32), 0.035, grip)
        canvas.stroke((eye @ turn.T + 0.5).astype(np.float32), rng.uniform(0.02, 0.035), grip,
                      closed=True)  # fmt: skip
    canvas.disc((0.5, 0.5), 0.014, blade)


def heel(rng: Rng, canvas: Canvas) -> None:
    """A shoe with a high heel and the gap under its arch."""
    made = material(rng)
    high = rng.uniform(0.12, 0.3)
    floor = 0.8
    back, toe = (0.22, floor - high - 0.02), (0.86, floor)
    upper = smooth([(back[0] - 0.02, back[1] - 0.16), (0.33, back[1] - 0.02), (0.55, floor - 0.14),
                    (0.75, floor - 0.1), toe])  # fmt: skip
    under = smooth([toe, (0.68, floor), (0.5, floor - high * 0.5), back])
    canvas.fill(np.concatenate([upper, under]), made)
    thin = rng.uniform(0.012, 0.05)
    canvas.fill(np.array([(back[0] - 0.01, back[1]), (back[0] + 0.09, back[1] + 0.02),
                          (back[0] + 0.02 + thin, floor), (back[0] + 0.02, floor)],
                         np.float32), made)  # fmt: skip
    if rng.random() < 0.4:
        strap = smooth([(back[0], back[1] - 0.15), (0.3, back[1] - 0.24), (0.42, back[1] - 0.13)])
        canvas.stroke(strap, rng.uniform(0.01, 0.02), made)


def bag(rng: Rng, canvas: Canvas) -> None:
    """A bag with one or two arched handles."""
    made, strap = material(rng), material(rng)
    wide, y = rng.uniform(0.2, 0.38), rng.uniform(0.38, 0.55)
    rod = rng.uniform(0.012, 0.04)
    for k in range(int(rng.integers(1, 3))):
        tall, reach = rng.uniform(0.15, 0.32), wide * rng.uniform(0.4, 0.8)
        arch = smooth([(0.5 - reach, y + 0.03), (0.5 - reach * 0.8, y - tall * 0.8),
                       (0.5, y - tall),
                       (0.5 + reach * 0.8, y - tall * 0.8), (0.5 + reach, y + 0.03)])  # fmt: skip
        canvas.stroke(arch + np.float32(0.02 * k), rod, strap if rng.random() < 0.6 else made)
    canvas.fill(superellipse((0.5, (y + 0.92) / 2), (wide, (0.92 - y) / 2),
                             rng.uniform(3, 9)), made)  # fmt: skip


def pieces(rng: Rng, canvas: Canvas) -> None:
    """Several like pieces with narrow gaps: tiles, tablets, clouds, cutlery, pens."""
    made, count = material(rng), int(rng.integers(2, 7))
    if rng.random() < 0.5:
        made = Material(pale(rng), rng.uniform(0.75, 0.95), 0.2)
    power, gap = rng.uniform(1.6, 7), rng.uniform(0.01, 0.07)
    across = int(rng.integers(1, min(count, 4) + 1))
    down = -(-count // across)
    w, h = 0.9 / across, 0.9 / down
    for i in range(count):
        x, y = 0.05 + w * (i % across + 0.5), 0.05 + h * (i // across + 0.5)
        radii = ((w - gap) / 2 * rng.uniform(0.8, 1), (h - gap) / 2 * rng.uniform(0.8, 1))
        other = made if rng.random() < 0.7 else material(rng)
        if rng.random() < 0.25:  # a cloud: balls side by side
            for k in range(4):
                at = (x + (k - 1.5) * radii[0] * 0.45, y + rng.uniform(-0.2, 0.2) * radii[1])
                canvas.fill(ellipse(at, (radii[0] * 0.42, radii[1] * 0.6)), other)
        else:
            canvas.fill(superellipse((x, y), radii, power), other)


HOUSEHOLD = (jug, jug, bottle, bottle, basket, basket, cable, scissors, heel, bag, bag, pieces,
             pieces)  # fmt: skip

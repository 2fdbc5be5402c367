"""Rings, bangles, chains, necklaces, earrings, glasses, watches."""

from __future__ import annotations

import numpy as np

from tools.training.augment import Rng
from tools.training.goods.canvas import Canvas, Material, material
from tools.training.goods.shapes import F32, ellipse, smooth, superellipse


def _gem(rng: Rng, canvas: Canvas, at: F32, radius: float) -> None:
    stone = Material(rng.uniform(20, 255, 3).astype(np.float32), 0.5, 1.0)
    count = int(rng.integers(6, 10))
    corners = ellipse((float(at[0]), float(at[1])), (radius, radius), rng.uniform(0, 3), count)
    canvas.fill(corners, stone, flat=True)
    facet = Material(np.clip(stone.colour * 1.5 + 30, 0, 255), 0.8, 1.0)
    for i in range(0, count, 2):
        canvas.fill(np.stack([at, corners[i], corners[(i + 1) % count]]), facet, flat=True)


def ring(rng: Rng, canvas: Canvas) -> None:
    """A finger ring or hoop, seen at an angle, with or without a stone."""
    metal = material(rng)
    wide, tall = rng.uniform(0.22, 0.4), rng.uniform(0.25, 1.0)
    turn = rng.uniform(-0.5, 0.5)
    band = rng.uniform(0.012, 0.09)
    if rng.random() < 0.5:  # a band: its far inner side is seen
        lift = band * rng.uniform(0.5, 2)
        inner = Material(metal.colour * 0.6, metal.rim, 0.2)
        far = ellipse((0.5, 0.5 - lift / 2), (wide, wide * tall), turn)
        canvas.stroke(far, band, inner, closed=True)
        canvas.stroke(ellipse((0.5, 0.5 + lift / 2), (wide, wide * tall), turn), band, metal,
                      closed=True)  # fmt: skip
    else:
        canvas.stroke(ellipse((0.5, 0.5), (wide, wide * tall), turn), band, metal, closed=True)
    if rng.random() < 0.6:
        top = ellipse((0.5, 0.5), (wide, wide * tall), turn)
        at = top[np.argmin(top[:, 1])]
        for k in range(int(rng.integers(1, 5))):
            shift = np.array([(k - 1) * band * 1.3, 0], np.float32)
            _gem(rng, canvas, at + shift, rng.uniform(0.02, 0.09))


def bangles(rng: Rng, canvas: Canvas) -> None:
    """Several thin hoops that lie on each other, or a strap with an opening."""
    metal, count = material(rng), int(rng.integers(2, 7))
    wide, tall = rng.uniform(0.3, 0.42), rng.uniform(0.35, 0.9)
    for _ in range(count):
        at = tuple(0.5 + rng.normal(0, 0.035, 2))
        radii = (wide * rng.uniform(0.9, 1.05), wide * tall * rng.uniform(0.9, 1.05))
        span = (0.0, 2 * np.pi) if rng.random() < 0.8 else (0.4, 5.9)
        ring_ = ellipse(at, radii, rng.normal(0, 0.2), span=span)
        canvas.stroke(ring_, rng.uniform(0.006, 0.03), metal, closed=span[0] == 0)


def _hanging(rng: Rng) -> F32:
    """The line of a necklace as it lies or hangs."""
    kind = rng.random()
    if kind < 0.4:
        w, deep = rng.uniform(0.2, 0.4), rng.uniform(0.4, 0.8)
        x = np.linspace(-1, 1, 90)
        return np.stack([0.5 + w * x, 0.1 + deep * (1 - np.abs(x) ** rng.uniform(1.6, 3))], 1)
    if kind < 0.75:
        wave = ellipse((0.5, 0.5), (rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.42)), 0, 90)
        bent = 1 + 0.08 * np.sin(np.linspace(0, 2 * np.pi * int(rng.integers(2, 5)), 90))
        return np.asarray(0.5 + (wave - 0.5) * bent[:, None], np.float32)
    return smooth(rng.uniform(0.12, 0.88, (int(rng.integers(4, 7)), 2)), 120)


def _even(line: F32, step: float) -> F32:
    """Points at equal distances along a line."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.arange(0, length[-1], step)
    return np.stack([np.interp(at, length, line[:, k]) for k in (0, 1)], 1).astype(np.float32)


def chain(rng: Rng, canvas: Canvas) -> None:
    """Links, beads or a cord, with a pendant or without."""
    metal, line = material(rng), np.asarray(_hanging(rng), np.float32)
    kind, size = rng.random(), rng.uniform(0.012, 0.05)
    if kind < 0.45:  # links, each second one seen from its edge
        points = _even(line, size * 1.25)
        ahead = np.gradient(points, axis=0)
        for i, (at, way) in enumerate(zip(points, ahead, strict=True)):
            turn = float(np.arctan2(way[1], way[0]))
            narrow = 0.55 if i % 2 == 0 else 0.16
            link = ellipse((float(at[0]), float(at[1])), (size * 0.8, size * narrow), turn, 20)
            canvas.stroke(link, size * rng.uniform(0.18, 0.3), metal, closed=True)
    elif kind < 0.8:
        gap = rng.choice([1.0, 1.05, 1.6])
        other = material(rng) if rng.random() < 0.4 else metal
        canvas.stroke(line, 0.004, metal)
        for i, at in enumerate(_even(line, size * gap)):
            canvas.disc((float(at[0]), float(at[1])), size / 2, other if i % 3 == 1 else metal)
    else:
        canvas.stroke(line, rng.uniform(0.004, 0.014), metal)
    if rng.random() < 0.6:
        lowest = line[np.argmax(line[:, 1])]
        radius = rng.uniform(0.03, 0.1)
        at = lowest + np.array([0, radius], np.float32)
        if rng.random() < 0.5:
            _gem(rng, canvas, at, radius)
        else:
            canvas.stroke(ellipse((float(at[0]), float(at[1])), (radius, radius)),
                          radius * 0.3, metal, closed=True)  # fmt: skip


def earring(rng: Rng, canvas: Canvas) -> None:
    """A hook with drops, hoops or a fan below it."""
    metal = material(rng)
    hook = smooth([(0.42, 0.3), (0.43, 0.12), (0.5, 0.06), (0.56, 0.12), (0.54, 0.25)])
    canvas.stroke(hook, rng.uniform(0.006, 0.014), metal)
    y, x = 0.26, 0.53
    for _ in range(int(rng.integers(1, 4))):
        radius = rng.uniform(0.04, 0.17)
        at = np.array([x, y + radius], np.float32)
        kind = rng.random()
        if kind < 0.45:
            hoop = ellipse((x, float(at[1])), (radius * rng.uniform(0.5, 1), radius))
            canvas.stroke(hoop, rng.uniform(0.007, 0.03), metal, closed=True)
        elif kind < 0.75:
            _gem(rng, canvas, at, radius * 0.6)
        else:
            canvas.fill(superellipse((x, float(at[1])), (radius * 0.6, radius), 1.5), metal)
        y += 2 * radius * rng.uniform(0.85, 1.0)
        if y > 0.85:
            break


def glasses(rng: Rng, canvas: Canvas) -> None:
    """Spectacles, folded open; sun glasses are opaque, clear ones have holes."""
    frame, rim = material(rng), rng.uniform(0.008, 0.03)
    wide, tall, power = rng.uniform(0.15, 0.2), rng.uniform(0.1, 0.17), rng.uniform(1.8, 4.5)
    apart = wide + rng.uniform(0.02, 0.06)
    y = rng.uniform(0.4, 0.6)
    back = rng.uniform(-0.25, 0.2)
    for side in (-1, 1):
        hinge = (0.5 + side * (apart + wide), y - tall * 0.4)
        end = (hinge[0] - side * rng.uniform(-0.02, 0.2), hinge[1] + back)
        tip = (end[0] - side * 0.02, end[1] + rng.uniform(0.02, 0.1))
        canvas.stroke(smooth([hinge, end, tip]), rim * rng.uniform(0.5, 1), frame)
    sun = rng.random() < 0.5
    glass = Material(rng.uniform(10, 90, 3).astype(np.float32), 0.8, 0.3)
    for side in (-1, 1):
        lens = superellipse((0.5 + side * apart, y), (wide, tall), power)
        if sun:
            canvas.fill(lens, glass)
        canvas.stroke(lens, rim, frame, closed=True)
    dip = rng.uniform(-0.03, 0.02)
    inner = apart - wide
    canvas.stroke(smooth([(0.5 - inner, y - 0.02), (0.5, y - 0.03 + dip), (0.5 + inner, y - 0.02)]),
                  rim, frame)  # fmt: skip


def watch(rng: Rng, canvas: Canvas) -> None:
    """A dial with pale details on a strap that lies straight or is closed to a loop."""
    strap, case = material(rng), material(rng)
    wide = rng.uniform(0.05, 0.09)
    if rng.random() < 0.5:
        canvas.stroke(np.array([[0.5, 0.06], [0.5, 0.94]], np.float32), 2 * wide, strap)
    else:
        loop = ellipse((0.5, 0.6), (rng.uniform(0.2, 0.3), rng.uniform(0.22, 0.3)), 0)
        canvas.stroke(loop, wide * rng.uniform(0.5, 1.2), strap, closed=True)
    radius = rng.uniform(0.12, 0.17)
    y = 0.5 if rng.random() < 0.5 else 0.36
    canvas.fill(ellipse((0.5, y), (radius, radius)), case)
    dial = Material(np.full(3, rng.choice([20.0, 90.0, 235.0, 252.0]), np.float32), 0.95, 0.1)
    canvas.fill(ellipse((0.5, y), (radius * 0.82, radius * 0.82)), dial, flat=True)
    ink = Material(255 - dial.colour, 0.9, 0.0)
    for turn in rng.uniform(0, 2 * np.pi, 2):
        tip = (0.5 + np.cos(turn) * radius * 0.7, y + np.sin(turn) * radius * 0.7)
        canvas.stroke(np.array([(0.5, y), tip], np.float32), 0.008, ink)


JEWELLERY = (ring, ring, bangles, chain, chain, earring, glasses, watch)

"""Distributions of two kinds of pictures and a limit between them, drawn as plain SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

WIDE, TALL, GAP = 380, 190, 56
COLOURS = {"reexport": "#2b6cb0", "edit": "#c05621"}
WORDS = {"reexport": "re-exports at or below", "edit": "edits at or below"}


def draw(curves: Mapping[str, Mapping[str, Sequence[float]]], limits: Mapping[str, float]) -> str:
    """One panel a distance: share of pictures at or below it, over a logarithmic axis."""
    panels = [
        _panel(name, kinds, limits[name], number)
        for number, (name, kinds) in enumerate(curves.items())
    ]
    wide = 2 * (WIDE + GAP) + GAP
    tall = -(-len(panels) // 2) * (TALL + GAP) + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, *panels, "</svg>", ""])


def _panel(name: str, kinds: Mapping[str, Sequence[float]], limit: float, number: int) -> str:
    left = GAP + (number % 2) * (WIDE + GAP)
    top = GAP / 2 + (number // 2) * (TALL + GAP)
    low, high = limit / 100, limit * 100
    parts = [
        f'<g transform="translate({left} {top})">',
        f'<rect width="{WIDE}" height="{TALL}" fill="none" stroke="#999"/>',
        f'<text x="4" y="-6" font-weight="bold">{name}</text>',
        _limit(limit, low, high),
    ]
    for share in (0.0, 0.5, 1.0):
        y = TALL * (1 - share)
        parts.append(f'<text x="-6" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    for exponent in (-2, -1, 0, 1, 2):
        value = limit * 10**exponent
        x = _across(value, low, high)
        parts.append(f'<text x="{x:.0f}" y="{TALL + 15}" text-anchor="middle">{value:.2g}</text>')
    for line, (kind, values) in enumerate(kinds.items()):
        parts.append(_curve(np.asarray(values), low, high, COLOURS[kind]))
        y = 18 + 16 * line
        parts.append(f'<text x="8" y="{y}" fill="{COLOURS[kind]}">{WORDS[kind]}</text>')
    return "\n".join([*parts, "</g>"])


def _limit(limit: float, low: float, high: float) -> str:
    x = _across(limit, low, high)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{TALL}" stroke="#333" stroke-dasharray="4 3"/>'
    )


def _curve(values: np.ndarray, low: float, high: float, colour: str) -> str:
    at = np.geomspace(low, high, 160)
    shares = np.searchsorted(values, at, side="right") / max(1, len(values))
    points = " ".join(
        f"{_across(x, low, high):.1f},{TALL * (1 - share):.1f}"
        for x, share in zip(at, shares, strict=True)
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _across(value: float, low: float, high: float) -> float:
    return float(WIDE * np.log(value / low) / np.log(high / low))

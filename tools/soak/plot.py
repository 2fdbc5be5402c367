"""A soak's readings over time as one SVG: a small panel for each, plain text and lines."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tools.soak.verdict import Sample

WIDTH, HEIGHT, COLUMNS = 380, 170, 2
LEFT, TOP, RIGHT, BOTTOM = 58, 28, 12, 24


def plot(samples: Sequence[Sample], title: str) -> str:
    """The whole drawing; readings that were never taken have no panel."""
    names = list(dict.fromkeys(name for sample in samples for name in sample.readings))
    rows = -(-len(names) // COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 30
    panels = [
        _panel(samples, name, (index % COLUMNS) * WIDTH, (index // COLUMNS) * HEIGHT + 30)
        for index, name in enumerate(names)
    ]
    box = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="12" y="20" font-size="14">{escape(title)}</text>',
            *panels,
            "</svg>\n",
        ]
    )


def _panel(samples: Sequence[Sample], name: str, x: int, y: int) -> str:
    points = [(s.seconds / 60, s.readings[name]) for s in samples if name in s.readings]
    last = max(samples[-1].seconds / 60, 1e-9)
    top = max(1e-9, *(value for _, value in points)) * 1.05
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    end, ground = LEFT + inner_width, TOP + inner_height

    def at(minutes: float, value: float) -> str:
        right, up = minutes / last * inner_width, value / top * inner_height
        return f"{LEFT + right:.1f},{ground - up:.1f}"

    line = " ".join(at(minutes, value) for minutes, value in points)
    return "\n".join(
        [
            f'<g transform="translate({x},{y})">',
            f'<text x="{LEFT}" y="18" font-weight="bold">{escape(name)}</text>',
            f'<path d="M{LEFT},{TOP}V{ground}H{end}" fill="none" stroke="#888"/>',
            f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{top:.4g}</text>',
            f'<text x="{LEFT - 4}" y="{ground}" text-anchor="end">0</text>',
            f'<text x="{end}" y="{ground + 15}" text-anchor="end">{last:.0f} min</text>',
            f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="1.2"/>',
            "</g>",
        ]
    )

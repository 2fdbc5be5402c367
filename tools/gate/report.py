"""How the calibrated gate does on photos kept out of its calibration: a table and a curve."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tools.gate.fit import BAD, GOOD, WRONG, Gate, Row

BINS = 10
WHITE, BLACK, GREY, BLUE, RED = (255,) * 3, (0,) * 3, (200,) * 3, (180, 90, 20), (40, 40, 200)


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    width = z * float(np.sqrt(share * (1 - share) / count + z * z / (4 * count * count)))
    scale = 1 + z * z / count
    return max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale)


def table(gate: Gate, rows: list[Row]) -> str:
    """Markdown: what goes to review, of the bad and of the good, for each model."""
    head = (
        f"calibrated on {gate.mattes} mattes of {gate.photos} photos; limit {gate.limit:.3f}, "
        f"second look between {gate.doubt[0]:.3f} and {gate.doubt[1]:.3f}\n\n"
        f"| kept out of the calibration | IoU < {BAD} | of these to review "
        f"| IoU > {GOOD} | of these to review | second looks |\n"
        "|---|---|---|---|---|---|"
    )
    lines = [head, _line("all", gate, rows)]
    for key in ("model", "group"):
        names = dict.fromkeys(_named(row, key) for row in rows)
        lines += [
            _line(name, gate, [row for row in rows if _named(row, key) == name]) for name in names
        ]
    return "\n".join(lines)


def _named(row: Row, key: str) -> str:
    return str(row["photo"]).partition("/")[0] if key == "group" else str(row[key])


def _line(name: str, gate: Gate, rows: list[Row]) -> str:
    cells = [name]
    for chosen in (
        [row for row in rows if row["iou"] < BAD],
        [row for row in rows if row["iou"] > GOOD],
    ):
        sent = sum(gate.error(row) > gate.limit for row in chosen)
        low, high = interval(sent, len(chosen))
        share = f"{sent / len(chosen):.1%} ({low:.1%} to {high:.1%})" if chosen else "none"
        cells += [str(len(chosen)), share]
    again = sum(gate.looks_twice(row) for row in rows) / max(1, len(rows))
    return f"| {' | '.join([*cells, f'{again:.0%}'])} |"


def draw_curve(gate: Gate, rows: list[Row], path: Path) -> None:
    """Predicted chance of IoU < 0.9 against the real share, with intervals, as a PNG."""
    side, left, top = 480, 70, 30
    board = np.full((side + 110, side + 110, 3), 255, np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return left + round(x * side), top + side - round(y * side)

    for tick in np.linspace(0, 1, 6):
        cv2.line(board, at(tick, 0), at(tick, 1), GREY, 1)
        cv2.line(board, at(0, tick), at(1, tick), GREY, 1)
        x, y = at(tick, 0)
        _write(board, f"{tick:.1f}", (x - 12, y + 20))
        _write(board, f"{tick:.1f}", (left - 40, at(0, tick)[1] + 5))
    cv2.line(board, at(0, 0), at(1, 1), BLACK, 1, cv2.LINE_AA)
    cv2.line(board, at(gate.limit, 0), at(gate.limit, 1), RED, 2)
    _write(board, "review ->", (at(gate.limit, 0)[0] + 6, top + side - 8), RED)
    errors = np.array([gate.error(row) for row in rows])
    wrong = np.array([row["iou"] < WRONG for row in rows])
    points = []
    for low in np.arange(BINS) / BINS:
        inside = (errors >= low) & (errors <= low + 1 / BINS)
        if inside.sum() < 5:
            continue
        mean = float(errors[inside].mean())
        bottom, height = interval(int(wrong[inside].sum()), int(inside.sum()))
        cv2.line(board, at(mean, bottom), at(mean, height), BLUE, 2, cv2.LINE_AA)
        points.append(at(mean, float(wrong[inside].mean())))
        cv2.circle(board, points[-1], 4, BLUE, -1, cv2.LINE_AA)
    cv2.polylines(board, [np.array(points)], False, BLUE, 1, cv2.LINE_AA)
    _write(board, "chance of IoU < 0.9 that the gate predicts", (left + 60, top + side + 50))
    _write(board, f"real share, {len(rows)} mattes kept out, 95 % intervals", (left, top - 10))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), board)


def _write(
    board: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, ...] = BLACK
) -> None:
    cv2.putText(board, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)

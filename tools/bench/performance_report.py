"""The figures as JSON, as tables inside docs/performance.md, and as plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

NAME = "performance"
BEGIN, END = "<!-- figures: made by tools/bench/performance.py -->", "<!-- end of figures -->"


def read(docs: Path) -> dict[str, Any]:
    """What was measured before; nothing where there is no file yet."""
    path = docs / f"{NAME}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def write(docs: Path, results: dict[str, Any]) -> None:
    """JSON, plots, and the part of the page between the two marks."""
    docs.mkdir(parents=True, exist_ok=True)
    (docs / "images").mkdir(exist_ok=True)
    (docs / f"{NAME}.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    page = docs / f"{NAME}.md"
    text = page.read_text("utf-8") if page.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    order = [name for name in (*TITLES, *results) if name in results]
    figures = "\n".join(_section(name, results[name]) for name in dict.fromkeys(order))
    page.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{after}", "utf-8")
    for name, drawing in _drawings(results):
        (docs / "images" / f"{NAME}-{name}.svg").write_text(drawing, "utf-8")


TITLES: Final = {
    "throughput": "Pace, fp32",
    "throughput, int8": "Pace, int8",
    "costs": "Processor time of a photo, fp32",
    "costs, int8": "Processor time of a photo, int8",
    "latency": "One photo alone",
    "rembg": "Beside rembg",
    "memory": "Memory",
    "idle": "Idle",
    "sizes": "Pace by size",
    "backlog": "Pace by backlog",
    "ledger": "Ledger, by rows",
}
"""The order of the page; parts that are not named here follow as they are."""


def _section(name: str, part: dict[str, Any]) -> str:
    made = part["made"]
    where = (
        f"{made['cpu']}, {made['usable_cpus']} processors, {made['file_system']}; commit "
        f"{made['commit']}, {made['date']}, load {made['load_average']}."
    )
    return f"### {TITLES.get(name, name)}\n\n{_body(name, part['result'])}\n\n{where}\n"


def _body(name: str, result: Any) -> str:
    if isinstance(result, list):
        return table(result)
    kind = name.partition(",")[0]
    if kind == "throughput":
        return table([_pace_row(recipe, each) for recipe, each in result.items()])
    if kind == "costs":
        return table(list(_cost_rows(result)))
    return table([{"what": key, "value": value} for key, value in _leaves(result)])


def _pace_row(recipe: str, each: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"recipe": recipe}
    for way in ("bare loop", "process", "daemon"):
        row[f"{way}, photos/s"] = each[way]["photos_per_second"]
    for pair in ("process / bare loop", "daemon / process"):
        spread = each[pair]
        row[pair] = f"{spread['median']} ({spread['least']} to {spread['most']})"
    return row


def _cost_rows(result: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Stages in rows, recipes in columns: with the other processors at the same work."""
    stages: dict[str, dict[str, Any]] = {}
    for recipe, costs in result.items():
        for group in ("beside", "daemon"):
            for stage, value in costs[group]["cpu_ms"].items():
                stages.setdefault(stage, {})[f"{recipe}, ms"] = value
        sums = stages.setdefault("sum of `process`", {})
        sums[f"{recipe}, ms"] = costs["beside"]["sum_cpu_ms"]
    columns = [f"{recipe}, ms" for recipe in result]
    for stage, row in stages.items():
        yield {"stage": stage, **{column: row.get(column, "") for column in columns}}


def _leaves(values: dict[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{name}: ")
        elif not isinstance(value, list):  # single rounds stand in the JSON
            yield name, value


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; the columns are the first row's."""
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _drawings(results: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if "throughput" in results:
        yield "throughput", _paces(results)
    if "sizes" in results:
        rows = results["sizes"]["result"]
        points = [(row["megapixels"], row["megapixels_per_second"]) for row in rows]
        yield "sizes", bars("Megapixels a second by photo", [(f"{x} MP", y) for x, y in points])


def _paces(results: dict[str, Any]) -> str:
    named = []
    for recipe, result in results["throughput"]["result"].items():
        costs = results.get("costs", {}).get("result", {}).get(recipe)
        if costs is not None:
            named.append((f"{recipe}: limit", costs["beside"]["limit"]))
        ways = ("bare loop", "process", "daemon")
        named += [(f"{recipe}: {way}", result[way]["photos_per_second"]) for way in ways]
    return bars("1080p photos a second", named)


def bars(title: str, named: Sequence[tuple[str, float]]) -> str:
    """One horizontal bar for each name."""
    most = max(value for _, value in named)
    height = 40 + 24 * len(named)
    box = f'viewBox="0 0 640 {height}" font-family="sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="640" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="14">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(named):
        y = 36 + 24 * number
        wide = 380 * value / most
        lines.append(f'<text x="150" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        lines.append(f'<rect x="158" y="{y}" width="{wide:.1f}" height="17" fill="#2563eb"/>')
        lines.append(f'<text x="{164 + wide:.1f}" y="{y + 13}">{value:g}</text>')
    return "\n".join([*lines, "</svg>\n"])

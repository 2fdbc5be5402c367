"""The benchmark suite: each part by name, figures into docs/performance.json and .md, plots.

    python -m tools.bench.performance costs throughput latency
    python -m tools.bench.performance --photos DIR DIR --docs docs all

Parts: costs (a), throughput (b), latency (c), memory (e), idle (f), rembg (d and g; makes a virtual
environment and needs the network for it), sizes, backlog and ledger (h). Photos are 1080p JPEGs,
each different, made from those under ``--photos`` or from the built-in ones; the model runs at
320 x 320, in fp32 unless told otherwise; no cache answers. Results of parts that were not asked
for stay as they are.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil

from tools.bench import performance_report
from tools.bench.appliance import write_config
from tools.bench.costs import stage_costs
from tools.bench.growth import by_backlog, by_ledger, by_size
from tools.bench.idle import idle
from tools.bench.latency import lone_photos
from tools.bench.machine import ROOT, machine
from tools.bench.photos import make_photos
from tools.bench.rembg_side import side_by_side
from tools.bench.resident import at_work, large_photo
from tools.bench.throughput import ratios, throughput

MODEL = ROOT / "models" / "default" / "matting_mobilenetv2_unet.onnx"
RECIPES = ("plain", "cutout")
BACKLOGS = (10, 200, 2000, 20_000)


@dataclass(frozen=True, slots=True)
class Work:
    """What every part is given."""

    photos: list[Path]
    scratch: Path
    options: argparse.Namespace


def costs(work: Work) -> dict[str, Any]:
    count = min(60, len(work.photos))
    return {
        recipe: stage_costs(
            work.photos[:count],
            work.scratch / recipe,
            write_config(work.scratch / f"{recipe}-config", precision=work.options.precision),
            recipe,
        )
        for recipe in RECIPES
    }


def pace(work: Work) -> dict[str, Any]:
    made: dict[str, Any] = {}
    photos, options = work.photos, work.options
    for recipe in RECIPES:
        result = throughput(
            photos, work.scratch, options.rounds, recipe, precision=options.precision
        )
        result["process / bare loop"] = ratios(result, "process", "bare loop")
        result["daemon / process"] = ratios(result, "daemon", "process")
        made[recipe] = {"photos": len(photos), **result}
    return made


def latency(work: Work) -> dict[str, Any]:
    return {
        recipe: lone_photos(work.photos[:12], work.scratch / recipe, recipe) for recipe in RECIPES
    }


def memory(work: Work) -> dict[str, Any]:
    few, count = work.photos[:50], work.options.images
    return {
        "at work": at_work(few, work.scratch / "work", count, "plain"),
        "default recipe, cache on": at_work(
            few, work.scratch / "cached", count, "cutout", cached=True
        ),
        "100 MP": large_photo(work.scratch / "large"),
    }


def at_rest(work: Work) -> dict[str, Any]:
    return idle(work.photos[:3], work.scratch, work.options.seconds)


def rembg(work: Work) -> dict[str, Any]:
    venv = work.options.rembg_venv or work.scratch / "rembg-venv"
    return side_by_side(work.photos[:16], work.scratch, venv, MODEL, work.options.rounds)


def sizes(work: Work) -> list[dict[str, float]]:
    return by_size(work.options.photos, work.scratch, "cutout")


def backlog(work: Work) -> list[dict[str, float]]:
    counts = [count for count in BACKLOGS if count <= work.options.backlog]
    return by_backlog(work.options.photos, work.scratch, counts)


def ledger(work: Work) -> list[dict[str, float]]:
    return by_ledger(work.scratch)


PARTS: dict[str, Callable[[Work], Any]] = {
    "costs": costs,
    "throughput": pace,
    "latency": latency,
    "memory": memory,
    "idle": at_rest,
    "rembg": rembg,
    "sizes": sizes,
    "backlog": backlog,
    "ledger": ledger,
}


def main() -> int:
    options = _options()
    wanted = list(PARTS) if "all" in options.parts else options.parts
    results = performance_report.read(options.docs)
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="performance-") as folder:
        root = Path(folder)
        photos = make_photos(root / "photos", options.count, options.photos)
        for part in wanted:
            scratch = root / part
            scratch.mkdir()
            made = PARTS[part](Work(photos, scratch, options))
            shutil.rmtree(scratch)
            name = part if options.precision == "fp32" else f"{part}, {options.precision}"
            results[name] = {"made": _circumstances(options, part, root), "result": made}
            print(json.dumps({name: results[name]}, indent=1), flush=True)
            performance_report.write(options.docs, results)
    return 0


def _circumstances(options: argparse.Namespace, part: str, scratch: Path) -> dict[str, str]:
    """Machine, commit, command and the file system that was written to."""
    mounts = sorted(psutil.disk_partitions(all=True), key=lambda mount: len(mount.mountpoint))
    disk = [m.fstype for m in mounts if scratch.is_relative_to(m.mountpoint)][-1]
    photos = "photos that were at hand" if options.photos else "the built-in photos"
    return {
        **machine(),
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "command": _command(options, part),
        "photos": photos,
        "file_system": disk,
    }


def _command(options: argparse.Namespace, part: str) -> str:
    """How to measure it again, without the paths of this machine."""
    told = ("count", "rounds", "images", "precision", "seconds", "backlog")
    set_ = [f"--{name} {getattr(options, name)}" for name in told]
    photos = ["--photos DIR"] if options.photos else []
    return " ".join(["python -m tools.bench.performance", part, *photos, *set_])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "all"], help="what to measure")
    parser.add_argument("--photos", nargs="+", type=Path, default=[], help="folders of photos")
    parser.add_argument("--count", type=int, default=80, help="different photos to make")
    parser.add_argument("--rounds", type=int, default=3, help="turns of what is compared")
    parser.add_argument("--images", type=int, default=2000, help="of the memory's run")
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=["fp32", "int8"],
        help="of the model, for costs and throughput; int8 gets a section of its own",
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of each idle window")
    parser.add_argument("--backlog", type=int, default=20_000, help="the longest")
    parser.add_argument("--rembg-venv", type=Path, help="kept there and used again")
    parser.add_argument("--scratch", type=Path, help="on the disk that is to be measured")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

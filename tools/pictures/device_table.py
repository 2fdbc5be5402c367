"""Writes the plans for the fixture devices into ``docs/devices.md``.

    python -m tools.pictures.device_table
    python -m tools.pictures.device_table --check

The devices are the file trees of ``tests/fixtures/devices.py``, probed as real ones are. The plan
is that of a first start: nothing was measured there yet, and no other program holds memory. Every
number in a row says where it comes from; a test keeps the page current.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.plan import Plan
from edge_matting.device import probe_device
from edge_matting.engine.factory import open_catalog
from edge_matting.engine.tuning.planning import needs_of
from edge_matting.planner import ModelNeeds, make_plan
from tests.fixtures.devices import DEVICES

PAGE = Path(__file__).parents[2] / "docs" / "devices.md"
MARKS = re.compile(r"(<!-- plans -->\n).*?(<!-- end of plans -->)", re.DOTALL)

HEAD = """\
Made by `python -m tools.pictures.device_table` from the fixtures, for the shipped model, as at a
first start: nothing was measured on the device yet, so the exact file runs at its smallest good
size, and calibration may change precision, size and threads. Marks after a number:

- `F1.5`: that section of the device facts (a capture of a real board, or a document); `u`:
  unmeasured, no source shows it; `e`: an example machine, made up around the named card or size.
- `M1`: IoU by size on held-out pictures, [MODEL_CARD.md](../models/MODEL_CARD.md). `M2`: 40 bytes
  a pixel in flight, where `tools/bench/memory.py` measures 15 to 31. `M3`: 200 MiB for the
  engine, where 120 MiB were measured, and 64 MB for the cache of mattes. `M4`: 200 bytes for each
  pixel of the model's input, where 140 to 175 were measured.
- `R`: a rule from the other numbers of the row: a photo in flight for each processor, 8 at most;
  the processors divided among them as threads; half the memory as budget. Its outcome is
  unmeasured on every device of this table.
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers of a device come from."""

    memory: str
    processors: str
    gpu: str = ""


NANO = Sources("F1.5", "F1.3", "F1.3")
ORIN_SOURCES = Sources("F1.5", "F1.3", "F1.3")
CARD = Sources("e", "e", "u")
SOURCES = {
    "Orin Nano 8GB, 15W": NANO,
    "Orin Nano 8GB, MAXN_SUPER, clocks locked": NANO,
    "Orin Nano 8GB, JetPack 7.2": NANO,
    "Orin NX 16GB, 40W": ORIN_SOURCES,
    "AGX Orin 64GB, JetPack 6": ORIN_SOURCES,
    "AGX Orin 64GB, JetPack 7.2": ORIN_SOURCES,
    "AGX Orin 64GB, JetPack 5": ORIN_SOURCES,
    "GTX 1650 4 GB": CARD,
    "RTX 3060 12 GB": CARD,
    "Tesla T4": CARD,
    "H200": CARD,
    "Raspberry Pi 5": Sources("u", "F1.10"),
    "Raspberry Pi Zero 2 W": Sources("u", "u"),
    "PC, 2 cores": Sources("e", "e"),
    "PC, 32 cores": Sources("e", "e"),
    "container, 1 CPU and 1 GB of 32": Sources("e", "e"),
}

COLUMNS = (
    "device",
    "memory",
    "processors",
    "GPU",
    "runs on",
    "precision, size",
    "photos in flight",
    "threads",
    "budget",
    "megapixels in flight",
)


def _item(text: str) -> str:
    """One entry of a list, in lines of the documents' width."""
    return textwrap.fill(text, 118, initial_indent="  - ", subsequent_indent="    ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="1 when the page is not current")
    options = parser.parse_args()
    before = PAGE.read_text("utf-8")
    after = page(before)
    if options.check:
        return int(before != after)
    PAGE.write_text(after, "utf-8")
    return 0


def page(text: str) -> str:
    """The page with the plans as they are now."""
    if not MARKS.search(text):
        raise SystemExit(f"{PAGE}: no <!-- plans --> ... <!-- end of plans --> to fill")
    return MARKS.sub(lambda marks: f"{marks[1]}{table()}{marks[2]}", text)


def table() -> str:
    """Markdown: a row for each device, then the reasons."""
    planned = list(_plans())
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(_row(*each))} |" for each in planned]
    lines += ["", "Why, in the planner's own words:", ""]
    for name, _, plan in planned:
        lines += [f"- **{name}**", *(_item(reason) for reason in plan.reasons)]
    return "\n".join([HEAD, *lines]) + "\n"


def _plans() -> Iterator[tuple[str, DeviceProfile, Plan]]:
    settings = Settings()
    catalog = open_catalog(settings)
    needs = needs_of(catalog.get(settings.model), catalog.path(settings.model))
    for name, build in DEVICES.items():
        with tempfile.TemporaryDirectory() as root:
            profile = probe_device(build(Path(root)).system())
        yield name, profile, _plan(profile, needs, settings)


def _plan(profile: DeviceProfile, needs: ModelNeeds, settings: Settings) -> Plan:
    """With the runtime that is meant for the device: NVIDIA's wheel where there is a usable GPU."""
    available = ("cpu", "cuda", "tensorrt") if profile.usable_gpus else ("cpu",)
    return make_plan(profile, needs, settings, available)


def _row(name: str, profile: DeviceProfile, plan: Plan) -> tuple[str, ...]:
    sources = SOURCES[name]
    width, height = plan.resolution
    return (
        name,
        f"{profile.memory_bytes >> 20} MiB `{sources.memory}`",
        f"{profile.usable_cpus:g} `{sources.processors}`",
        _gpu(profile, sources),
        plan.provider,
        f"{plan.precision}, {width} x {height} `M1`",
        f"{plan.workers} `R`",
        f"{plan.session_threads} `R`",
        f"{plan.memory_bytes >> 20} MiB `R M2 M3 M4`",
        f"{plan.pixels_in_flight / 1e6:.1f} `M2 M3 M4`",
    )


def _gpu(profile: DeviceProfile, sources: Sources) -> str:
    """Memory of its own or clock cap, with the source; what a GPU lacks to be used."""
    if not profile.gpus:
        return "none"
    gpu = profile.gpus[0]
    if gpu.problem is not None:
        return "refused: see below"
    if gpu.memory_bytes is not None:
        return f"{gpu.memory_bytes >> 20} MiB `{sources.gpu}`"
    cap = "?" if gpu.clock_max_hz is None else f"{gpu.clock_max_hz / 1e6:g}"
    return f"up to {cap} MHz `{sources.gpu}`, shared memory"


if __name__ == "__main__":
    raise SystemExit(main())

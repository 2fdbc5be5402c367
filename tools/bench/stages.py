"""What each stage of a photo costs, and what PNG writers make of its cut-out.

    python -m tools.bench.stages
    python -m tools.bench.stages --folder PHOTOS --repeat 9 --json
    python -m tools.bench.stages --against HEAD~3

Every stage runs alone on one core (OpenCV's own threads are off), and all are interleaved, so that
a noisy machine is noisy for all; the medians are of a thread's processor time. The photos are the
built-in one, or those of a folder, scaled to each size. ``--against`` loads the package of another
commit beside this one and adds its costs, and by how many 255ths refined matte and foreground
differ inside the uncertain band, measured from the same model output.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from PIL import Image

from edge_matting.cli.sample import sample_bytes
from edge_matting.config import Settings
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.models import Manifest
from edge_matting.runtimes import Session
from tools.bench.machine import ROOT, machine

SIZES = {"1080p": 1920 * 1080, "12 MP": 12_000_000}
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
LIMIT = 10**9


@dataclass(frozen=True, slots=True)
class Code:
    """One version of the package, or what of it is measured."""

    name: str
    imaging: ModuleType
    matting: ModuleType
    preprocess: ModuleType

    @classmethod
    def load(cls, name: str) -> Code:
        parts = ("imaging", "matting", "matting.preprocess")
        return cls(name, *(importlib.import_module(f"edge_matting.{part}") for part in parts))

    def assess(self, rgb: np.ndarray, alpha: np.ndarray) -> Any:
        """The gate's first look; commits before it measured the matte alone."""
        wants = inspect.signature(self.matting.assess).parameters
        return self.matting.assess(rgb, alpha) if "rgb" in wants else self.matting.assess(alpha)


@dataclass(slots=True)
class Costs:
    """Processor seconds, by size, version and stage."""

    seconds: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def time(self, size: str, code: str, stage: str, call: Callable[[], Any]) -> Any:
        begin = time.thread_time()
        result = call()
        spent = time.thread_time() - begin
        self.seconds.setdefault((size, code, stage), []).append(spent)
        return result

    def medians(self) -> dict[str, dict[str, dict[str, float]]]:
        """Milliseconds: {size: {version: {stage: value}}}."""
        table: dict[str, dict[str, dict[str, float]]] = {}
        for (size, code, stage), values in self.seconds.items():
            milliseconds = round(statistics.median(values) * 1e3, 2)
            table.setdefault(size, {}).setdefault(code, {})[stage] = milliseconds
        return table


@dataclass(slots=True)
class Bench:
    """All measurements of one run."""

    codes: list[Code]
    session: Session
    manifest: Manifest
    repeat: int
    stages: Costs = field(default_factory=Costs)
    writers: Costs = field(default_factory=Costs)
    written: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)
    apart: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def measure(self, size: str, data: bytes) -> None:
        """One photo at one size: each stage of each version, then the PNG writers."""
        for _ in range(self.repeat):
            made = [self._stages(code, size, data) for code in self.codes]
        if len(made) == 2:
            self._compare(size, *made)
        self._write(size, made[-1]["cutout"])

    def report(self) -> dict[str, Any]:
        sizes: dict[str, dict[str, float]] = {}
        for (size, name), pairs in self.written.items():
            data, pixels = (sum(column) for column in zip(*pairs, strict=True))
            sizes.setdefault(size, {})[name] = round(data / pixels, 3)
        apart: dict[str, dict[str, float]] = {}
        for (size, name), values in self.apart.items():
            apart.setdefault(size, {})[name] = round(statistics.mean(values), 3)
        return {
            "stage_ms": self.stages.medians(),
            "png_ms": self.writers.medians(),
            "png_bytes_per_pixel": sizes,
            "difference_in_band_255ths": apart,
        }

    def _stages(self, code: Code, size: str, data: bytes) -> dict[str, Any]:
        def timed(stage: str, call: Callable[[], Any]) -> Any:
            return self.stages.time(size, code.name, stage, call)

        place: Any
        rgb = timed("decode", lambda: code.imaging.decode(data, "photo", max_pixels=LIMIT)).rgb
        tensor, place = timed(
            "prepare", lambda: code.preprocess.to_tensor(rgb, self.manifest.input)
        )
        output = timed("infer", lambda: self.session.run(tensor))
        small = timed(
            "read output", lambda: code.preprocess.from_output(output, self.manifest.output, place)
        )
        alpha = timed("refine", lambda: code.matting.refine(rgb, small))
        timed("assess", lambda: code.assess(rgb, alpha))
        front = timed("foreground", lambda: code.matting.estimate_foreground(rgb, alpha))
        cut = timed("cutout", lambda: code.matting.cutout(front, alpha))
        timed("png", lambda: code.imaging.encode(cut, "png"))
        timed("preview", lambda: code.imaging.before_after(rgb, alpha))
        return {"rgb": rgb, "alpha": alpha, "foreground": front, "cutout": cut}

    def _compare(self, size: str, before: dict[str, Any], now: dict[str, Any]) -> None:
        alpha = before["alpha"]
        again = self.codes[-1].matting.estimate_foreground(before["rgb"], alpha)
        band = (alpha > 0) & (alpha < 1)
        pairs = {
            "refined matte": (alpha * 255, now["alpha"] * 255),
            "foreground of the same matte": (before["foreground"], again),
        }
        for name, (first, second) in pairs.items():
            apart = np.abs(first[band].astype(float) - second[band]).mean()
            self.apart.setdefault((size, name), []).append(float(apart))

    def _write(self, size: str, cut: np.ndarray) -> None:
        writers = {
            "this project": lambda: self.codes[-1].imaging.encode(cut, "png"),
            "OpenCV level 1": lambda: _opencv_png(cut),
            "Pillow level 6": lambda: _pillow_png(cut),
        }
        written: dict[str, int] = {}
        for _ in range(self.repeat):
            for name, call in writers.items():
                written[name] = len(self.writers.time(size, "png", name, call))
        for name, count in written.items():
            self.written.setdefault((size, name), []).append((count, cut[:, :, 0].size))


def main() -> int:
    options = _options()
    cv2.setNumThreads(1)
    settings = Settings()
    session, manifest = load_tools(settings, plan_for(settings), settings.model)
    with _versions(options.against) as codes:
        bench = Bench(codes, session, manifest, options.repeat)
        for size, data in _photos(options.folder):
            bench.measure(size, data)
    report = {"machine": machine(), "repeats": options.repeat, **bench.report()}
    print(json.dumps(report, indent=2)) if options.json else _print(report)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost of each stage, and PNG writers compared.")
    parser.add_argument("--folder", type=Path, help="photos to use instead of the built-in one")
    parser.add_argument("--repeat", type=int, default=5, help="times that each stage runs")
    parser.add_argument("--against", metavar="COMMIT", help="another version, measured beside")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@contextmanager
def _versions(commit: str | None) -> Iterator[list[Code]]:
    """The other commit's package, if one is asked for, and this one."""
    if commit is None:
        yield [Code.load("now")]
        return
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.check_output(
            ("git", "-C", str(ROOT), "archive", commit, "edge_matting")
        )
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield [_foreign(commit, folder), Code.load("now")]


def _foreign(commit: str, folder: str) -> Code:
    """The package in ``folder``, imported beside ours, which is put back afterwards."""
    ours = {name: module for name, module in sys.modules.items() if _is_package(name)}
    for name in ours:
        del sys.modules[name]
    sys.path.insert(0, folder)
    try:
        return Code.load(commit)
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if _is_package(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


def _is_package(name: str) -> bool:
    return name.partition(".")[0] == "edge_matting"


def _photos(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    """Size and JPEG data of each photo at each size."""
    if folder is None:
        sources = {"built-in": sample_bytes()}
    else:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        sources = {path.name: path.read_bytes() for path in files}
    for data in sources.values():
        with Image.open(io.BytesIO(data)) as picture:
            rgb = np.asarray(picture.convert("RGB"))
        for size, count in SIZES.items():
            yield size, _scaled(rgb, count)


def _scaled(rgb: np.ndarray, count: int) -> bytes:
    height, width = rgb.shape[:2]
    factor = (count / (height * width)) ** 0.5
    target = round(width * factor), round(height * factor)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    target_file = io.BytesIO()
    Image.fromarray(cv2.resize(rgb, target, interpolation=method)).save(
        target_file, "JPEG", quality=92
    )
    return target_file.getvalue()


def _opencv_png(cut: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):  # else its level 1 means Sub already
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]
    return cv2.imencode(".png", cv2.cvtColor(cut, cv2.COLOR_RGBA2BGRA), options)[1].tobytes()


def _pillow_png(cut: np.ndarray) -> bytes:
    target = io.BytesIO()
    Image.fromarray(cut).save(target, "PNG", compress_level=6)
    return target.getvalue()


def _print(report: dict[str, Any]) -> None:
    for name, value in report["machine"].items():
        print(f"{name:24} {value}")
    for size, versions in report["stage_ms"].items():
        print(f"\n{size}, ms of one core{'':8}" + "".join(f"{name:>14}" for name in versions))
        for stage in versions["now"]:
            row = "".join(f"{versions[code].get(stage, 0):14.1f}" for code in versions)
            print(f"  {stage:26}{row}")
        totals = {name: sum(stages.values()) for name, stages in versions.items()}
        print(f"  {'all':26}" + "".join(f"{value:14.1f}" for value in totals.values()))
        print("  photos a second and core  " + "".join(f"{1e3 / v:14.1f}" for v in totals.values()))
        for name, value in report["difference_in_band_255ths"].get(size, {}).items():
            print(f"  {name}: in the band {value} of 255 apart, on average")
        print("  PNG writer                    ms  bytes a pixel")
        for name, spent in report["png_ms"][size]["png"].items():
            print(f"  {name:24}{spent:8.1f}{report['png_bytes_per_pixel'][size][name]:10.3f}")


if __name__ == "__main__":
    sys.exit(main())

"""Side by side with `rembg p`: the same model file, the same photos, by turns in one run.

rembg gets a virtual environment of its own and feeds every model ImageNet-normalised pixels. So
the shipped network gets a first layer that undoes that normalisation, and both programs run this
one file at 320 x 320: rembg as ``u2net_custom``, we after `models add --preset imagenet`. Paces
are taken from when results appeared, after the first 15 %; our run has each photo several times
under different names, for it would be over too soon (nothing is answered from a cache). The first
result is timed from the start of the process.

rembg stretches each matte to 0..255; the comparison stretches ours likewise. Photos of 320 x 320
show whether both run the same network on the same pixels, for there nothing is resampled; at full
size the two resampling kernels differ (Lanczos there and back in rembg).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from tools.bench.appliance import command, environment, start, write_config
from tools.bench.throughput import ratios, summary
from tools.bench.watching import Pace, Watch, pace, published

PACKAGE = "rembg[cpu,cli]"
MODEL = "compared"
TIMES = 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 320
LEAST_PEAK = 128


def make_venv(folder: Path) -> Path:
    """A virtual environment with rembg, made once; its interpreter."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "rembg").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
    return python


def wrap_model(model: Path, target: Path) -> None:
    """The network with a first layer from ImageNet-normalised pixels to its own range [-1, 1]."""
    import onnx
    from onnx import helper, numpy_helper

    net = onnx.load(model)
    own = net.graph.input[0].name
    scale = np.array(STD, np.float32).reshape(1, 3, 1, 1) / 0.5
    shift = (np.array(MEAN, np.float32).reshape(1, 3, 1, 1) - 0.5) / 0.5
    for name, value in (("undo_scale", scale), ("undo_shift", shift)):
        net.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    nodes = [
        helper.make_node("Mul", ["normalised", "undo_scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "undo_shift"], [own]),
    ]
    net.graph.input[0].name = "normalised"
    for node in reversed(nodes):
        net.graph.node.insert(0, node)
    onnx.checker.check_model(net)
    onnx.save(net, target)


@dataclass(frozen=True, slots=True)
class Rembg:
    """The other program, and the model that both run."""

    python: Path
    home: Path
    model: Path

    @classmethod
    def prepare(cls, venv: Path, model: Path, root: Path) -> Rembg:
        home = root / "rembg"
        home.mkdir(parents=True)
        wrapped = home / f"{MODEL}.onnx"
        wrap_model(model, wrapped)
        return cls(make_venv(venv), home, wrapped)

    def arguments(self, photos: Path, out: Path) -> list[str]:
        options = json.dumps({"model_path": str(self.model)})
        rembg = self.python.with_name("rembg")
        return [str(rembg), "p", "-m", "u2net_custom", "-x", options, str(photos), str(out)]

    def run(self, photos: Path, out: Path, log: Path) -> tuple[subprocess.Popen[bytes], float]:
        """Begin; the process and the moment."""
        out.mkdir(parents=True)
        begin = time.time()
        env = {**os.environ, "REMBG_HOME": str(self.home)}
        env.pop("PYTHONPATH", None)
        with log.open("ab") as target:
            child = subprocess.Popen(
                self.arguments(photos, out), stdout=target, stderr=target, env=env
            )
        return child, begin


@dataclass(frozen=True, slots=True)
class Run:
    """One program once over the photos."""

    pace: Pace
    first_seconds: float
    peak_mb: float


def side_by_side(
    photos: Sequence[Path], scratch: Path, venv: Path, model: Path, rounds: int
) -> dict[str, Any]:
    """Paces, first results, memory, sizes and mattes of both."""
    other = Rembg.prepare(venv, model, scratch)
    ours = write_config(scratch / "ours")
    _add_model(ours, other.model)
    once, often = _several(photos, scratch / "once", 1), _several(photos, scratch / "often", TIMES)
    runs: dict[str, list[Run]] = {"rembg p": [], "plain": [], "cutout": []}
    for _ in range(rounds):
        for name, made in runs.items():
            out = scratch / "out" / name
            shutil.rmtree(out, ignore_errors=True)
            if name == "rembg p":
                made.append(_theirs(other, once, out, len(photos)))
            else:
                made.append(_ours(ours, name, often, out, len(photos) * TIMES))
    return {
        "photos": len(photos),
        **_report(runs),
        "bytes_ratio": _bytes_ratio(photos, scratch / "out"),
        "alpha_full_size": _alpha(photos, scratch / "out"),
        "alpha_320": _alpha_small(photos, scratch, other, ours),
    }


def _report(runs: dict[str, list[Run]]) -> dict[str, Any]:
    paces = {name: summary([run.pace for run in made]) for name, made in runs.items()}
    report: dict[str, Any] = {"paces": paces}
    for name in ("plain", "cutout"):
        report[f"{name}_times_as_fast"] = ratios(paces, name, "rembg p")
    for field in ("first_seconds", "peak_mb"):
        report[field] = {
            name: round(float(np.median([getattr(run, field) for run in made])), 2)
            for name, made in runs.items()
        }
    first = report["first_seconds"]
    report["first_result_ratio"] = round(first["plain"] / first["rembg p"], 3)
    return report


def _add_model(config: Path, model: Path) -> None:
    size = f"{SIDE}x{SIDE}"
    add = command("models", "add", model, "-c", config, "--id", MODEL)
    subprocess.run(
        [*add, "--preset", "imagenet", "--size", size],
        check=True,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )


def _several(photos: Sequence[Path], folder: Path, times: int) -> Path:
    folder.mkdir(parents=True)
    for turn in range(times):
        for photo in photos:
            (folder / f"{turn}-{photo.name}").hardlink_to(photo)
    return folder


def _theirs(other: Rembg, photos: Path, out: Path, count: int) -> Run:
    child, begin = other.run(photos, out, out.parent.with_name("rembg.txt"))
    process = psutil.Process(child.pid)
    with Watch(lambda: [process]) as watch:
        child.wait()
    moments = sorted(path.stat().st_mtime for path in out.glob("*.png"))
    return _measured(moments, begin, watch, count)


def _ours(config: Path, recipe: str, photos: Path, out: Path, count: int) -> Run:
    arguments = command("process", photos, "-o", out, "-c", config, "--recipe", recipe)
    begin = time.time()
    child = start([*arguments, "--model", MODEL, "--no-cache"], config.with_name("log.txt"))
    process = psutil.Process(child.pid)
    with Watch(lambda: [process]) as watch:
        child.wait()
    return _measured(published([out]), begin, watch, count)


def _measured(moments: list[float], begin: float, watch: Watch, count: int) -> Run:
    if len(moments) != count:
        raise SystemExit(f"{len(moments)} of {count} photos were done")
    peak = max(sample.resident for sample in watch.samples) / 1e6
    return Run(pace(moments, watch), moments[0] - begin, peak)


def _pairs(photos: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Our file and theirs for each photo."""
    return [
        (_our_file(out / "plain", f"0-{p.stem}.png"), out / "rembg p" / f"0-{p.stem}.png")
        for p in photos
    ]


def _our_file(out: Path, name: str) -> Path:
    return next(path for path in (out / name, out / "review" / name) if path.exists())


def _bytes_ratio(photos: Sequence[Path], out: Path) -> float:
    ours, theirs = (
        sum(path.stat().st_size for path in paths)
        for paths in zip(*_pairs(photos, out), strict=True)
    )
    return round(ours / theirs, 3)


def _alpha(photos: Sequence[Path], out: Path) -> dict[str, float]:
    """Differences of the mattes in 255ths, ours stretched as rembg does it.

    Where no subject is found rembg stretches noise of a few levels over the whole range; such
    photos are counted and left out.
    """
    pairs = _pairs(photos, out)
    shown = [pair for pair in pairs if float(_channel(pair[0]).max()) >= LEAST_PEAK]
    apart = np.concatenate([_difference(*pair).ravel() for pair in shown])
    return {
        "photos_without_subject": len(pairs) - len(shown),
        "mean": round(float(apart.mean()), 3),
        "p99": round(float(np.quantile(apart, 0.99)), 2),
        "within_2": round(float((apart <= 2).mean()), 5),
        "most": round(float(apart.max()), 2),
    }


def _difference(ours: Path, theirs: Path) -> np.ndarray:
    mine, other = (_channel(path) for path in (ours, theirs))
    low, high = float(mine.min()), float(mine.max())
    stretched = (mine - low) / max(high - low, 1e-6) * 255
    return np.abs(stretched - other)


def _channel(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))[:, :, 3].astype(np.float32)


def _alpha_small(
    photos: Sequence[Path], scratch: Path, other: Rembg, ours: Path
) -> dict[str, float]:
    """The same for photos that already have the model's size."""
    folder, out = scratch / "small", scratch / "out-small"
    folder.mkdir()
    for photo in photos:
        with Image.open(photo) as picture:
            small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            small.putpixel((0, 0), (255, 255, 255))  # rembg divides by the brightest value
            small.save(folder / f"0-{photo.stem}.png")
    child, _ = other.run(folder, out / "rembg p", scratch / "small.txt")
    child.wait()
    arguments = command("process", folder, "-o", out / "plain", "-c", ours, "--recipe", "plain")
    start([*arguments, "--model", MODEL, "--no-cache"], scratch / "small.txt").wait()
    return _alpha(photos, out)

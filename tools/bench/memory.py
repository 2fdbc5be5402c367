"""Peak memory of one photo from decoding to encoding, in bytes a pixel.

    python -m tools.bench.memory
    python -m tools.bench.memory --megapixels 24 --json

Each photo is done in a process of its own, after a small one that pays for what is loaded late.
The peak is the kernel's high-water mark of resident memory (VmHWM, reset in between); unlike
``ru_maxrss`` it is not inherited from the process that started this one. The planner's
``BYTES_PER_PIXEL`` must not be below what is printed here.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from edge_matting.cli.sample import sample_bytes, sample_photo
from edge_matting.config import OutputSpec, Recipe, Settings
from edge_matting.core.arrays import Rgb
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.imaging import before_after, decode, encode
from edge_matting.matting import assess, from_output, refine, to_tensor
from edge_matting.pipeline.outputs import render_outputs
from edge_matting.planner import BYTES_PER_PIXEL
from tools.bench.machine import ROOT, machine

LIMIT = 10**9
RECIPES = {
    "cut-out": Recipe(),
    "four outputs": Recipe(
        outputs=(
            OutputSpec(),
            OutputSpec(kind="alpha"),
            OutputSpec(kind="composite", format="jpg"),
            OutputSpec(kind="trimap"),
        )
    ),
    "every step": Recipe.model_validate(
        {
            "outputs": (
                {"kind": "cutout", "format": "tiff", "premultiplied": True},
                {"kind": "composite", "format": "png"},
                {"kind": "composite", "format": "jpg"},
            ),
            "alpha_threshold": 10,
            "erode": 2,
            "feather": 4,
            "despill": "green",
            "crop": {"margin": 100},  # beyond the photo, up to twice its pixels
            "shadow": {},
            "background": {"blur": 2},
            "colour": "srgb",
        }
    ),
}
CASES = {
    "JPEG, cut-out": ("jpg", np.uint8, "cut-out"),
    "JPEG, four outputs": ("jpg", np.uint8, "four outputs"),
    "JPEG, every step": ("jpg", np.uint8, "every step"),
    "16-bit PNG, every step": ("png", np.uint16, "every step"),
    "noise JPEG, cut-out": ("noise", np.uint8, "cut-out"),
    "RGBA PNG, cut-out": ("rgba", np.uint8, "cut-out"),
    "16-bit PNG, cut-out": ("png", np.uint16, "cut-out"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Peak memory of one photo, in bytes a pixel.")
    parser.add_argument("--megapixels", type=float, default=24.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("FILE", "RECIPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(Path(options.one[0]), RECIPES[options.one[1]])))
        return 0
    peaks = {name: _measured(options.megapixels, *case) for name, case in CASES.items()}
    report = {
        "machine": machine(),
        "megapixels": options.megapixels,
        "planned_bytes_per_pixel": BYTES_PER_PIXEL,
        "peak_bytes_per_pixel": peaks,
    }
    print(json.dumps(report, indent=2)) if options.json else _print(report)
    return 0


def _measured(megapixels: float, kind: str, depth: type, recipe: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photo")
        path.write_bytes(_photo(megapixels, kind, depth))
        command = (sys.executable, "-m", "tools.bench.memory", "--one", str(path), recipe)
        answer = json.loads(subprocess.check_output(command, cwd=ROOT))
    return round((answer["peak"] - answer["before"]) / answer["pixels"], 1)


def _photo(megapixels: float, kind: str, depth: type) -> bytes:
    width, height = (round(side * (megapixels * 1e6 / 6) ** 0.5) for side in (3, 2))
    large = cv2.resize(sample_photo(), (width, height), interpolation=cv2.INTER_CUBIC)
    rgb: Rgb = np.asarray(large, np.uint8)
    if kind == "noise":  # compresses badly, on its way in and out
        rgb = np.random.default_rng(1).integers(0, 256, rgb.shape, dtype=np.uint8)
    if kind == "rgba":
        rgb = np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 200, np.uint8)], axis=2)
    if depth is np.uint16:
        rgb = rgb.astype(np.uint16) * 257
    return encode(rgb, "jpg" if kind in ("jpg", "noise") else "png")


def _one(path: Path, recipe: Recipe) -> dict[str, int]:
    cv2.setNumThreads(1)
    settings = Settings()
    session, manifest = load_tools(settings, plan_for(settings), settings.model)

    def finish(data: bytes) -> int:
        photo = decode(data, "photo", max_pixels=LIMIT)
        tensor, place = to_tensor(photo.rgb, manifest.input)
        small = from_output(session.run(tensor), manifest.output, place)
        alpha = refine(photo.rgb, small)
        if photo.alpha is not None:
            alpha = alpha * photo.alpha
        assess(photo.rgb, alpha)
        files = render_outputs(photo, alpha, recipe)
        before_after(photo.rgb, alpha)
        return sum(len(file.data) for file in files)

    finish(sample_bytes())
    Path("/proc/self/clear_refs").write_text("5", "ascii")  # forget the peak so far
    before = _peak()
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        pixels = picture.width * picture.height
    finish(path.read_bytes())
    return {"before": before, "peak": _peak(), "pixels": pixels}


def _peak() -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


def _print(report: dict[str, object]) -> None:
    for key, value in report.items():
        for name, each in value.items() if isinstance(value, dict) else [(key, value)]:
            print(f"{name:26} {each}")


if __name__ == "__main__":
    sys.exit(main())

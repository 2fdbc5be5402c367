"""How true finished mattes are, on pictures whose alpha and colours are known exactly.

    python -m tools.bench.finishing
    python -m tools.bench.finishing --data DATA --scenes 24 --json

Refinement is compared with bilinear upsampling of the same network output; foreground estimation
with none and with pymatting's estimate_foreground_ml, by the error of a composite over a new
background (mean of alpha * |F - true F| over 0 < alpha < 1, in 255ths; the true alpha is given to
all). Costs are processor seconds of this process, OpenCV on one thread, all methods interleaved.
Without ``--data`` a small built-in scene is used. Scenes in which the network does not find the
subject (IoU below 0.9) are counted and left out: no refinement can find it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]  # `tools` is no installed package

from edge_matting.config import Settings  # noqa: E402
from edge_matting.engine.factory import open_catalog  # noqa: E402
from edge_matting.matting import estimate_foreground, refine, resample  # noqa: E402
from edge_matting.pipeline.matte import infer  # noqa: E402
from edge_matting.runtimes.ort.session import OrtSession  # noqa: E402
from tools.bench.machine import machine  # noqa: E402
from tools.bench.metrics import gradient_error, iou, sad  # noqa: E402
from tools.bench.rendered import SIZE_12MP, Scene, built_in, scenes  # noqa: E402

FOUND = 0.9
Matte = np.ndarray


@dataclass(frozen=True, slots=True)
class Measured:
    """One method on one scene."""

    scene: str
    kind: str  # refinement or foreground
    method: str
    error: float  # SAD; for foregrounds the composite's error, 255ths
    gradient: float  # error of the gradient; 0 for foregrounds
    seconds: float


def compare(scene: Scene, small: Matte, *, pymatting: bool) -> list[Measured]:
    """Every method on one scene. ``small`` is the network's matte, h x w float32."""
    size = scene.alpha.shape[1], scene.alpha.shape[0]
    refinements: dict[str, Callable[[], Matte]] = {
        "bilinear": lambda: resample(small, size),
        "fast": lambda: refine(scene.rgb, small, "fast"),
        "quality": lambda: refine(scene.rgb, small, "quality"),
    }
    foregrounds: dict[str, Callable[[], Matte]] = {
        "none": lambda: scene.rgb,
        "ours": lambda: estimate_foreground(scene.rgb, scene.alpha),
    }
    if pymatting:
        foregrounds["pymatting ml"] = lambda: _multi_level(scene)
    rows = []
    for name, call in refinements.items():
        alpha, spent = _timed(call)
        errors = sad(alpha, scene.alpha), gradient_error(alpha, scene.alpha)
        rows.append(Measured(scene.name, "refinement", name, *errors, spent))
    for name, call in foregrounds.items():
        front, spent = _timed(call)
        error = composite_error(front, scene)
        rows.append(Measured(scene.name, "foreground", name, error, 0.0, spent))
    return rows


def composite_error(front: Matte, scene: Scene) -> float:
    """Mean error of a composite over any new background, over 0 < alpha < 1, 255ths."""
    band = (scene.alpha > 0) & (scene.alpha < 1)
    apart = np.abs(front[band].astype(np.float32) - scene.front[band])
    return float((apart * scene.alpha[band][:, np.newaxis]).mean())


def summary(rows: Iterable[Measured]) -> list[dict[str, Any]]:
    """Per method: errors against the first method of its kind, of sums and as means of ratios."""
    rows = list(rows)
    result = []
    for kind in ("refinement", "foreground"):
        names = list(dict.fromkeys(row.method for row in rows if row.kind == kind))
        base = [row for row in rows if row.kind == kind and row.method == names[0]]
        for name in names:
            ours = [row for row in rows if row.kind == kind and row.method == name]
            pairs = list(zip(ours, base, strict=True))
            result.append(
                {
                    "kind": kind,
                    "method": name,
                    "error": round(float(np.mean([row.error for row in ours])), 3),
                    "error_ratio": _ratio([(one.error, other.error) for one, other in pairs]),
                    "gradient_ratio": _ratio([(a.gradient, b.gradient) for a, b in pairs]),
                    "seconds_median": round(float(np.median([row.seconds for row in ours])), 3),
                }
            )
    return result


def _ratio(pairs: list[tuple[float, float]]) -> dict[str, float] | None:
    if not all(base for _, base in pairs):
        return None
    ours, base = np.array(pairs).T
    return {
        "of_sums": round(float(ours.sum() / base.sum()), 3),
        "mean": round(float((ours / base).mean()), 3),
        "median": round(float(np.median(ours / base)), 3),
    }


def _timed(call: Callable[[], Matte]) -> tuple[Matte, float]:
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


def _multi_level(scene: Scene) -> Matte:
    from pymatting import estimate_foreground_ml

    front = estimate_foreground_ml(scene.rgb / 255.0, scene.alpha.astype(np.float64))
    return np.clip(front * 255, 0, 255)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="photos and subjects, as for training")
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    catalog = open_catalog(Settings())
    manifest = catalog.get("default")
    session = OrtSession(manifest, catalog.verify("default"), threads=1)
    made = (
        [built_in()]
        if options.data is None
        else scenes(options.data, options.scenes, options.seed, SIZE_12MP)
    )
    rows: list[Measured] = []
    missed = 0
    for scene in made:
        small = infer(scene.rgb, session, manifest)
        found = iou(small, resample(scene.alpha, (small.shape[1], small.shape[0])))
        if options.data is not None and found < FOUND:
            missed += 1
            continue
        if not rows and options.data is not None:
            _multi_level(built_in())  # pymatting compiles itself at its first call
        rows += compare(scene, small, pymatting=options.data is not None)
        print(f"{scene.name}: IoU of the network's matte {found:.3f}", file=sys.stderr, flush=True)
    report = {
        "machine": machine(),
        "scenes": sum(row.method == "fast" for row in rows),
        "not_found": missed,
        "summary": summary(rows),
        "rows": [asdict(row) for row in rows],
    }
    print(json.dumps(report, indent=2) if options.json else _text(report))
    return 0


def _text(report: dict[str, Any]) -> str:
    lines = [f"{name:24} {value}" for name, value in report["machine"].items()]
    lines.append(f"scenes {report['scenes']}, subject not found in {report['not_found']}\n")
    lines += [
        f"{row['kind']:12}{row['method']:14}error {row['error']:12.3f}"
        f"  ratio {row['error_ratio']}  gradient {row['gradient_ratio']}"
        f"  {row['seconds_median']} s"
        for row in report["summary"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

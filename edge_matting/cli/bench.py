"""``bench``: what this machine does, stage by stage, on the built-in photo."""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_matting import __version__
from edge_matting.cli.directory import DirectoryResults, InputPhoto, Places
from edge_matting.cli.output import print_json, print_line
from edge_matting.cli.sample import sample_photo
from edge_matting.cli.settings import read_settings
from edge_matting.config import Settings
from edge_matting.core.errors import ConfigError
from edge_matting.core.plan import Plan
from edge_matting.device import probe_device
from edge_matting.engine.factory import plan_for, tools_for_recipe
from edge_matting.engine.jobs.delivery import deliver
from edge_matting.imaging import encode
from edge_matting.pipeline import PhotoTask, Tools

SIZE = (1920, 1080)


def run(options: argparse.Namespace) -> int:
    if options.photos < 1:
        raise ConfigError("--photos: expected a number above 0")
    settings = read_settings(options)
    profile = probe_device()
    plan = plan_for(settings, profile)
    recipe = settings.recipes[settings.hot_folders[0].recipe]
    tools = tools_for_recipe(settings, plan, recipe)
    with tempfile.TemporaryDirectory() as scratch:
        report = {
            "version": __version__,
            "python": platform.python_version(),
            "cpu": profile.cpu_model,
            "usable_cpus": profile.usable_cpus,
            "model": tools.manifest.id,
            "provider": tools.session.describe().actual_provider,
            "photo": f"{SIZE[0]} x {SIZE[1]} JPEG, default recipe",
            **_measure(settings, plan, tools, Path(scratch), options.photos),
            "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }
    if options.json:
        print_json(report)
    else:
        _print(report)
    return 0


def _measure(
    settings: Settings, plan: Plan, tools: Tools, scratch: Path, photos: int
) -> dict[str, Any]:
    data = encode(cv2.resize(sample_photo(), SIZE).astype(np.uint8), "jpg", quality=92)
    path = scratch / "photo.jpg"
    path.write_bytes(data)
    recipe = settings.recipes[settings.hot_folders[0].recipe]
    places = Places(scratch / "out", "bench", reuse=False)

    def one(number: int) -> dict[str, float]:
        photo = InputPhoto(path, f"{number}.jpg")
        results = DirectoryResults(places, photo, recipe, tools.identity)
        task = PhotoTask(photo.relative, data, recipe, settings.limits.max_pixels)
        begin = time.perf_counter()
        done = deliver(task, tools, results)
        return {**done.result.seconds, "total": time.perf_counter() - begin}

    one(-1)  # the first pays for what is loaded late
    alone = [one(number) for number in range(photos)]
    begin = time.perf_counter()
    with ThreadPoolExecutor(plan.workers) as pool:
        list(pool.map(one, range(photos, 2 * photos)))
    seconds = time.perf_counter() - begin
    stages = {name: statistics.median(each[name] for each in alone) for name in alone[0]}
    return {
        "stage_seconds_median": {name: round(value, 4) for name, value in stages.items()},
        "photos_per_second": round(photos / seconds, 2),
        "photos_in_flight": plan.workers,
    }


def _print(report: dict[str, Any]) -> None:
    for key, value in report.items():
        if isinstance(value, dict):
            print_line(f"{key}:")
            for name, seconds in value.items():
                print_line(f"  {name:10} {seconds * 1000:8.1f} ms")
        else:
            print_line(f"{key}: {value}")
    sys.stdout.flush()

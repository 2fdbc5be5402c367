"""The matte cache against re-exports it should answer and edits it must refuse, on real photos.

    python -m tools.bench.cache_trial --photos DIR[:COUNT[:SKIP]] --photos ... --report trial.json

Every photo's matte goes into one cache on disk. Then each photo comes again in many re-exports
and many edits, and each of them is looked up among all. A re-export must be answered with its own
photo's matte; any matte for an edit is a false hit. For accepted re-exports of every third photo
the stored matte is compared with a fresh inference. ``--plot`` draws the distances as an SVG.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_matting.cache import MatchTolerances, MatteCache, fingerprint_of
from edge_matting.cache.matte_cache import PHASH_BITS, alike
from edge_matting.cache.verify import comparable_size, compare
from edge_matting.config import Settings
from edge_matting.engine.factory import load_tools, plan_for
from edge_matting.matting import refine
from edge_matting.matting.preprocess import model_view
from edge_matting.pipeline.matte import infer, matte_context
from tools.bench.adversary.curves import draw
from tools.bench.adversary.edits import Rgb, Scene, edits, other_product
from tools.bench.adversary.reexports import accepted_reexports, doubtful_reexports, resized, saved
from tools.bench.machine import machine

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
FRESH_EVERY = 3
ANOTHER = "another photo"


@dataclass(frozen=True)
class Trial:
    """One picture that was looked up."""

    photo: str
    kind: str  # reexport, doubtful, edit
    name: str
    verdict: str
    nominated: bool  # by its own photo's hashes
    distances: dict[str, float] | None  # to its own photo; None where they cannot be compared
    mad: float | None = None  # of the stored matte against a fresh one
    far: float | None = None  # share of pixels that differ by more than 0.1


class Bench:
    """The model and the cache under trial; one in each process."""

    def __init__(self, folder: str) -> None:
        cv2.setNumThreads(1)
        settings = Settings()
        self.session, self.manifest = load_tools(settings, plan_for(settings), settings.model)
        self.resolution = self.session.describe().resolution
        self.context = matte_context(self.manifest, self.session.describe())
        self.cache = MatteCache(Path(folder), memory_bytes=10**8, disk_bytes=10**10)

    def view(self, rgb: Rgb) -> Rgb:
        return np.asarray(model_view(rgb, self.manifest.input, self.resolution), np.uint8)

    def learn(self, path: str) -> float:
        """Infer the photo and keep its matte; the mean doubt in it."""
        rgb = _read(path)
        view = self.view(rgb)
        alpha = infer(view, self.session, self.manifest)
        self.cache.keep(self.context, fingerprint_of(view, _size(rgb)), view, alpha, 0.1)
        return float(np.minimum(alpha, 1 - alpha).mean())

    def examine(self, number: int, path: str, other: str) -> list[Trial]:
        """Every re-export and edit of one photo."""
        rgb = _read(path)
        view = self.view(rgb)
        alpha = infer(view, self.session, self.manifest)
        judge = Judge(self, path, rgb, alpha, fresh=number % FRESH_EVERY == 0)
        found = [judge.of("reexport", *each) for each in accepted_reexports(rgb)]
        found += [judge.of("doubtful", *each) for each in doubtful_reexports(rgb)]
        scene = Scene(rgb, refine(rgb, alpha))
        chance = np.random.default_rng(number)
        for name, edit in edits(chance) if scene.has_subject else ():
            found.append(judge.of("edit", name, _exported(edit(scene, chance), chance)))
        stranger = _read(other)
        size = _size(rgb)
        swapped = np.asarray(cv2.resize(stranger, size, interpolation=cv2.INTER_AREA), np.uint8)
        found.append(judge.of("edit", ANOTHER, _exported(swapped, chance)))
        theirs = infer(self.view(stranger), self.session, self.manifest)
        product = Scene(stranger, refine(stranger, theirs))
        if product.has_subject:
            exported = _exported(other_product(scene, product), chance)
            found.append(judge.of("edit", "another product", exported))
        return found


class Judge:
    """Looks pictures up beside the one photo they come from."""

    def __init__(self, bench: Bench, path: str, rgb: Rgb, alpha: Any, *, fresh: bool) -> None:
        self.bench = bench
        self.path = path
        self.mark = fingerprint_of(bench.view(rgb), _size(rgb))
        self.fresh = fresh
        self.alpha = alpha
        name = bench.cache.store.with_pixels(bench.context, self.mark.pixels)
        assert name is not None
        self.entry = bench.cache.load(name)
        assert self.entry is not None

    def of(self, kind: str, name: str, picture: Rgb) -> Trial:
        bench, entry = self.bench, self.entry
        assert entry is not None
        view = bench.view(picture)
        mark = fingerprint_of(view, _size(picture))
        answer = bench.cache.find(bench.context, mark, view)
        near = (mark.phash ^ self.mark.phash).bit_count() <= PHASH_BITS
        size = comparable_size(mark.size, self.mark.size, _size(entry.thumbnail))
        measured = None if size is None else compare(entry.thumbnail, view, entry.alpha, size)
        verdict: str = answer.verdict
        mad, far = None, None
        if answer.alpha is not None and (kind != "edit" or name == ANOTHER):
            ours = np.array_equal(answer.alpha, entry.alpha)
            if name == ANOTHER:  # it was learnt too: its own matte is right
                verdict = verdict if ours else "its own"
            elif not ours:
                verdict = "stranger"
            elif self.fresh:
                apart = np.abs(infer(view, bench.session, bench.manifest) - answer.alpha)
                mad, far = float(apart.mean()), float((apart > 0.1).mean())
        return Trial(
            self.path,
            kind,
            name,
            verdict,
            near and alike(mark, self.mark),
            None if measured is None else asdict(measured),
            mad,
            far,
        )


_bench: Bench | None = None


def _start(folder: str) -> None:
    global _bench  # noqa: PLW0603  a worker process has one
    _bench = Bench(folder)


def _learn(path: str) -> float:
    assert _bench is not None
    return _bench.learn(path)


def _examine(task: tuple[int, str, str]) -> list[Trial]:
    assert _bench is not None
    return _bench.examine(*task)


def main() -> int:
    options = _options()
    photos = [os_path for spec in options.photos for os_path in _chosen(spec)]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor(options.jobs, initializer=_start, initargs=(folder,)) as pool:
            doubts = list(pool.map(_learn, photos, chunksize=4))
        # Anew: each process now finds on disk what all of them learnt.
        with ProcessPoolExecutor(options.jobs, initializer=_start, initargs=(folder,)) as pool:
            trials = list(_examined(pool, photos))
        faults = MatteCache(Path(folder), memory_bytes=0, disk_bytes=10**10).check()
    report = summary(trials)
    report["photos"] = {"count": len(photos), "mean_doubt": float(np.mean(doubts))}
    report["check"] = faults
    report["limits"] = asdict(MatchTolerances())
    report["machine"] = machine()
    report["seconds"] = round(time.perf_counter() - begin)
    if options.report:
        everything = {**report, "trials": [asdict(trial) for trial in trials]}
        options.report.write_text(json.dumps(everything), "utf-8")
    if options.plot:
        options.plot.write_text(draw(_curves(trials), asdict(MatchTolerances())), "utf-8")
    print(json.dumps(report, indent=2))
    return 0 if not report["false_hits"] and not faults else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trial of the matte cache on real photos.")
    parser.add_argument("--photos", action="append", required=True, metavar="DIR[:COUNT[:SKIP]]")
    parser.add_argument("--report", type=Path, help="everything measured, as JSON")
    parser.add_argument("--plot", type=Path, help="curves of the distances, as SVG")
    parser.add_argument("--jobs", type=int, default=2)
    return parser.parse_args()


def _chosen(spec: str) -> list[str]:
    """At most COUNT photos below DIR after the first SKIP, the same ones each time."""
    folder, count, skip = (*spec.split(":"), "", "")[:3]
    found = sorted(str(p) for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    random.Random(9).shuffle(found)
    first = int(skip or 0)
    return found[first : first + int(count) if count else None]


def _examined(pool: ProcessPoolExecutor, photos: list[str]) -> Iterator[Trial]:
    """The other photo is a neighbour in the list: most often of the same kind."""
    tasks = [(n, path, photos[n - 1]) for n, path in enumerate(photos)]
    for done, trials in enumerate(pool.map(_examine, tasks), 1):
        if done % 10 == 0:
            print(f"{done} of {len(photos)} photos", file=sys.stderr, flush=True)
        yield from trials


def summary(trials: list[Trial]) -> dict[str, Any]:
    """Hit shares, false hits and how far accepted mattes are from fresh ones."""
    kinds = {kind: [t for t in trials if t.kind == kind] for kind in ("reexport", "edit")}
    fresh = [t for t in kinds["reexport"] if t.mad is not None]
    false = [t for t in kinds["edit"] if t.verdict in {"matte", "perceptual"}]
    false += [t for t in trials if t.verdict == "stranger"]
    return {
        "reexports": len(kinds["reexport"]),
        "reexport_hits": _share(kinds["reexport"]),
        "edit_pairs": len(kinds["edit"]),
        "edit_pairs_that_hashes_nominate": sum(t.nominated for t in kinds["edit"]),
        "edit_pairs_that_pixels_alone_accept": sum(_accepted(t) for t in kinds["edit"]),
        "false_hits": [asdict(t) for t in false],
        "fresh_compared": len(fresh),
        "mean_mad_255ths": _mean([t.mad * 255 for t in fresh if t.mad is not None]),
        "mean_percent_past_0.1": _mean([t.far * 100 for t in fresh if t.far is not None]),
        "hits_by_name": _by_name(trials),
    }


def _accepted(trial: Trial) -> bool:
    measured = trial.distances
    return measured is not None and all(
        measured[name] <= limit for name, limit in asdict(MatchTolerances()).items()
    )


def _share(trials: list[Trial]) -> float:
    return _mean([t.verdict in {"matte", "perceptual"} for t in trials])


def _by_name(trials: list[Trial]) -> dict[str, str]:
    grouped = defaultdict(list)
    for trial in trials:
        grouped[f"{trial.kind}: {trial.name}"].append(trial)
    return {name: f"{_share(group):.3f} of {len(group)}" for name, group in grouped.items()}


def _curves(trials: list[Trial]) -> dict[str, dict[str, list[float]]]:
    """Distance name to the sorted distances of re-exports and of edits."""
    return {
        name: {
            kind: sorted(t.distances[name] for t in trials if t.kind == kind and t.distances)
            for kind in ("reexport", "edit")
        }
        for name in ("difference", "patch", "colour", "drift")
    }


def _exported(picture: Rgb, chance: np.random.Generator) -> Rgb:
    """As an edit reaches a studio's folder: saved somehow, sometimes at another size."""
    if chance.random() < 0.3:
        picture = resized(picture, float(chance.choice((0.5, 0.75, 1.5, 2.0))))
    kind, quality = (("jpg", 75), ("jpg", 85), ("jpg", 95), ("webp", 85), ("png", 0))[
        chance.integers(5)
    ]
    return saved(picture, kind, quality)


def _read(path: str) -> Rgb:
    bgr = cv2.imread(path, cv2.IMREAD_COLOR)
    assert bgr is not None, path
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _size(rgb: Any) -> tuple[int, int]:
    return rgb.shape[1], rgb.shape[0]


def _mean(values: list[Any]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


if __name__ == "__main__":
    sys.exit(main())

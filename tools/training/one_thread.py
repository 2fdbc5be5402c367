"""Sessions and times that compare: onnxruntime on one thread, runs by turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import onnxruntime


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """One thread, so that the times compare."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def medians(runs: Sequence[Callable[[int], object]], turns: int) -> list[float]:
    """Seconds of processor time of each run, which is given the number of its turn."""
    taken: list[list[float]] = [[] for _ in runs]
    for turn in range(turns):
        for run, seconds in zip(runs, taken, strict=True):
            begin = time.process_time()
            run(turn)
            seconds.append(time.process_time() - begin)
    return [statistics.median(seconds) for seconds in taken]

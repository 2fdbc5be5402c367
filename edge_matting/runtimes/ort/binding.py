"""One inference on a GPU without copies that onnxruntime would make by itself."""

from __future__ import annotations

import threading
from typing import Any

from edge_matting.runtimes.session import Tensor


class DeviceBinding:
    """Feeds a session from a buffer on the GPU that stays there, and fetches the result.

    One inference at a time: the buffer is one, and the card would queue them anyway.
    ``runtime`` is the onnxruntime module, or what stands in for it in a test.
    """

    def __init__(self, runtime: Any, session: Any, output: str) -> None:
        self._runtime = runtime
        self._session = session
        self._output = output
        self._buffers: dict[str, Any] = {}
        self._shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        self._lock = threading.Lock()

    def run(self, feeds: dict[str, Tensor]) -> Tensor:
        """The output for the named input arrays, in main memory."""
        with self._lock:
            binding = self._session.io_binding()
            for name, array in feeds.items():
                binding.bind_ortvalue_input(name, self._on_device(name, array))
            # Where the output lies is the runtime's to decide: its size is not known before.
            binding.bind_output(self._output, "cuda", 0)
            self._session.run_with_iobinding(binding)
            (output,) = binding.copy_outputs_to_cpu()
        result: Tensor = output
        return result

    def _on_device(self, name: str, array: Tensor) -> Any:
        shape = (array.shape, array.dtype.str)
        if self._shapes.get(name) == shape:
            self._buffers[name].update_inplace(array)
        else:
            value = self._runtime.OrtValue.ortvalue_from_numpy(array, "cuda", 0)
            self._buffers[name], self._shapes[name] = value, shape
        return self._buffers[name]

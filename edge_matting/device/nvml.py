"""A session with NVML, NVIDIA's management library (module ``pynvml`` of nvidia-ml-py).

Every call may answer NotSupported: on a Jetson only the name works. A healthy NVML is no proof
that a session will run on the GPU. The library stays open between readings, for opening it may
wake the card; it is opened in the process that uses it, because handles do not survive a fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from edge_matting.device.system import System

UNINITIALIZED, FUNCTION_NOT_FOUND, GPU_IS_LOST, RESET_REQUIRED = 1, 13, 15, 16
DRIVER_NOT_LOADED, VERSION_MISMATCH, ARGUMENT_VERSION, DEPRECATED = 9, 18, 25, 26

BROKEN: Final = frozenset(
    {UNINITIALIZED, DRIVER_NOT_LOADED, GPU_IS_LOST, RESET_REQUIRED, VERSION_MISMATCH}
)
"""After these the session, not the call, is to blame."""

OTHER_NAME: Final = frozenset({FUNCTION_NOT_FOUND, ARGUMENT_VERSION, DEPRECATED})
"""The driver knows this call by its other name, if at all."""

ADVICE: Final = {
    GPU_IS_LOST: "it fell off the bus: restart the machine, and check power and heat if it recurs",
    RESET_REQUIRED: "restart the machine",
    VERSION_MISMATCH: "the driver was updated: restart the machine",
    DRIVER_NOT_LOADED: "load the NVIDIA driver",
}

FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 300.0

DISPLAY_CLASS: Final = "0x03"
NVIDIA: Final = "0x10de"


class NvmlGone(Exception):
    """NVML does not answer any more, or never did; the message says why."""


def card_on_bus(system: System) -> bool:
    """An NVIDIA display device on PCI, whether or not a driver serves it."""
    return any(
        system.text(path) == NVIDIA
        and (system.text(path.removesuffix("vendor") + "class") or "").startswith(DISPLAY_CLASS)
        for path in system.find("sys/bus/pci/devices/*/vendor")
    )


def worth_asking(system: System) -> bool:
    """Whether anything hints at NVML; importing its module for nothing costs time and memory."""
    nodes = ("dev/nvidiactl", "dev/dxg", "proc/driver/nvidia", "dev/nvgpu", "dev/nvmap")
    return any(system.exists(node) for node in nodes) or card_on_bus(system)


class Nvml:
    """NVML, opened when first asked and again, with growing pauses, after it broke."""

    def __init__(self, system: System, *, process: Callable[[], int] = os.getpid) -> None:
        self._system = system
        self._process = process
        self._owner: int | None = None  # the process that opened it
        self._library: Any = None
        self._next_try = 0.0
        self._pause = FIRST_PAUSE
        self._problem = "NVML was not asked yet"

    def library(self) -> Any:
        """The open library. Raises ``NvmlGone`` when there is none now."""
        if self._owner == self._process():
            return self._library
        if self._owner is not None:
            self._owner, self._next_try = None, 0.0  # a fork: the session is our parent's
        now = self._system.clock.monotonic()
        if now < self._next_try:
            raise NvmlGone(self._problem)
        self._next_try = now + self._pause
        self._pause = min(LONGEST_PAUSE, self._pause * 2)
        self._open()
        return self._library

    def call(self, *names: str, of: tuple[Any, ...] = ()) -> Any:
        """The answer of the first of ``names`` that the driver knows; None where there is none.

        Raises ``NvmlGone`` when the session broke.
        """
        library = self.library()
        for name in names:
            function = getattr(library, name, None)  # an older module lacks newer names
            if function is None:
                continue
            try:
                return function(*of)
            except library.NVMLError as error:
                self._judge(error)
                if error.value not in OTHER_NAME:
                    return None
            except (OSError, ValueError):  # such as a name that is no UTF-8
                return None
        return None

    def settle(self) -> None:
        """All went well: the next failure starts with a short pause again."""
        self._pause = FIRST_PAUSE

    def close(self) -> None:
        if self._owner == self._process():
            self._shut_down()
        self._owner = None

    def _open(self) -> None:
        try:
            library = self._system.nvml()
        except ImportError as error:
            self._problem = f"no NVML: {error}; install nvidia-ml-py"
            raise NvmlGone(self._problem) from error
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            self._problem = _told(error)
            raise NvmlGone(self._problem) from error
        self._library, self._owner = library, self._process()

    def _judge(self, error: Any) -> None:
        if error.value in BROKEN:
            self._problem = _told(error)
            self.close()
            raise NvmlGone(self._problem) from error

    def _shut_down(self) -> None:
        try:
            self._library.nvmlShutdown()
        except self._library.NVMLError as error:
            self._problem = _told(error)  # it is given up either way


def _told(error: Any) -> str:
    advice = ADVICE.get(error.value)
    return f"NVML: {error}" if advice is None else f"NVML: {error}: {advice}"

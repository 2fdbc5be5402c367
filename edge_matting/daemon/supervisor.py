"""Keeps the engines at work: one, or one for each GPU.

The second and further engines start when the first is ready and its card is proved to be in use;
on the processor several engines would only divide it. All claim from the same ledger.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from edge_matting.config import Settings
from edge_matting.core.plan import DeviceProfile
from edge_matting.core.seat import Seat
from edge_matting.daemon.process import EngineProcess
from edge_matting.daemon.slot import EngineSlot, Launch
from edge_matting.ledger import Ledger

log = logging.getLogger(__name__)

STOP_SECONDS = 8.0
"""What is in work may be finished for so long when the appliance stops."""


def cards(
    profile: DeviceProfile, settings: Settings, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """UUIDs of the cards that get an engine each; () where one engine takes what there is.

    Who set CUDA_VISIBLE_DEVICES has chosen already.
    """
    if settings.device.accelerator == "cpu" or "CUDA_VISIBLE_DEVICES" in environ:
        return ()
    found = tuple(gpu.uuid for gpu in profile.usable_gpus if gpu.uuid is not None)
    return found if len(found) > 1 else ()


class Supervisor:
    """The engines as one. Driven by the daemon's main loop; other threads may ask."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        said: Callable[[], None],
        gpus: tuple[str, ...] = (),
        launch: Launch = EngineProcess,
    ) -> None:
        seats = [Seat(number, len(gpus), gpu) for number, gpu in enumerate(gpus)] or [Seat()]
        self._slots = [EngineSlot(settings, ledger, said, seat, launch) for seat in seats]
        self._first = self._slots[0]
        self._proved = False  # that the first engine's card works, once

    def step(self) -> None:
        """Notice death or hanging, bring new engines up."""
        self._first.step()
        if len(self._slots) == 1:
            return
        self._prove()
        if self._proved:
            for slot in self._slots[1:]:
                slot.step()

    def _prove(self) -> None:
        """Start the others on the first one's word, or give it the whole machine."""
        engine = self._first.engine
        ready = None if engine is None else engine.voice.ready
        if self._proved or ready is None:
            return
        if ready["session"]["actual_provider"] != "cpu":
            self._proved = True
            return
        log.warning("%d GPUs, and none in use: one engine takes the processor", len(self._slots))
        del self._slots[1:]
        self._first.recycle(replace(self._first.seat, engines=1))

    # -- asked by the daemon and the page ---------------------------------------------

    @property
    def engine(self) -> EngineProcess | None:
        """An engine that is ready, if there is one."""
        return next((slot.engine for slot in self._slots if slot.ready()), self._first.engine)

    @property
    def engines(self) -> tuple[EngineProcess, ...]:
        found = (slot.engine for slot in self._slots)
        return tuple(engine for engine in found if engine is not None)

    @property
    def restarts(self) -> int:
        return sum(slot.restarts for slot in self._slots)

    @property
    def replaced_in_a_row(self) -> int:
        """Replaced for want of progress, none in between."""
        return max(slot.replaced_in_a_row for slot in self._slots)

    @property
    def start_error(self) -> str | None:
        """Why no engine can start, and starting again unchanged would not help."""
        return self._first.start_error

    def answers(self) -> tuple[int, int]:
        """Photos answered from an earlier result, and photos made, since the start."""
        each = [slot.answers() for slot in self._slots]
        return sum(reused for reused, _ in each), sum(made for _, made in each)

    def adapted(self) -> Counter[tuple[str, str]]:
        """How often plans were adapted since the start, by cause and direction."""
        return sum((slot.adapted() for slot in self._slots), Counter())

    def ready(self) -> bool:
        return any(slot.ready() for slot in self._slots)

    def is_starting(self) -> bool:
        return not self.ready() and self._first.is_starting()

    def comes_up(self) -> bool:
        """Whether waiting for an engine may help: few before it died at getting ready."""
        return self._first.comes_up()

    def is_hopeless(self) -> bool:
        """Whether engines are replaced one after the other and none finishes anything."""
        return all(slot.is_hopeless() for slot in self._slots)

    def problem(self) -> str | None:
        """Why nothing can be done at the moment, as far as the engines are concerned."""
        problems = [slot.problem() for slot in self._slots]
        return None if None in problems else problems[0]

    def partial_problems(self) -> tuple[str, ...]:
        """What keeps some of several engines from working."""
        if len(self._slots) == 1 or not self._proved:
            return ()
        found = ((slot.seat.number, slot.problem()) for slot in self._slots)
        return tuple(f"engine {number}: {why}" for number, why in found if why is not None)

    def obstacles(self) -> tuple[str, ...]:
        """What photos in the queue wait for: room, a folder, a ledger that can be written."""
        found = [what for slot in self._slots for what in slot.obstacles()]
        return tuple(dict.fromkeys(found))

    # -- told by the daemon -----------------------------------------------------------

    def wake(self) -> None:
        """There may be work; a lost wake-up costs a second."""
        for slot in self._slots:
            slot.wake()

    def pause(self, *, paused: bool) -> None:
        for slot in self._slots:
            slot.pause(paused=paused)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Let what is in work finish, then end the engines; what is left goes back refunded."""
        end = time.monotonic() + seconds
        for slot in self._slots:
            slot.ask_to_stop()
        for slot in self._slots:
            slot.stop(end - time.monotonic())

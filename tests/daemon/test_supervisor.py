"""One engine or several: who starts, who is believed, whose photos go back, when a GPU is left."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_matting.config import parse_settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.engine_identity import EngineIdentity
from edge_matting.core.exit_codes import DEVICE_LOST, FAULT, RECYCLE, START_ERROR
from edge_matting.core.reasons import Reason
from edge_matting.daemon.engine_process import EngineStatus, _own_gpu
from edge_matting.daemon.engine_supervision import SECOND_LOOK_SECONDS, EngineCondition
from edge_matting.daemon.supervisor import Supervisor, cards
from edge_matting.ledger.work import Recovered

SETTINGS = parse_settings({"state_dir": "/nonexistent"}, Path("/"))
TWO = ("GPU-0", "GPU-1")


class FakeEngine:
    """An engine process that a test lets speak and die."""

    def __init__(self, _settings: Any, _said: Any, identity: EngineIdentity) -> None:
        self.identity = identity
        self.events = EngineStatus()
        self.status: int | None = None
        self.heard: list[str] = []
        self.pid = 100 + identity.number

    def ready(self, provider: str = "cuda") -> None:
        self.events.ready = {"session": {"actual_provider": provider}}

    def tell(self, line: str) -> None:
        self.heard.append(line)

    def returncode(self) -> int | None:
        return self.status

    def wait(self, _seconds: float) -> bool:
        self.status = 0
        return True

    def stopped_by_signal(self) -> bool:
        return False

    def kill(self) -> None:
        self.status = -9

    def close(self) -> None:
        """Its pipes are none."""

    def was_killed_for_memory(self) -> bool:
        return False

    def death_is_the_photos_fault(self) -> bool:
        return self.status == FAULT


class FakeLedger:
    def __init__(self) -> None:
        self.recovered: list[tuple[bool, str | None]] = []

    def recover_after_engine_death(self, *, guilty: bool, owner: str | None = None) -> Recovered:
        self.recovered.append((guilty, owner))
        return Recovered((), ())


class Shop:
    def __init__(self, *gpus: str) -> None:
        self.started: list[FakeEngine] = []
        self.ledger = FakeLedger()
        self.supervisor = Supervisor(SETTINGS, self.ledger, lambda: None, gpus, launch=self._launch)

    def _launch(self, *arguments: Any) -> FakeEngine:
        self.started.append(FakeEngine(*arguments))
        return self.started[-1]

    def identities(self) -> list[int]:
        return [engine.identity.number for engine in self.started]

    def newest(self, number: int) -> FakeEngine:
        return [engine for engine in self.started if engine.identity.number == number][-1]

    def step(self) -> None:
        for slot in self.supervisor._engines:
            slot._start_at = 0.0  # no pause before a restart
        self.supervisor.step()


@pytest.fixture
def two() -> Shop:
    """Two engines, both ready."""
    shop = Shop(*TWO)
    shop.step()
    shop.newest(0).ready()
    shop.step()
    shop.newest(1).ready()
    shop.step()
    return shop


def test_the_second_engine_waits_for_the_proof_of_the_first() -> None:
    shop = Shop(*TWO)
    shop.step()
    assert shop.identities() == [0]
    assert shop.started[0].identity == EngineIdentity(0, 2, "GPU-0")
    assert shop.supervisor.condition() is EngineCondition.LOADING
    shop.step()
    assert shop.identities() == [0]
    shop.newest(0).ready()
    shop.step()
    assert shop.identities() == [0, 1]
    assert shop.started[1].identity == EngineIdentity(1, 2, "GPU-1")
    assert shop.supervisor.ready()
    assert shop.supervisor.problem() is None
    assert shop.supervisor.partial_problems() == ("engine 1: the model is being loaded",)


def test_gpus_that_do_not_work_leave_everything_to_one_engine() -> None:
    shop = Shop(*TWO)
    shop.step()
    shop.newest(0).ready("cpu")
    shop.step()
    assert shop.newest(0).heard == ["recycle"]
    shop.newest(0).status = RECYCLE
    shop.step()
    shop.step()
    assert shop.identities() == [0, 0]
    assert shop.newest(0).identity.engines == 1
    shop.newest(0).ready("cpu")
    shop.step()
    assert shop.identities() == [0, 0]
    assert shop.supervisor.restarts == 0


def test_a_dead_engine_gives_back_its_own_photos_and_the_other_goes_on(two) -> None:
    assert two.ledger.recovered == [(False, None)]  # at the start, whosever they were
    two.newest(1).status = FAULT
    two.step()
    assert two.ledger.recovered[1:] == [(True, "1")]
    assert two.supervisor.ready()
    assert two.supervisor.engine is two.newest(0)
    two.step()
    assert two.identities() == [0, 1, 1]
    two.newest(0).status = -9
    two.step()
    assert two.ledger.recovered[2:] == [(False, "0")]
    assert two.supervisor.restarts == 2


def test_the_engines_are_asked_and_told_as_one(two) -> None:
    for number, engine in enumerate(two.started):
        engine.events.reused, engine.events.made = number, 10
        engine.events.obstacles = {"/srv/hot": Reason("disk_full")}
    supervisor = two.supervisor
    assert supervisor.answers() == (1, 20)
    assert supervisor.obstacles() == {"/srv/hot": "The disk is full."}
    assert len(supervisor.engines) == 2
    assert supervisor.partial_problems() == ()
    assert supervisor.comes_up()
    assert not supervisor.is_hopeless()
    assert supervisor.replaced_in_a_row == 0
    supervisor.wake()
    supervisor.pause(paused=True)
    supervisor.stop()
    for engine in two.started:
        assert engine.heard == ["wake", "pause", "stop", "stop"]
    assert supervisor.engines == ()


def test_one_engine_alone_is_as_before() -> None:
    shop = Shop()
    shop.step()
    assert shop.started[0].identity == EngineIdentity()
    shop.newest(0).ready("cpu")
    shop.step()
    assert shop.identities() == [0]
    assert shop.supervisor.partial_problems() == ()
    shop.newest(0).status = START_ERROR
    shop.newest(0).events.problem = Reason("no_runtime")
    shop.step()
    shop.step()
    assert shop.supervisor.start_error == Reason("no_runtime")
    assert shop.supervisor.problem() == Reason("no_runtime")
    assert shop.identities() == [0]


def lose(shop: Shop, *, finished: int = 0) -> None:
    engine = shop.newest(0)
    engine.events.problem = Reason.of("CUDA failure 700")
    engine.events.made = finished
    engine.status = DEVICE_LOST
    shop.step()
    shop.step()


def test_a_gpu_lost_three_times_without_a_photo_between_is_left_alone() -> None:
    shop = Shop()
    shop.step()
    lose(shop)
    lose(shop, finished=1)  # it worked for a while
    lose(shop)
    assert shop.newest(0).identity.gpu_lost is None
    lose(shop)
    assert "3 times in a row: CUDA failure 700" in (shop.newest(0).identity.gpu_lost or "")
    assert all(not guilty for guilty, _ in shop.ledger.recovered)
    assert _own_gpu(shop.newest(0).identity) == {"CUDA_VISIBLE_DEVICES": ""}


def test_each_process_is_shown_its_card_alone() -> None:
    assert _own_gpu(EngineIdentity()) == {}
    assert _own_gpu(EngineIdentity(1, 2, "GPU-1")) == {"CUDA_VISIBLE_DEVICES": "GPU-1"}


def test_which_cards_get_an_engine() -> None:
    card = Gpu("Fake GPU", 24 << 30, (8, 9), integrated=False, uuid="GPU-0")
    bare = DeviceProfile("x86_64", None, "pc", "CPU", 8, 8.0, 8 << 30, 4096, (), ())
    pair = replace(bare, gpus=(card, replace(card, uuid="GPU-1")))
    broken = replace(bare, gpus=(card, replace(card, uuid="GPU-1", problem="GPU is lost")))
    no_gpu = parse_settings(
        {"state_dir": "/nonexistent", "device": {"accelerator": "cpu"}}, Path("/")
    )
    assert cards(pair, SETTINGS, {}) == TWO
    assert cards(replace(bare, gpus=(card,)), SETTINGS, {}) == ()
    assert cards(broken, SETTINGS, {}) == ()
    assert cards(bare, SETTINGS, {}) == ()
    assert cards(pair, no_gpu, {}) == ()
    assert cards(pair, SETTINGS, {"CUDA_VISIBLE_DEVICES": "1"}) == ()


def silent(engine: FakeEngine) -> None:
    """The engine has given no sign of life for longer than it may."""
    engine.events.heard = time.monotonic() - SETTINGS.engine.stall_seconds - 5


def test_an_engine_without_progress_at_one_look_is_replaced_at_a_second_look_only() -> None:
    """The first may come before what the engine said is read: the daemon itself was held."""
    shop = Shop()
    shop.step()
    engine = shop.newest(0)
    engine.ready("cpu")
    silent(engine)
    for _ in range(3):
        shop.step()
    assert (engine.status, len(shop.started)) == (None, 1)
    time.sleep(SECOND_LOOK_SECONDS)
    shop.step()
    assert engine.status == -9
    assert shop.ledger.recovered[-1] == (True, "0")
    shop.step()
    assert len(shop.started) == 2


def test_an_engine_that_goes_on_in_between_is_looked_at_twice_again() -> None:
    shop = Shop()
    shop.step()
    engine = shop.newest(0)
    engine.ready("cpu")
    silent(engine)
    shop.step()
    engine.events.heard = time.monotonic()
    shop.step()
    time.sleep(SECOND_LOOK_SECONDS)
    silent(engine)
    shop.step()
    assert (engine.status, len(shop.started)) == (None, 1)


def test_an_engine_that_is_held_is_replaced_at_the_first_look(monkeypatch) -> None:
    shop = Shop()
    shop.step()
    engine = shop.newest(0)
    engine.ready("cpu")
    silent(engine)
    monkeypatch.setattr(engine, "stopped_by_signal", lambda: True)
    shop.step()
    assert engine.status == -9
    assert shop.ledger.recovered[-1] == (False, "0")  # nobody's fault here

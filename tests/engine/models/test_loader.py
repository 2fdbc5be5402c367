"""Opening a model: the self-test, the ladder it drives, and the proof of where it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_matting.config import Settings, parse_settings
from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.errors import (
    DeviceLost,
    EdgeMattingError,
    ModelError,
    OutOfMemory,
    SelfTestFailed,
    SessionError,
    StartError,
)
from edge_matting.core.plan import Fallbacks, Plan
from edge_matting.core.providers import PRECISIONS
from edge_matting.engine.factory import open_catalog, plan_for
from edge_matting.engine.models.golden import GOLDEN_NAME, GoldenMattes, matte_png
from edge_matting.engine.models.loader import LoadedModel, ModelLoader
from edge_matting.engine.models.session_factory import SessionMaker, gpu_use, wanted_provider
from edge_matting.models import Manifest
from edge_matting.pipeline import PixelBudget, Tools
from edge_matting.pipeline.self_test import SIDE, matte_difference, self_test
from edge_matting.runtimes import SessionInfo
from edge_matting.runtimes.failures import inference_error
from edge_matting.runtimes.session import Tensor
from edge_matting.runtimes.verification import Proof, prove

PROFILE = DeviceProfile("x86_64", None, "pc", "CPU", 2, 2.0, 8 << 30, 4096, (), ())
CARD = Gpu("NVIDIA L4", 24 << 30, (8, 9), integrated=False, uuid="GPU-1")


class Script:
    """What the session of each provider and precision does instead of working."""

    def __init__(self, **faults: object) -> None:
        self.faults = faults
        self.made: list[tuple[str, str, int]] = []
        self.open = 0

    def fault(self, provider: str, precision: str) -> object:
        return self.faults.get(f"{provider}_{precision}", self.faults.get(provider))


class FakeSession:
    """A session on a card that is not there: the real model on the processor, with faults."""

    def __init__(self, real, provider: str, precision: str, script: Script) -> None:
        self.real = real
        self.provider = provider
        self.precision = precision
        self.script = script
        script.open += 1

    def run(self, batch: Tensor) -> Tensor:
        fault = self.script.fault(self.provider, self.precision)
        if isinstance(fault, str):
            raise inference_error(RuntimeError(fault), "model default")
        if isinstance(fault, EdgeMattingError):
            raise fault
        output = self.real.run(batch)
        return fault(output) if callable(fault) else output

    def warm(self) -> None:
        self.run(np.zeros((1, 3, 320, 320), np.float32))

    def describe(self) -> SessionInfo:
        info = self.real.describe()
        return replace(
            info,
            requested_provider=self.provider,
            actual_provider=self.provider,
            precision=self.precision,
            nodes=((self.provider, 160), ("cpu", 6)),
        )

    def close(self) -> None:
        self.script.open -= 1


def settings_in(root: Path, **device: object) -> Settings:
    return parse_settings(
        {
            "state_dir": str(root / "state"),
            "hot_folders": [{"path": str(root / "hot")}],
            "device": device,
        },
        root,
    )


@pytest.fixture
def opener(tmp_path: Path) -> Callable[..., ModelLoader]:
    def make(script: Script, **device: object) -> ModelLoader:
        settings = settings_in(tmp_path, **device)
        catalog = open_catalog(settings)
        real = SessionMaker(settings, catalog, PROFILE)

        def session(manifest: Manifest, plan: Plan) -> FakeSession:
            script.made.append((plan.provider, plan.precision, plan.batch))
            return FakeSession(
                real.make(manifest, replace(plan, provider="cpu")),
                plan.provider,
                plan.precision,
                script,
            )

        return ModelLoader(settings, catalog, PROFILE, make=session)

    return make


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """What a card with TensorRT would get."""
    fallbacks = Fallbacks(("tensorrt", "cuda", "cpu"), ("fp32", "fp16"), ((320, 320),), (4, 1))
    return replace(
        plan_for(settings_in(tmp_path), PROFILE),
        provider="tensorrt",
        precision="fp16",
        batch=4,
        workers=1,
        fallbacks=fallbacks,
    )


def fallbacks_of(script: Script) -> list[tuple[str, str, int]]:
    """The plans that were tried, without the references on the processor."""
    return [made for made in script.made if made[0] != "cpu"]


def test_a_model_that_works_is_opened_as_planned_with_its_proof(opener, plan) -> None:
    script = Script()
    opened: LoadedModel = opener(script).open(plan, "default")
    assert (opened.plan, opened.lowered) == (plan, ())
    assert opened.test.difference < PRECISIONS["fp32"].tolerance / 2
    proof = opened.proof
    assert (proof.requested, proof.actual, proof.missing) == ("tensorrt", "tensorrt", None)
    assert proof.cpu_seconds is not None
    assert proof.cpu_seconds > 0
    assert dict(proof.nodes) == {"tensorrt": 160, "cpu": 6}
    facts = opened.session_facts()
    assert facts["actual_provider"] == "tensorrt"
    assert facts["self_test"] == opened.test.difference
    assert script.open == 1  # the references on the processor are closed again


def not_a_number(output: Tensor) -> Tensor:
    return output * np.float32("nan")


def noise(output: Tensor) -> Tensor:
    return np.random.default_rng(0).random(output.shape, dtype=np.float32)


@pytest.mark.parametrize("wrong", [not_a_number, noise, np.zeros_like, lambda out: 1 - out])
def test_a_wrong_matte_lowers_the_precision_first(opener, plan, wrong) -> None:
    """NaN of an overflow in fp16, nonsense of a broken driver."""
    script = Script(tensorrt_fp16=wrong)
    opened = opener(script).open(plan, "default")
    assert (opened.plan.provider, opened.plan.precision) == ("tensorrt", "fp32")
    assert len(opened.lowered) == 1
    assert "precision fp16 -> fp32: wrong result" in opened.lowered[0]
    assert opened.proof.missing is None
    assert script.open == 1


def test_then_it_leaves_the_accelerator_step_by_step_and_says_so(opener, plan) -> None:
    script = Script(tensorrt=noise, cuda=not_a_number)
    opened = opener(script).open(plan, "default")
    assert [made[:2] for made in fallbacks_of(script)] == [
        ("tensorrt", "fp16"),
        ("tensorrt", "fp32"),
        ("cuda", "fp32"),
    ]
    assert opened.plan.provider == "cpu"
    assert "tensorrt was asked for, cpu is in use" in (opened.proof.missing or "")
    assert "wrong result" in (opened.proof.reason or "")
    assert opened.session_facts()["requested_provider"] == "tensorrt"


def test_an_overflow_in_one_provider_only_keeps_the_other(opener, plan) -> None:
    opened = opener(Script(tensorrt=not_a_number)).open(plan, "default")
    assert (opened.plan.provider, opened.plan.precision) == ("cuda", "fp32")


def test_want_of_memory_lowers_the_batch_first_and_the_provider_last(opener, plan) -> None:
    text = "CUDA failure 2: out of memory ; GPU=0 ; hostname=box"
    script = Script(tensorrt=text, cuda=text)
    opened = opener(script).open(plan, "default")
    assert fallbacks_of(script) == [
        ("tensorrt", "fp16", 4),
        ("tensorrt", "fp16", 1),
        ("cuda", "fp16", 1),
    ]
    assert opened.plan.provider == "cpu"
    assert "out of memory" in (opened.proof.reason or "")


def test_a_provider_that_cannot_start_is_left(opener, plan) -> None:
    script = Script(tensorrt=SessionError("TensorRT EP failed to create engine from network"))
    opened = opener(script).open(plan, "default")
    assert opened.plan.provider == "cuda"
    assert "provider lost" in opened.lowered[0]


def test_a_lost_device_is_not_worked_around_in_the_same_process(opener, plan) -> None:
    script = Script(tensorrt="CUDA failure 700: an illegal memory access was encountered")
    with pytest.raises(DeviceLost):
        opener(script).open(plan, "default")
    assert script.open == 0


def test_a_gpu_that_is_to_be_left_alone_is_not_even_tried(opener, plan) -> None:
    script = Script()
    opened = opener(script).open(plan, "default", "it was lost 3 times in a row")
    assert fallbacks_of(script) == []
    assert opened.plan.provider == "cpu"
    assert "it was lost 3 times in a row" in (opened.proof.missing or "")
    fixed = replace(plan, fallbacks=Fallbacks(("tensorrt",), ("fp16",), (), (4,)))
    with pytest.raises(StartError, match="cannot be used: it was lost"):
        opener(Script(), missing_accelerator="fail").open(fixed, "default", "it was lost")


def test_a_processor_that_fails_too_is_the_end(opener, plan) -> None:
    on_cpu = replace(plan, provider="cpu", precision="fp32")
    with pytest.raises(SelfTestFailed, match=r"default on cpu in fp32.*off by"):
        opener(Script(cpu=noise)).open(on_cpu, "default")
    with pytest.raises(SelfTestFailed, match="no matte"):
        opener(Script(cpu=not_a_number)).open(on_cpu, "default")
    with pytest.raises(OutOfMemory):
        opener(Script(cpu="std::bad_alloc")).open(on_cpu, "default")
    with pytest.raises(ModelError, match="no model nowhere"):
        opener(Script()).open(plan, "nowhere")


def test_who_forbids_the_processor_gets_no_start_on_a_broken_card(opener, plan) -> None:
    only_cuda = replace(
        plan,
        provider="cuda",
        precision="fp32",
        fallbacks=Fallbacks(("cuda",), ("fp32",), (), (4, 1)),
    )
    with pytest.raises(StartError, match="cuda was asked for and cannot be used"):
        opener(Script(cuda=noise), missing_accelerator="fail").open(only_cuda, "default")


def test_who_wants_the_accelerator_or_nothing_gets_nothing_from_a_fallback(tmp_path) -> None:
    settings = settings_in(tmp_path, accelerator="cuda", missing_accelerator="fail")
    plan = replace(plan_for(settings, PROFILE), provider="cuda")
    with pytest.raises(StartError, match="cuda was asked for, cpu is in use"):
        ModelLoader(settings, open_catalog(settings), PROFILE).open(plan, "default")


def test_the_self_test_is_repeated_on_an_open_model(opener, plan) -> None:
    script = Script()
    one = opener(script)
    opened = one.open(plan, "default")
    assert one.test(opened).difference == opened.test.difference
    script.faults["tensorrt"] = noise
    with pytest.raises(SelfTestFailed):
        one.test(opened)


def test_the_known_matte_of_another_size_is_made_once_on_the_processor(opener, plan) -> None:
    script = Script()
    smaller = replace(plan, resolution=(224, 224))
    one = opener(script)
    one.open(smaller, "default")
    # The shipped matte proves the processor, which then says what this size must give; the
    # third is the timed one.
    assert [made[0] for made in script.made].count("cpu") == 3
    script.made.clear()
    one.open(smaller, "default")
    assert [made[0] for made in script.made].count("cpu") == 1


def test_a_known_matte_that_cannot_be_kept_or_read_is_made_again(tmp_path, opener) -> None:
    settings = settings_in(tmp_path)
    catalog = open_catalog(settings)
    manifest = catalog.get("default")
    plan = plan_for(settings, PROFILE)
    made = []

    def reference(size: tuple[int, int]) -> Tools:
        made.append(size)
        session = SessionMaker(settings, catalog, PROFILE).make(
            manifest, replace(plan, resolution=size)
        )
        return Tools(session, manifest, PixelBudget(10**7), lambda _stage: None)

    (tmp_path / "file").write_bytes(b"no folder")
    nowhere = GoldenMattes(manifest, tmp_path, tmp_path / "file" / "golden")
    first = nowhere.matte((320, 320), reference)
    assert first.shape == (SIDE, SIDE)
    shipped = catalog.path("default").parent / GOLDEN_NAME
    kept = GoldenMattes(manifest, tmp_path, tmp_path / "golden")
    kept.matte((320, 320), reference)
    (file,) = (tmp_path / "golden").iterdir()
    assert file.read_bytes() == matte_png(first)
    file.write_bytes(b"damaged")
    kept.matte((320, 320), reference)
    assert len(made) == 3
    known = GoldenMattes(manifest, shipped.parent, tmp_path / "golden")
    difference = matte_difference(known.matte((320, 320), reference), first)
    assert difference <= PRECISIONS["fp32"].tolerance
    assert len(made) == 3


def test_a_result_that_cannot_be_read_back_fails_the_test(monkeypatch) -> None:
    import edge_matting.pipeline.self_test as module

    monkeypatch.setattr(module.cv2, "imdecode", lambda *_: None)
    settings = settings_in(Path("/nonexistent"))
    catalog = open_catalog(settings)
    manifest = catalog.get("default")
    session = SessionMaker(settings, catalog, PROFILE).make(manifest, plan_for(settings, PROFILE))
    tools = Tools(session, manifest, PixelBudget(10**7), lambda _stage: None)
    with pytest.raises(SelfTestFailed, match="cannot be read back"):
        self_test(tools, np.zeros((SIDE, SIDE), np.uint8))


class Timed:
    """A session that takes so many seconds by a clock of its own."""

    def __init__(self, clock: list[float], seconds: float, provider: str) -> None:
        self.clock = clock
        self.seconds = seconds
        self.provider = provider
        self.closed = False

    def run(self, batch: Tensor) -> Tensor:
        self.clock[0] += self.seconds
        return batch

    def warm(self) -> None:
        self.clock[0] += 100.0

    def describe(self) -> SessionInfo:
        return SessionInfo("ort", "cuda", self.provider, "fp32", (8, 8), None, (("cpu", 9),))

    def close(self) -> None:
        self.closed = True


def test_an_accelerator_that_is_none_is_doubted() -> None:
    clock = [0.0]
    slow, cpu = Timed(clock, 0.4, "cuda"), Timed(clock, 0.1, "cpu")
    picture = np.zeros((1, 3, 8, 8), np.float32)
    proof = prove(slow.describe(), slow, lambda: cpu, picture, lambda: clock[0])
    assert (round(proof.seconds, 3), round(proof.cpu_seconds or 0.0, 3)) == (0.4, 0.1)
    assert cpu.closed
    nodes, speed = proof.doubts
    assert "9 of 9 nodes run on the processor, not on cuda" in nodes
    assert "cuda takes 400 ms for one picture, the processor alone 100 ms" in speed


def test_the_processor_is_timed_once_and_never_doubted() -> None:
    clock = [0.0]
    cpu = Timed(clock, 0.1, "cpu")

    def never() -> Timed:
        raise AssertionError("no reference is needed")

    picture = np.zeros((1, 3, 8, 8), np.float32)
    proof = prove(cpu.describe(), cpu, never, picture, lambda: clock[0])
    assert proof.cpu_seconds is None
    assert proof.doubts == ()
    assert clock[0] == pytest.approx(0.1)
    assert "cuda was asked for, cpu is in use" in (proof.missing or "")
    fast = Proof("cuda", "cuda", None, (("cuda", 9),), 0.01, 0.1)
    assert (fast.doubts, fast.missing) == ((), None)


def test_a_card_that_stands_idle_for_the_wrong_wheel_is_asked_for(tmp_path) -> None:
    with_card = replace(PROFILE, gpus=(CARD,))
    settings = settings_in(tmp_path)
    plan = plan_for(settings, with_card)
    assert plan.provider == "cpu"
    assert wanted_provider(plan, with_card, settings, ("cpu",)) == "cuda"
    assert wanted_provider(plan, PROFILE, settings, ("cpu",)) == "cpu"
    assert wanted_provider(plan, with_card, settings, ("cpu", "cuda")) == "cpu"
    chosen = settings_in(tmp_path, accelerator="cpu")
    assert wanted_provider(plan, with_card, chosen, ("cpu",)) == "cpu"


def test_the_card_is_described_to_the_runtime(tmp_path) -> None:
    settings = settings_in(tmp_path)
    assert gpu_use(PROFILE, settings).memory is None
    used = gpu_use(replace(PROFILE, gpus=(CARD,)), settings)
    assert used.name == "NVIDIA L4 8.9"
    assert used.memory is not None
    assert (used.memory.total_bytes, used.memory.unified) == (24 << 30, False)
    assert used.engine_dir is None  # there is no state dir that could be written to
    settings.state_dir.mkdir(parents=True)
    board = replace(CARD, memory_bytes=None, integrated=True, compute_capability=None)
    used = gpu_use(replace(PROFILE, gpus=(board,)), settings)
    assert used.memory is not None
    assert (used.memory.total_bytes, used.memory.unified) == (8 << 30, True)
    assert used.engine_dir == settings.engines_dir

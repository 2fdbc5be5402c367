"""Facts and readings put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_matting.core.device_values import DeviceProfile, Gpu
from edge_matting.core.reasons import Reason
from edge_matting.device import host, tegra, thermal
from edge_matting.device.gpus import driver, list_gpus
from edge_matting.device.nvml import Nvml, NvmlGone, card_on_bus, worth_asking
from edge_matting.device.system import System
from edge_matting.device.tegra import Jetson

NO_CARD = Reason("no_gpu")


@dataclass(frozen=True, slots=True)
class Cards:
    """What NVML reports of the machine, or why it reports nothing."""

    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    cuda_driver: tuple[int, int] | None = None
    missing: Reason | None = None


def probe_device(system: System | None = None) -> DeviceProfile:
    """The device as found. Never raises; what could not be read is None or a note."""
    system = system or System()
    family = host.family(system)
    jetson = tegra.probe(system) if family == "jetson" else None
    seen = _ask_nvml(system)
    gpus = seen.gpus if jetson is None else _with_own_gpu(jetson, seen.gpus)
    policies = host.clock_policies(system)
    return DeviceProfile(
        machine=system.machine,
        board=host.board_model(system),
        family=family,
        cpu_model=host.cpu_model(system),
        logical_cpus=host.logical_cpus(system),
        usable_cpus=host.usable_cpus(system),
        memory_bytes=host.memory_bytes(system),
        page_size=system.page_size,
        gpus=gpus,
        notes=_notes(system, jetson, gpus, seen),
        cpu_features=host.cpu_features(system),
        cpu_clock_max_hz=host.clock_hz(system, policies, "cpuinfo_max_freq"),
        soc=None if jetson is None else jetson.soc,
        module=None if jetson is None else jetson.module,
        release=None if jetson is None else jetson.release,
        jetpack=None if jetson is None else jetson.jetpack,
        power_mode=None if jetson is None else jetson.power_mode,
        passive_celsius=thermal.passive_celsius(thermal.find_zones(system)),
        driver=seen.driver,
        cuda_driver=seen.cuda_driver,
    )


def _ask_nvml(system: System) -> Cards:
    if not worth_asking(system):
        return Cards(missing=NO_CARD)
    nvml = Nvml(system)
    try:
        gpus = list_gpus(nvml)
        return Cards(gpus, *driver(nvml))
    except NvmlGone as gone:
        return Cards(missing=Reason.of(str(gone)))
    finally:
        nvml.close()


def _with_own_gpu(jetson: Jetson, listed: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """The Jetson's own GPU from sysfs, then cards in its slots: they have own memory."""
    own = next((gpu for gpu in listed if gpu.memory_bytes is None), None)
    in_slots = tuple(gpu for gpu in listed if gpu.memory_bytes is not None)
    if jetson.gpu is None:  # a chip too new for our table
        return listed
    return (replace(jetson.gpu, uuid=None if own is None else own.uuid), *in_slots)


def _notes(
    system: System, jetson: Jetson | None, gpus: tuple[Gpu, ...], seen: Cards
) -> tuple[Reason, ...]:
    notes = [
        Reason("gpu_problem", name=gpu.name, why=gpu.problem)
        for gpu in gpus
        if gpu.problem is not None
    ]
    if jetson is not None:
        notes += _jetson_notes(jetson)
    elif seen.missing is not None:
        on_bus = card_on_bus(system)
        notes.append(Reason("card_on_bus", why=seen.missing) if on_bus else seen.missing)
    if any(gpu.mig for gpu in gpus):
        notes.append(Reason("gpu_split"))
    return tuple(notes)


def _jetson_notes(jetson: Jetson) -> list[Reason]:
    notes = []
    if jetson.soc is None:
        notes.append(Reason("jetson_unknown"))
    if jetson.release is None:
        notes.append(Reason("jetson_release_unknown"))
    if jetson.power_mode is None:
        notes.append(Reason("power_mode_unknown"))
    if jetson.gpu is not None and jetson.gpu.problem is None and jetson.gpu.clock_max_hz is None:
        notes.append(Reason("devfreq_missing"))
    return notes

"""``profile``: the device as found, the plan, and why."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict

from edge_matting.cli.execution import execution_facts, execution_lines
from edge_matting.cli.measurements import measure, measurement_lines
from edge_matting.cli.output import print_json, print_line
from edge_matting.cli.settings import read_settings
from edge_matting.core.device_values import DeviceProfile, Vitals
from edge_matting.core.plan import Plan
from edge_matting.device import VitalsReader, probe_device
from edge_matting.engine.factory import planning_for
from edge_matting.runtimes import installed_runtimes, runtime_problem


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    profile = probe_device()
    vitals = _readings()
    planning = planning_for(settings, profile)
    if options.measure:
        measure(planning)
    plan, measured = planning.plan(), planning.measurements()
    execution = execution_facts(settings, plan, profile)
    runtimes = installed_runtimes()
    if options.json:
        print_json(
            {
                "profile": asdict(profile),
                "vitals": asdict(vitals),
                "runtimes": [asdict(runtime) for runtime in runtimes],
                "plan": asdict(plan),
                "measurements": None if measured is None else asdict(measured),
                "execution": execution,
            }
        )
        return 0
    _print_profile(profile)
    _print_vitals(vitals)
    for runtime in runtimes:
        print_line(f"runtime     {runtime.distribution} {runtime.version}")
    if (problem := runtime_problem(runtimes)) is not None:
        print_line(f"            {problem}")
    _print_plan(plan)
    for line in measurement_lines(measured):
        print_line(f"measured    {line}")
    for line in execution_lines(execution):
        print_line(f"runs on     {line}")
    return 0


LOAD_SECONDS = 0.2
"""A load is that since a reading before."""


def _readings() -> Vitals:
    reader = VitalsReader()
    try:
        reader.read()
        time.sleep(LOAD_SECONDS)
        return reader.read()
    finally:
        reader.close()


def _print_profile(profile: DeviceProfile) -> None:
    print_line(f"device      {profile.board or profile.cpu_model} ({profile.machine})")
    if profile.release is not None:
        print_line(f"jetson      {_jetson(profile)}")
    print_line(f"processors  {profile.usable_cpus:g} usable of {profile.logical_cpus}")
    if profile.cpu_features:
        print_line(f"            {profile.cpu_model}: {' '.join(profile.cpu_features)}")
    print_line(f"memory      {profile.memory_bytes / 2**30:.1f} GiB")
    for gpu in profile.gpus:
        memory = "" if gpu.memory_bytes is None else f", {gpu.memory_bytes / 2**30:.1f} GiB"
        capability = gpu.compute_capability
        compute = "" if capability is None else f", compute {capability[0]}.{capability[1]}"
        print_line(f"gpu         {gpu.name}{memory}{compute}")
    for note in profile.notes:
        print_line(f"note        {note}")


def _jetson(profile: DeviceProfile) -> str:
    parts = [
        profile.module,
        f"Jetson Linux {profile.release}",
        None if profile.jetpack is None else f"JetPack {profile.jetpack}",
        None if profile.power_mode is None else f"power mode {profile.power_mode}",
    ]
    return ", ".join(part for part in parts if part is not None)


def _print_vitals(vitals: Vitals) -> None:
    if words := ", ".join(_words(vitals)):
        print_line(f"now         {words}")
    if vitals.throttled:
        print_line(f"slowed by   {', '.join(vitals.slowdowns or ())}")
    if vitals.gpu_problem is not None:
        print_line(f"gpu problem {vitals.gpu_problem}")


def _words(vitals: Vitals) -> Iterator[str]:
    """What is known, with its unit; what is not known is left out."""
    for name, value, unit in (
        ("processors", vitals.cpu_percent, " %"),
        ("GPU", vitals.gpu_percent, " %"),
        ("processors", vitals.cpu_celsius, " °C"),
        ("GPU", vitals.gpu_celsius, " °C"),
        ("heat headroom", vitals.heat_headroom_celsius, " °C"),
        ("memory stall", vitals.memory_some_stall_percent, " %"),
    ):
        if value is not None:
            yield f"{name} {value:.0f}{unit}"
    if vitals.memory_available_bytes is not None:
        yield f"{vitals.memory_available_bytes / 2**30:.1f} GiB free"
    if vitals.gpu_clock_limit_hz is not None:
        yield f"GPU up to {vitals.gpu_clock_limit_hz / 1e6:.0f} MHz"
    if vitals.input_power_milliwatts is not None:
        yield f"{vitals.input_power_milliwatts / 1000:.1f} W"


def _print_plan(plan: Plan) -> None:
    width, height = plan.resolution
    print_line(
        f"plan        {plan.backend} on {plan.provider}, {plan.precision}, {width} x {height}"
    )
    for reason in plan.reasons:
        print_line(f"  because   {reason}")

"""``profile``: the device as found, the plan, and why."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from edge_matting.cli.output import print_json, print_line
from edge_matting.cli.settings import read_settings
from edge_matting.core.plan import DeviceProfile, Plan
from edge_matting.device import probe_device, read_vitals
from edge_matting.engine.start import plan_for
from edge_matting.inference import installed_runtimes, runtime_problem


def run(options: argparse.Namespace) -> int:
    settings = read_settings(options)
    profile = probe_device()
    plan = plan_for(settings, profile)
    runtimes = installed_runtimes()
    if options.json:
        print_json(
            {
                "profile": asdict(profile),
                "vitals": asdict(read_vitals(has_gpu=bool(profile.gpus))),
                "runtimes": [asdict(runtime) for runtime in runtimes],
                "plan": asdict(plan),
            }
        )
        return 0
    _print_profile(profile)
    for runtime in runtimes:
        print_line(f"runtime     {runtime.distribution} {runtime.version}")
    if (problem := runtime_problem(runtimes)) is not None:
        print_line(f"            {problem}")
    _print_plan(plan)
    return 0


def _print_profile(profile: DeviceProfile) -> None:
    print_line(f"device      {profile.board or profile.cpu_model} ({profile.machine})")
    print_line(f"processors  {profile.usable_cpus:g} usable of {profile.logical_cpus}")
    print_line(f"memory      {profile.memory_bytes / 2**30:.1f} GiB")
    for gpu in profile.gpus:
        memory = "" if gpu.memory_bytes is None else f", {gpu.memory_bytes / 2**30:.1f} GiB"
        print_line(f"gpu         {gpu.name}{memory}")
    for note in profile.notes:
        print_line(f"note        {note}")


def _print_plan(plan: Plan) -> None:
    width, height = plan.resolution
    print_line(
        f"plan        {plan.backend} on {plan.provider}, {plan.precision}, {width} x {height}"
    )
    for reason in plan.reasons:
        print_line(f"  because   {reason}")

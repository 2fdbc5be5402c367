"""Which backend, which of a model's files and which memory a session gets."""

from __future__ import annotations

import os

from edge_matting.config import Settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.plan import Plan
from edge_matting.core.providers import AUTO, RUNTIMES, automatic_gpu_providers, is_processor
from edge_matting.models import Catalog, Manifest, ModelFile
from edge_matting.runtimes import Session
from edge_matting.runtimes.registry import available_providers, open_session
from edge_matting.runtimes.session import GpuMemory, GpuUse


class SessionMaker:
    """Makes sessions on this device."""

    def __init__(self, settings: Settings, catalog: Catalog, profile: DeviceProfile) -> None:
        self._settings = settings
        self._catalog = catalog
        self._profile = profile

    def make(self, manifest: Manifest, plan: Plan) -> Session:
        """A session by ``plan``, its file's digest checked. It is not warm yet."""
        part = part_for(manifest, plan)
        return open_session(
            manifest,
            self._catalog.verify(manifest.id, part),
            part,
            backend=plan.backend,
            provider=wanted_provider(
                plan, self._profile, self._settings, available_providers(plan.backend)
            ),
            precision=plan.precision,
            threads=plan.session_threads,
            resolution=plan.resolution,
            batch=plan.batch,
            gpu=gpu_use(self._profile, self._settings),
        )


def part_for(manifest: Manifest, plan: Plan) -> ModelFile:
    """The file that the plan's runtime reads in its precision, else another that it reads, else the
    main one: torch computes in less than a file holds, and a model may have a file for one runtime.
    """
    kinds = RUNTIMES[plan.backend].files
    exact = (manifest.variant(kind, plan.precision) for kind in kinds)
    alike = (part for kind in kinds for part in manifest.files if part.backend == kind)
    found = next((part for part in exact if part is not None), None)
    return found or next(alike, manifest.files[0])


def wanted_provider(
    plan: Plan, profile: DeviceProfile, settings: Settings, available: tuple[str, ...]
) -> str:
    """What to ask for: a card that stands idle because the runtime is the wrong one is told."""
    usual = tuple(each.name for each in automatic_gpu_providers())
    idle = (
        is_processor(plan.provider)
        and settings.device.accelerator == AUTO
        and bool(profile.usable_gpus)
        and not set(usual) & set(available)
    )
    return usual[0] if idle else plan.provider


def gpu_use(profile: DeviceProfile, settings: Settings) -> GpuUse:
    """The first usable card; nothing where there is none."""
    if not profile.usable_gpus:
        return GpuUse()
    gpu = profile.usable_gpus[0]
    capability = gpu.compute_capability or (0, 0)
    total = gpu.memory_bytes or (profile.memory_bytes if gpu.integrated else 0)
    return GpuUse(
        name=f"{gpu.name} {capability[0]}.{capability[1]}",
        memory=GpuMemory(total, gpu.integrated) if total else None,
        # Another user's state dir cannot be written to: the engine is then built every time.
        engine_dir=settings.engines_dir if os.access(settings.state_dir, os.W_OK) else None,
    )

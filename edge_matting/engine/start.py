"""From settings to a warm session: shared by the engine and the one-shot command."""

from __future__ import annotations

import logging

from edge_matting.config import Settings
from edge_matting.core.errors import StartError
from edge_matting.core.plan import DeviceProfile, Plan
from edge_matting.device import probe_device
from edge_matting.inference import Catalog, Manifest, Session, shipped_models_dir
from edge_matting.inference.ort import OrtSession, available_providers
from edge_matting.planner import ModelNeeds, make_plan

log = logging.getLogger(__name__)


def open_catalog(settings: Settings) -> Catalog:
    """Shipped models and those added under the state dir."""
    return Catalog(shipped_models_dir(), settings.models_dir)


def plan_for(settings: Settings, profile: DeviceProfile | None = None) -> Plan:
    """The plan for this device, the settings' model and the installed runtime."""
    manifest = open_catalog(settings).get(settings.model)
    return make_plan(profile or probe_device(), needs_of(manifest), settings, available_providers())


def needs_of(manifest: Manifest) -> ModelNeeds:
    size = manifest.input.size
    multiple = size.multiple if size.rule == "multiple_of" else None
    return ModelNeeds((size.width, size.height), multiple)


def load_tools(settings: Settings, plan: Plan, model_id: str) -> tuple[Session, Manifest]:
    """A verified model in a warm session, and its manifest.

    Raises ``StartError`` when the accelerator asked for is missing and the settings say ``fail``.
    """
    catalog = open_catalog(settings)
    manifest = catalog.get(model_id)
    session = OrtSession(
        manifest,
        catalog.verify(model_id),
        provider=plan.provider,
        threads=plan.session_threads,
        resolution=plan.resolution,
    )
    session.warm()
    info = session.describe()
    if not info.as_requested:
        message = f"{info.requested_provider} was asked for, {info.actual_provider} is in use"
        if settings.device.missing_accelerator == "fail":
            raise StartError(f"{message}: {info.reason}")
        log.warning("%s: %s", message, info.reason)
    return session, manifest

"""From settings to a warm session: shared by the engine and the one-shot command."""

from __future__ import annotations

from edge_matting.config import Settings
from edge_matting.core.plan import DeviceProfile, Plan
from edge_matting.device import probe_device
from edge_matting.engine.opening import Opened, Opener
from edge_matting.inference import Catalog, Manifest, Session, shipped_models_dir
from edge_matting.inference.ort import available_providers
from edge_matting.planner import ModelNeeds, make_plan


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


def open_model(
    settings: Settings, plan: Plan, model_id: str, profile: DeviceProfile | None = None
) -> Opened:
    """A verified, warm and tested model; see ``Opener.open``."""
    return Opener(settings, open_catalog(settings), profile or probe_device()).open(plan, model_id)


def load_tools(settings: Settings, plan: Plan, model_id: str) -> tuple[Session, Manifest]:
    """The model's session and manifest; what is raised, ``Opener.open`` says."""
    opened = open_model(settings, plan, model_id)
    return opened.session, opened.manifest

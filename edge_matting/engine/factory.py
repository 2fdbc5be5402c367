"""From settings to a warm session: shared by the engine and the one-shot command."""

from __future__ import annotations

from edge_matting.cache import MatteCache
from edge_matting.cache.plates import PlateStore
from edge_matting.config import Recipe, Settings
from edge_matting.core.device_values import DeviceProfile
from edge_matting.core.errors import UnfitModel
from edge_matting.core.plan import Plan
from edge_matting.device import probe_device
from edge_matting.engine.models.loader import LoadedModel, ModelLoader
from edge_matting.engine.tuning.planning import Planning
from edge_matting.models import Catalog, Manifest, shipped_models_dir
from edge_matting.pipeline import PixelBudget, Tools, batched, for_recipe
from edge_matting.runtimes import Session


def open_catalog(settings: Settings) -> Catalog:
    """Shipped models and those added under the state dir."""
    return Catalog(shipped_models_dir(), settings.models_dir)


def plan_for(settings: Settings, profile: DeviceProfile | None = None) -> Plan:
    """The plan for this device, the settings' model and runtime, and what was measured."""
    return planning_for(settings, profile or probe_device()).plan()


def planning_for(settings: Settings, profile: DeviceProfile) -> Planning:
    """Where plans and the measurements behind them come from."""
    return Planning(settings, open_catalog(settings), profile)


def open_cache(settings: Settings, *, on_disk: bool = True) -> MatteCache | None:
    """The matte cache as the settings want it; None where they switch it off."""
    wanted = settings.cache
    if not wanted.enabled:
        return None
    return MatteCache(
        settings.cache_dir if on_disk else None,
        memory_bytes=int(wanted.memory_mb * 1e6),
        disk_bytes=int(wanted.disk_mb * 1e6),
        min_free_bytes=int(settings.limits.min_free_mb * 1e6),
        perceptual=wanted.perceptual,
    )


def open_plates(settings: Settings) -> PlateStore | None:
    """Where plates are learned; None where no recipe asks for one."""
    if not any(recipe.ground.learns for recipe in settings.recipes.values()):
        return None
    return PlateStore(settings.plates_dir)


def open_model(
    settings: Settings, plan: Plan, model_id: str, profile: DeviceProfile | None = None
) -> LoadedModel:
    """A verified, warm and tested model; see ``ModelLoader.open``."""
    return ModelLoader(settings, open_catalog(settings), profile or probe_device()).open(
        plan, model_id
    )


def load_tools(settings: Settings, plan: Plan, model_id: str) -> tuple[Session, Manifest]:
    """The model's session and manifest; what is raised, ``ModelLoader.open`` says."""
    opened = open_model(settings, plan, model_id)
    return opened.session, opened.manifest


def tools_for_recipe(
    settings: Settings, plan: Plan, recipe: Recipe, *, cache: MatteCache | None = None
) -> Tools:
    """The settings' model, and models for the recipe's other tasks; all share one pixel budget.

    Raises what ``ModelLoader.open`` raises, and ``UnfitModel`` where a task has no model.
    """
    gate = PixelBudget(plan.pixels_in_flight)
    plates = open_plates(settings)

    def loaded(model_id: str, by: Plan) -> Tools:
        session, manifest = load_tools(settings, by, model_id)
        session = batched(session, manifest, by.batch)
        return Tools(session, manifest, gate, lambda _stage: None, cache, plates=plates)

    def model_for(task: str) -> Tools:
        model_id = open_catalog(settings).model_for(task)
        if model_id is None:
            raise UnfitModel(f"the recipe asks for {task}, and there is no model for it")
        return loaded(model_id, planning_for(settings, probe_device()).plan_of(model_id))

    return for_recipe(recipe, loaded(settings.model, plan), model_for)


def record_golden_matte(settings: Settings, model_id: str) -> None:
    """Have the processor say now what the self-tests of an added model will compare with."""
    profile, catalog = probe_device(), open_catalog(settings)
    plan = planning_for(settings, profile).plan_of(model_id)
    ModelLoader(settings, catalog, profile).know(plan, model_id)

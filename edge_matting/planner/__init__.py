"""What to do on this device, decided by pure functions on frozen values, with reasons."""

from edge_matting.planner.decide import footprint_of, make_plan
from edge_matting.planner.ladder import Cause, Step, derated, next_step
from edge_matting.planner.memory import BYTES_PER_PIXEL, ENGINE_BASE_BYTES
from edge_matting.planner.model_requirements import Evaluated, ModelNeeds
from edge_matting.planner.workers import MAX_WORKERS, wanted_workers

__all__ = [
    "BYTES_PER_PIXEL",
    "ENGINE_BASE_BYTES",
    "MAX_WORKERS",
    "Cause",
    "Evaluated",
    "ModelNeeds",
    "Step",
    "derated",
    "footprint_of",
    "make_plan",
    "next_step",
    "wanted_workers",
]

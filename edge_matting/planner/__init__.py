"""What to do on this device, decided by pure functions on frozen values, with reasons."""

from edge_matting.planner.decide import MAX_WORKERS, ModelNeeds, make_plan
from edge_matting.planner.ladder import Cause, Step, derated, next_step
from edge_matting.planner.memory import BYTES_PER_PIXEL, ENGINE_BASE_BYTES

__all__ = [
    "BYTES_PER_PIXEL",
    "ENGINE_BASE_BYTES",
    "MAX_WORKERS",
    "Cause",
    "ModelNeeds",
    "Step",
    "derated",
    "make_plan",
    "next_step",
]

"""Known grounds: plain sweeps, screens of one colour, plates of the empty set."""

from edge_matting.matting.ground.chroma import KEYS, direction_of
from edge_matting.matting.ground.keyed import KnownGround, plain_ground, plate, screen

__all__ = ["KEYS", "KnownGround", "direction_of", "plain_ground", "plate", "screen"]

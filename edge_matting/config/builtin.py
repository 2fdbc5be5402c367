"""The recipes that are there without being asked for."""

from __future__ import annotations

from typing import Final

from edge_matting.config.recipe import Canvas, Crop, GroundSettings, OutputSpec, Recipe

_PNG: Final = OutputSpec(kind="cutout", format="png")
_NONE: Final = GroundSettings(find="none")

BUILT_IN: Final[dict[str, Recipe]] = {
    "cutout": Recipe(),
    "passport": Recipe(
        outputs=(OutputSpec(kind="composite", format="jpg", quality=95),),
        ground=_NONE,
        alpha_threshold=15,
        erode=2.0,
        crop=Crop(margin=12.0),
        canvas=Canvas(size=(35.0, 45.0), unit="mm", dpi=300.0),
        colour="srgb",
    ),
    "shop": Recipe(
        outputs=(_PNG, OutputSpec(kind="composite", format="jpg")),
        feather=1.5,
        crop=Crop(margin=8.0),
        canvas=Canvas(size=(1600.0, 1600.0)),
        colour="srgb",
    ),
    "avatar": Recipe(
        outputs=(_PNG,),
        ground=_NONE,
        alpha_threshold=8,
        erode=1.0,
        crop=Crop(margin=5.0),
        canvas=Canvas(size=(512.0, 512.0)),
        colour="srgb",
    ),
    "preview": Recipe(outputs=(OutputSpec(kind="preview", format="jpg"),), ground=_NONE),
}
"""Present without being asked for; a recipe of the same name in the settings replaces it."""

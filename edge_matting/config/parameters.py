"""Parameters of a recipe for one photo alone, as an upload or a command line gives them.

A parameter has the name and the form of the recipe's own key and takes its place; ``format``
stands for the format of the first output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from edge_matting.config.faults import config_error, faults_of
from edge_matting.config.recipe import LEARN, OutputSpec, Recipe
from edge_matting.core.errors import ConfigError
from edge_matting.core.output_kinds import FORMATS_WITHOUT_ALPHA, output_kind

FORMAT: Final = "format"
_FILES: Final = frozenset({"image", "image_sha256"})


def canonical(parameters: Mapping[str, Any]) -> str | None:
    """The one text that stands for these parameters; None for none of them."""
    if not parameters:
        return None
    try:
        return json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise ConfigError("a number is not finite") from None
    except RecursionError:
        raise ConfigError("nested too deeply") from None


def adjusted(recipe: Recipe, text: str | None) -> Recipe:
    """``recipe`` with the parameters in a `canonical` text; ``ConfigError`` names every fault.

    No file may be named: parameters come from whoever may send a photo, and a background picture
    is opened by the appliance.
    """
    if text is None:
        return recipe
    parameters: dict[str, Any] = json.loads(text)
    wanted = parameters.pop(FORMAT, None)
    background = parameters.get("background")
    if isinstance(background, dict) and _FILES & set(background):
        raise ConfigError("background: only a recipe of the configuration may name a picture")
    ground = parameters.get("ground")
    if isinstance(ground, dict) and ground.get("plate", LEARN) != LEARN:
        raise ConfigError("ground: only a recipe of the configuration may name a plate")
    own = recipe.model_dump(mode="json")
    try:
        changed = Recipe.model_validate_json(json.dumps(own | parameters))
    except ValidationError as error:
        raise config_error(faults_of(error, Recipe)) from None
    return changed if wanted is None else with_format(changed, wanted)


def with_format(recipe: Recipe, wanted: Any) -> Recipe:
    """The recipe with another format of its first output; JPEG makes a cutout a composite."""
    first = recipe.outputs[0]
    kind = first.kind
    opaque = output_kind(kind).opaque_kind
    if opaque is not None and wanted in FORMATS_WITHOUT_ALPHA:
        kind = opaque
    # Of the first output's other settings only those that every kind and format has.
    values = {"kind": kind, FORMAT: wanted, "quality": first.quality, "effort": first.effort}
    try:
        changed = OutputSpec.model_validate(values)
    except ValidationError as error:
        told = "; ".join(fault.partition(": ")[2] for fault in faults_of(error, OutputSpec))
        raise ConfigError(f"{FORMAT} {wanted}: {told}") from None
    others = (spec for spec in recipe.outputs[1:] if (spec.kind, spec.format) != (kind, wanted))
    return recipe.model_copy(update={"outputs": (changed, *others)})

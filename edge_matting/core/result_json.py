"""A result as text and back, for whoever has to remember one."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from edge_matting.core.jobs import Execution, GroundFound, Output, Quality, Result
from edge_matting.core.reasons import Reason


def result_to_json(result: Result) -> str:
    """JSON in ASCII, so that undecodable file names in it survive."""
    values = {**asdict(result), "notes": [note.coded() for note in result.notes]}
    return json.dumps(values, sort_keys=True)


def result_from_json(text: str) -> Result:
    """The result that ``result_to_json`` wrote.

    Raises ``ValueError``, ``KeyError`` or ``TypeError`` for other text.
    """
    values: dict[str, Any] = json.loads(text)
    execution, quality = values["execution"], values["quality"]
    width, height = values["source_size"]
    values["source_size"] = (width, height)
    values["outputs"] = tuple(Output(**output) for output in values["outputs"])
    values["execution"] = Execution(**{**execution, "resolution": tuple(execution["resolution"])})
    values["notes"] = tuple(map(Reason.from_coded, values.get("notes", ())))
    place = quality.get("doubted")
    quality |= {"reasons": tuple(quality["reasons"]), "doubted": place and tuple(place)}
    values["quality"] = Quality(**quality)
    ground = values.get("ground")
    values["ground"] = None if ground is None else GroundFound(**ground)
    return Result(**values)

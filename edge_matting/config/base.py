"""What all settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Checked values that never change; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

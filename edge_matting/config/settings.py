"""The frozen settings; their names, types, bounds and defaults are the configuration's schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from edge_matting.config.base import Frozen
from edge_matting.config.builtin import BUILT_IN
from edge_matting.config.recipe import Recipe
from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.pins import Pin, take_pins
from edge_matting.core.providers import AUTO, WantedPrecision, WantedProvider, WantedRuntime


class HotFolder(Frozen):
    """A folder that holds in/, out/, done/, failed/ and review/."""

    path: Path
    out: Path | None = None
    recipe: str = "cutout"
    originals: Literal["archive", "keep", "delete"] = "archive"
    pins: tuple[Pin, ...] = ()
    """What the folders were at the start; made by the appliance, never written by a user."""

    @property
    def inbox(self) -> Path:
        return self.path / "in"

    @property
    def outbox(self) -> Path:
        return self.out or self.path / "out"

    @property
    def done(self) -> Path:
        return self.path / "done"

    @property
    def failed(self) -> Path:
        return self.path / "failed"

    @property
    def review(self) -> Path:
        return self.path / "review"

    def door(self, part: Path) -> AnchoredFolder:
        """The one way to what lies below ``part``, one of the five folders."""
        return AnchoredFolder(part, self.path if self.pins else None, self.pins)

    def pinned(self) -> HotFolder:
        """The same folder, held to what its parts are now."""
        parts = (self.path, self.inbox, self.outbox, self.done, self.failed, self.review)
        return self.model_copy(update={"pins": take_pins(parts)})


class IntakeSettings(Frozen):
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    rescan_seconds: Annotated[float, Field(gt=0, le=86400)] = 60.0
    stalled_seconds: Annotated[float, Field(ge=0, le=86400)] = 300.0
    """How long a file that is not complete may be silent before it is taken as it is."""
    watch: Literal["auto", "native", "polling"] = "auto"


class DeviceSettings(Frozen):
    accelerator: WantedProvider = AUTO
    backend: WantedRuntime = AUTO
    missing_accelerator: Literal["warn", "degrade", "fail"] = "warn"
    precision: WantedPrecision = AUTO
    resolution: Literal["auto"] | Annotated[int, Field(ge=32, le=4096)] = "auto"
    batch: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = "auto"
    measure: Literal["auto", "never"] = "auto"
    """Whether the ways to run the model are timed at the first start on a device."""


class EngineSettings(Frozen):
    """The work process."""

    stall_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Without progress for this long it counts as hung and is replaced."""


class LimitSettings(Frozen):
    max_pixels: Annotated[int, Field(ge=1)] = 120_000_000
    max_file_mb: Annotated[float, Field(gt=0)] = 200.0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    min_free_mb: Annotated[float, Field(ge=0)] = 500.0


class CacheSettings(Frozen):
    enabled: bool = True
    memory_mb: Annotated[float, Field(ge=0)] = 64.0
    disk_mb: Annotated[float, Field(ge=0)] = 1024.0
    perceptual: bool = True


class StatusSettings(Frozen):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    token_file: Path | None = None


class RetentionSettings(Frozen):
    done_days: Annotated[float, Field(gt=0)] | None = None
    failed_days: Annotated[float, Field(gt=0)] | None = None
    history_days: Annotated[float, Field(gt=0)] | None = 365.0


class Settings(Frozen):
    """Everything a user can set; relative paths were resolved against the config file."""

    state_dir: Path = Path("/var/lib/edge-matting")
    hot_folders: tuple[HotFolder, ...] = (HotFolder(path=Path("/srv/edge-matting")),)
    intake: IntakeSettings = IntakeSettings()
    device: DeviceSettings = DeviceSettings()
    engine: EngineSettings = EngineSettings()
    model: str = "default"
    limits: LimitSettings = LimitSettings()
    cache: CacheSettings = CacheSettings()
    status: StatusSettings = StatusSettings()
    retention: RetentionSettings = RetentionSettings()
    recipes: dict[str, Recipe] = Field(default_factory=lambda: dict(BUILT_IN))
    """The built-in ones, and the user's; one of the same name is replaced, not mixed."""

    @field_validator("hot_folders")
    @classmethod
    def _at_least_one(cls, value: tuple[HotFolder, ...]) -> tuple[HotFolder, ...]:
        if not value:
            raise ValueError("list at least one folder")
        return value

    @field_validator("recipes")
    @classmethod
    def _beside_the_built_in(cls, value: dict[str, Recipe]) -> dict[str, Recipe]:
        return {**BUILT_IN, **value}

    def as_json(self) -> dict[str, Any]:
        """The settings as plain JSON values, to hand to the engine process."""
        return self.model_dump(mode="json")

    @property
    def ledger_path(self) -> Path:
        return self.state_dir / "ledger.sqlite"

    @property
    def thumbnails_dir(self) -> Path:
        """Small pictures of the page; the folder keeps the name that it had first."""
        return self.state_dir / "previews"

    @property
    def cache_dir(self) -> Path:
        return self.state_dir / "cache"

    @property
    def plates_dir(self) -> Path:
        """Learned plates."""
        return self.state_dir / "plates"

    @property
    def models_dir(self) -> Path:
        return self.state_dir / "models"

    @property
    def golden_dir(self) -> Path:
        """Known mattes of the built-in photo."""
        return self.state_dir / "golden"

    @property
    def measurements_dir(self) -> Path:
        """What was measured on this device, by model, power mode and runtime."""
        return self.state_dir / "measurements"

    @property
    def engines_dir(self) -> Path:
        """Engines that TensorRT compiled."""
        return self.state_dir / "engines"

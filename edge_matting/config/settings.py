"""The frozen settings; their names, types, bounds and defaults are the configuration's schema."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

OutputKind = Literal["cutout", "alpha", "composite", "trimap", "foreground", "preview"]
OutputFormat = Literal["png", "webp", "jpg", "tiff"]

KINDS_WITH_ALPHA = frozenset({"cutout"})
FORMATS_WITHOUT_ALPHA = frozenset({"jpg"})

PROCESSING_VERSION = 1
"""Rises when the same recipe and model would give other pixels; older results are not reused."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class OutputSpec(_Frozen):
    """One output file of a recipe."""

    kind: OutputKind = "cutout"
    format: OutputFormat = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 92
    """JPEG and lossy WebP quality; WebP with 100 is lossless."""

    @model_validator(mode="before")
    @classmethod
    def _preview_is_jpeg(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("kind") == "preview":
            return {"format": "jpg", **value}
        return value

    @model_validator(mode="after")
    def _format_fits_kind(self) -> OutputSpec:
        if self.kind == "preview" and self.format != "jpg":
            raise ValueError("a preview is a small JPEG; use jpg")
        if self.kind in KINDS_WITH_ALPHA and self.format in FORMATS_WITHOUT_ALPHA:
            raise ValueError(f"{self.format} cannot carry transparency; use png, webp or tiff")
        return self


class Recipe(_Frozen):
    """How a photo is finished."""

    outputs: tuple[OutputSpec, ...] = (OutputSpec(),)
    refinement: Literal["auto", "none", "fast"] = "auto"
    foreground: bool = True
    colour: Literal["keep", "srgb"] = "keep"
    metadata: Literal["safe", "all", "none"] = "safe"
    background: str = "#ffffff"
    """Colour under composites, #rrggbb."""

    @field_validator("background")
    @classmethod
    def _is_a_colour(cls, value: str) -> str:
        digits = value.removeprefix("#")
        if len(digits) != 6 or any(c not in "0123456789abcdefABCDEF" for c in digits):
            raise ValueError('expected a colour like "#ffffff"')
        return value

    @field_validator("refinement", mode="before")
    @classmethod
    def _is_built(cls, value: Any) -> Any:
        if value == "quality":
            raise ValueError("quality is not built yet; use fast")
        return value

    @field_validator("outputs")
    @classmethod
    def _some_and_different(cls, value: tuple[OutputSpec, ...]) -> tuple[OutputSpec, ...]:
        if not value:
            raise ValueError("list at least one output")
        kinds = [(spec.kind, spec.format) for spec in value]
        if len(set(kinds)) != len(kinds):
            raise ValueError("each kind and format may be listed once")
        return value

    def key(self) -> str:
        """Digest of everything that decides the result's pixels, 16 hex digits."""
        text = json.dumps([PROCESSING_VERSION, self.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class HotFolder(_Frozen):
    """A folder that holds in/, out/, done/, failed/ and review/."""

    path: Path
    out: Path | None = None
    recipe: str = "cutout"
    originals: Literal["archive", "keep", "delete"] = "archive"

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


class Intake(_Frozen):
    settle_seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    rescan_seconds: Annotated[float, Field(gt=0, le=86400)] = 60.0
    watch: Literal["auto", "native", "polling"] = "auto"


class Device(_Frozen):
    accelerator: Literal["auto", "tensorrt", "cuda", "cpu"] = "auto"
    backend: Literal["auto", "ort", "torch"] = "auto"
    missing_accelerator: Literal["warn", "degrade", "fail"] = "warn"
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = "auto"
    resolution: Literal["auto"] | Annotated[int, Field(ge=32, le=4096)] = "auto"
    batch: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = "auto"


class Engine(_Frozen):
    """The work process."""

    stall_seconds: Annotated[float, Field(gt=0)] = 120.0
    """Without progress for this long it counts as hung and is replaced."""


class Limits(_Frozen):
    max_pixels: Annotated[int, Field(ge=1)] = 120_000_000
    max_file_mb: Annotated[float, Field(gt=0)] = 200.0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    min_free_mb: Annotated[float, Field(ge=0)] = 500.0


class Cache(_Frozen):
    enabled: bool = True
    memory_mb: Annotated[float, Field(ge=0)] = 64.0
    disk_mb: Annotated[float, Field(ge=0)] = 1024.0
    perceptual: bool = True


class Status(_Frozen):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    token_file: Path | None = None


class Retention(_Frozen):
    done_days: Annotated[float, Field(gt=0)] | None = None
    failed_days: Annotated[float, Field(gt=0)] | None = None
    history_days: Annotated[float, Field(gt=0)] | None = 365.0


class Settings(_Frozen):
    """Everything a user can set; relative paths were resolved against the config file."""

    state_dir: Path = Path("/var/lib/edge-matting")
    hot_folders: tuple[HotFolder, ...] = (HotFolder(path=Path("/srv/edge-matting")),)
    intake: Intake = Intake()
    device: Device = Device()
    engine: Engine = Engine()
    model: str = "default"
    limits: Limits = Limits()
    cache: Cache = Cache()
    status: Status = Status()
    retention: Retention = Retention()
    recipes: dict[str, Recipe] = Field(default_factory=lambda: {"cutout": Recipe()})

    @field_validator("hot_folders")
    @classmethod
    def _at_least_one(cls, value: tuple[HotFolder, ...]) -> tuple[HotFolder, ...]:
        if not value:
            raise ValueError("list at least one folder")
        return value

    def as_json(self) -> dict[str, Any]:
        """The settings as plain JSON values, to hand to the engine process."""
        return self.model_dump(mode="json")

    @property
    def ledger_path(self) -> Path:
        return self.state_dir / "ledger.sqlite"

    @property
    def previews_dir(self) -> Path:
        return self.state_dir / "previews"

    @property
    def cache_dir(self) -> Path:
        return self.state_dir / "cache"

    @property
    def models_dir(self) -> Path:
        return self.state_dir / "models"

    @property
    def golden_dir(self) -> Path:
        """Known mattes of the built-in photo."""
        return self.state_dir / "golden"

    @property
    def engines_dir(self) -> Path:
        """Engines that TensorRT compiled."""
        return self.state_dir / "engines"

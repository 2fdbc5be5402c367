"""A recipe: which outputs a photo gets, and how its matte and colours are finished."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from edge_matting.config.base import Frozen
from edge_matting.core.errors import ConfigError
from edge_matting.core.output_kinds import (
    FORMATS_WITH_ALPHA,
    OUTPUT_KINDS,
    OutputFormat,
    output_kind,
)
from edge_matting.core.tasks import TASKS

DEEP_FORMATS: Final = frozenset({"png", "tiff"})
LONGEST_SIDE: Final = 20_000
"""Of a canvas, pixels."""
MOST_PIXELS: Final = 60_000_000

PROCESSING_VERSION: Final = 4
"""Rises when the same recipe and model would give other pixels; older results are not reused."""

_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_LEAST_HUE: Final = 48  # of 255, between a screen's strongest and weakest channel
LEARN: Final = "learn"
_MM_PER_INCH: Final = 25.4

Percent = Annotated[float, Field(ge=0, le=100)]
Pixels = Annotated[float, Field(ge=0, le=200)]
Length = Annotated[float, Field(gt=0)]
Offset = Annotated[float, Field(ge=-50, le=50)]


def _checked_colour(value: str) -> str:
    if not _COLOUR.fullmatch(value):
        raise ValueError('expected a colour like "#ffffff"')
    return value


def _known_kind(value: str) -> str:
    try:
        return output_kind(value).name
    except ConfigError as error:
        raise ValueError(error.message) from None


class OutputSpec(Frozen):
    """One output file of a recipe."""

    kind: Annotated[str, AfterValidator(_known_kind)] = "cutout"
    """One of ``core.output_kinds``."""
    format: OutputFormat = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 92
    """JPEG, lossy WebP and AVIF quality; WebP with 100 is lossless."""
    effort: Annotated[int, Field(ge=0, le=9)] = 1
    """How long the writer looks for a smaller file: 0 fastest, 9 smallest."""
    compact: bool = False
    """PNG only: the smaller of two slow ways, about 150 times as slow as effort 1."""
    bits: Literal["auto", 8, 16] = "auto"
    """A sample's depth; auto: a matte has 8, a picture has what the photo has."""
    premultiplied: bool = False
    """Cutout only: colours multiplied with alpha, as some compositors want them."""

    @model_validator(mode="before")
    @classmethod
    def _format_of_the_kind(cls, value: Any) -> Any:
        name = value.get("kind") if isinstance(value, dict) else None
        kind = OUTPUT_KINDS.get(name) if isinstance(name, str) else None
        return value if kind is None else {"format": kind.formats[0], **value}

    @model_validator(mode="after")
    def _format_fits_kind(self) -> OutputSpec:
        kind = output_kind(self.kind)
        if self.format not in kind.formats:
            allowed = " or ".join(filter(None, (", ".join(kind.formats[:-1]), kind.formats[-1])))
            if kind.formats == FORMATS_WITH_ALPHA:
                raise ValueError(f"{self.format} cannot carry transparency; use {allowed}")
            raise ValueError(f"a {self.kind} is written as {allowed}, not as {self.format}")
        if self.premultiplied and "premultiplied" not in kind.settings:
            able = " or ".join(
                k.name for k in OUTPUT_KINDS.values() if "premultiplied" in k.settings
            )
            raise ValueError(f"premultiplied is for the kind {able}, not for {self.kind}")
        if self.compact and self.format != "png":
            raise ValueError(f"compact is for png; for {self.format} raise effort")
        if self.bits == 16 and self.format not in DEEP_FORMATS:
            raise ValueError(f"{self.format} holds 8 bits a sample; for 16 use png or tiff")
        return self

    @field_validator("format")
    @classmethod
    def _can_be_written(cls, value: OutputFormat) -> OutputFormat:
        if value == "avif" and not _writes_avif():
            raise ValueError("this installation's Pillow writes no AVIF; use webp")
        return value


def _writes_avif() -> bool:
    # Looked for and not loaded: the daemon, which reads settings too, has no picture library.
    return importlib.util.find_spec("PIL._avif") is not None


class Background(Frozen):
    """What lies under a composite: exactly one of a colour, a gradient, a picture, the photo."""

    colour: str | None = None
    """#rrggbb, sRGB."""
    gradient: Annotated[tuple[str, str] | None, Field(strict=False)] = None
    """From one colour to another, along ``angle``."""
    angle: Annotated[float, Field(ge=-360, le=360)] = 90.0
    """Of the gradient, degrees: 0 runs from left to right, 90 from top to bottom."""
    image: Annotated[Path | None, Field(strict=False)] = None
    """A picture, scaled to cover the output and centred."""
    image_sha256: str | None = None
    """Of the picture's bytes; filled in when the settings are read, so that a new one counts."""
    blur: Annotated[float, Field(gt=0, le=50)] | None = None
    """The photo itself, blurred by so many percent of its longer side."""

    def __str__(self) -> str:
        if self.gradient is not None:
            return f"{self.gradient[0]} to {self.gradient[1]}"
        if self.blur is not None:
            return "the photo, blurred"
        return self.colour or str(self.image)

    @model_validator(mode="before")
    @classmethod
    def _a_text_is_a_colour(cls, value: Any) -> Any:
        return {"colour": value} if isinstance(value, str) else value

    @field_validator("colour")
    @classmethod
    def _is_a_colour(cls, value: str | None) -> str | None:
        return None if value is None else _checked_colour(value)

    @field_validator("gradient")
    @classmethod
    def _are_colours(cls, value: tuple[str, str] | None) -> tuple[str, str] | None:
        return None if value is None else (_checked_colour(value[0]), _checked_colour(value[1]))

    @model_validator(mode="after")
    def _exactly_one(self) -> Background:
        chosen = [
            name
            for name in ("colour", "gradient", "image", "blur")
            if getattr(self, name) is not None
        ]
        if len(chosen) != 1:
            said = " and ".join(chosen) or "none"
            raise ValueError(f"give one of colour, gradient, image, blur; got {said}")
        return self


class Crop(Frozen):
    """A cut around the subject."""

    margin: Annotated[float, Field(ge=0, le=100)] = 5.0
    """Percent of the subject's longer side, on each side where the photo does not cut it off."""
    aspect: str | None = None
    """Width to height such as "1:1" or "4:5"; null: the canvas's, or the subject's own."""

    @field_validator("aspect")
    @classmethod
    def _is_a_proportion(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[1-9]\d{0,4}:[1-9]\d{0,4}", value):
            raise ValueError('expected a proportion like "4:5"')
        if value is not None and not 0.1 <= Fraction(value.replace(":", "/")) <= 10:
            raise ValueError("expected a proportion from 1:10 to 10:1")
        return value

    @property
    def proportion(self) -> float | None:
        """Width over height."""
        return None if self.aspect is None else float(Fraction(self.aspect.replace(":", "/")))


class Canvas(Frozen):
    """The exact size of the outputs; the photo or its crop is fitted into it and centred."""

    size: Annotated[tuple[Length, Length], Field(strict=False)]
    """Width, height."""
    unit: Literal["px", "mm"] = "px"
    dpi: Annotated[float, Field(ge=10, le=4800)] | None = None
    """Written into the files; needed for mm."""

    @model_validator(mode="after")
    def _has_a_size_in_pixels(self) -> Canvas:
        if self.unit == "mm" and self.dpi is None:
            raise ValueError("a size in mm needs dpi, such as 300")
        if not all(1 <= side <= LONGEST_SIDE for side in self.pixels):
            raise ValueError(f"a side must come to 1 to {LONGEST_SIDE} pixels")
        if math.prod(self.pixels) > MOST_PIXELS:
            raise ValueError(f"a canvas holds at most {MOST_PIXELS / 1e6:g} megapixels")
        return self

    @property
    def pixels(self) -> tuple[int, int]:
        """Width, height in pixels, rounded."""
        scale = 1.0 if self.unit == "px" else (self.dpi or 0.0) / _MM_PER_INCH
        return round(self.size[0] * scale), round(self.size[1] * scale)


class ShadowSettings(Frozen):
    """A shadow under cutouts and composites; lengths in percent of the longer side."""

    natural: bool = False
    """The photo's own shadow, where its ground is known, in place of a drop shadow."""
    opacity: Annotated[float, Field(gt=0, le=1)] = 0.35
    blur: Percent = 2.0
    offset: Annotated[tuple[Offset, Offset], Field(strict=False)] = (0.0, 1.5)
    """To the right, down."""
    colour: str = "#000000"

    @field_validator("colour")
    @classmethod
    def _is_a_colour(cls, value: str) -> str:
        return _checked_colour(value)


class GroundSettings(Frozen):
    """What the set is known to look like: exactly one of a word, a screen's colour, a plate."""

    find: Literal["auto", "none", "plain"] | None = None
    """auto: a plain ground is found and used; plain: it is expected; none: no ground is looked for.
    """
    chroma: str | None = None
    """A screen: green, blue or #rrggbb, sRGB."""
    plate: str | None = None
    """A photo of the empty set; learn: made of the photos that came before."""
    plate_sha256: str | None = None
    """Of the plate's bytes; filled in when the settings are read, so that a new one counts."""

    def __str__(self) -> str:
        return self.find or self.chroma or ("learned plate" if self.learns else f"{self.plate}")

    @property
    def learns(self) -> bool:
        """Whether the plate is made of earlier photos."""
        return self.plate == LEARN

    @property
    def plate_file(self) -> Path | None:
        """The plate that the settings name."""
        return None if self.plate is None or self.learns else Path(self.plate)

    @model_validator(mode="before")
    @classmethod
    def _a_word_says_how_to_find_it(cls, value: Any) -> Any:
        return {"find": value} if isinstance(value, str) else value

    @field_validator("chroma")
    @classmethod
    def _is_a_screen(cls, value: str | None) -> str | None:
        if value is None or value in {"green", "blue"}:
            return value
        if not _COLOUR.fullmatch(value):
            raise ValueError('expected green, blue or a colour like "#00b140"')
        parts = [int(value[at : at + 2], 16) for at in (1, 3, 5)]
        if max(parts) - min(parts) < _LEAST_HUE:
            raise ValueError("a screen needs a strong colour, such as green or blue")
        return value

    @model_validator(mode="after")
    def _exactly_one(self) -> GroundSettings:
        chosen = [each for each in (self.find, self.chroma, self.plate) if each is not None]
        if len(chosen) != 1:
            raise ValueError("give one of auto, none, plain, {chroma: ...}, {plate: ...}")
        return self


class Recipe(Frozen):
    """How a photo is finished; ``matting.postprocess`` tells the order of the steps."""

    outputs: tuple[OutputSpec, ...] = (OutputSpec(),)
    exposure: Literal["auto", "none"] = "auto"
    """auto: a very dark photo is equalised, for the network's eyes only."""
    ground: GroundSettings = GroundSettings(find="auto")
    refinement: Literal["auto", "none", "fast", "quality"] = "auto"
    alpha_threshold: Annotated[int, Field(ge=0, le=255)] = 0
    """Alpha below it (of 255) becomes 0; 0: off."""
    erode: Pixels = 0.0
    """The matte is drawn in by so many pixels of the photo."""
    feather: Pixels = 0.0
    """The matte is softened over so many pixels of the photo on either side of its edge."""
    foreground: bool = True
    despill: Literal["none", "auto", "red", "green", "blue"] = "none"
    """A cast of this colour is taken off the edge; auto: the background's, where it has one."""
    crop: Crop | None = None
    canvas: Canvas | None = None
    shadow: ShadowSettings | None = None
    background: Background = Background(colour="#ffffff")
    """Under composites."""
    colour: Literal["keep", "srgb"] = "keep"
    metadata: Literal["safe", "all", "none"] = "safe"

    @field_validator("crop", "canvas", "shadow", mode="before")
    @classmethod
    def _true_is_the_defaults(cls, value: Any) -> Any:
        return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value

    @field_validator("shadow", mode="before")
    @classmethod
    def _words_for_shadows(cls, value: Any) -> Any:
        words: dict[str, Any] = {"none": None, "drop": {}, "natural": {"natural": True}}
        return words.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _natural_shadows_need_a_ground(self) -> Recipe:
        kinds = {spec.kind for spec in self.outputs}
        natural = self.shadow is not None and self.shadow.natural
        if self.ground.find == "none" and (natural or "shadow" in kinds):
            raise ValueError("the photo's own shadow is known on a known ground only; set ground")
        return self

    @field_validator("outputs")
    @classmethod
    def _some_and_different(cls, value: tuple[OutputSpec, ...]) -> tuple[OutputSpec, ...]:
        if not value:
            raise ValueError("list at least one output")
        kinds = [(spec.kind, spec.format) for spec in value]
        if len(set(kinds)) != len(kinds):
            raise ValueError("each kind and format may be listed once")
        return value

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the outputs need, in the order of ``core.tasks``."""
        needed = {task for spec in self.outputs for task in output_kind(spec.kind).tasks}
        return tuple(task for task in TASKS if task in needed)

    def key(self) -> str:
        """Digest of everything that decides the result's pixels, 16 hex digits."""
        text = json.dumps([PROCESSING_VERSION, self.model_dump(mode="json")], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

"""The output kinds: one table, read by recipes, file names, rendering, the ledger and the page.

To add a kind, write its function in ``matting/`` or ``imaging/`` (or in the folder of its task)
and add one entry here, with a line in ``docs/outputs.md``. The function is called with the parts
that ``needs`` names and the recipe's values that ``settings`` names, as keyword arguments. It
returns pixels (H x W, H x W x 3 or H x W x 4, uint8 or uint16, or rows of them) for the output's
format, or the bytes of a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from edge_matting.core.errors import ConfigError
from edge_matting.core.tasks import MATTING

OutputFormat: TypeAlias = Literal["png", "webp", "jpg", "tiff", "avif"]

FORMATS: Final[tuple[OutputFormat, ...]] = ("png", "webp", "jpg", "tiff", "avif")
FORMATS_WITHOUT_ALPHA: Final[tuple[OutputFormat, ...]] = ("jpg",)
FORMATS_WITH_ALPHA: Final = tuple(each for each in FORMATS if each not in FORMATS_WITHOUT_ALPHA)

LONGEST_NAME: Final = 10
"""Letters of a kind's name. File names reserve room for it, so a kind never shortens a stem."""

_NAME: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}")


@dataclass(frozen=True, slots=True)
class OutputKind:
    """One kind of output file.

    ``needs`` are parts of a finished photo. Those of matting (``pipeline.outputs``) are ``photo``
    and ``matte`` at the photo's size and, at the output's size, ``foreground`` (estimated colours),
    ``alpha``, ``backdrop`` (the recipe's ``background``) and ``shadow`` (None without one), and
    ``natural_shadow`` (the photo's own; None where its ground is not known).
    """

    name: str
    make: str
    """Where its function is, as ``package.module:name``."""
    needs: tuple[str, ...]
    formats: tuple[OutputFormat, ...] = FORMATS
    """Allowed formats; the first is the default."""
    settings: tuple[str, ...] = ()
    """Settings of the output that the function takes: ``bits``, ``premultiplied``."""
    tasks: tuple[str, ...] = (MATTING,)
    """The tasks (``core.tasks``) that make its parts; a recipe may mix kinds of several."""
    opaque_kind: str | None = None
    """The kind that stands in where a format without transparency is asked for."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is no name of an output kind: use a to z, 0 to 9 and underscore, "
                f"at most {LONGEST_NAME}"
            )


def _table(*kinds: OutputKind) -> Mapping[str, OutputKind]:
    return MappingProxyType({kind.name: kind for kind in kinds})


OUTPUT_KINDS: Final = _table(
    OutputKind(
        "cutout",
        make="edge_matting.matting.output_kinds:cutout_output",
        needs=("foreground", "alpha", "shadow"),
        formats=FORMATS_WITH_ALPHA,
        settings=("premultiplied",),
        opaque_kind="composite",
    ),
    OutputKind(
        "alpha",
        make="edge_matting.matting.output_kinds:alpha_output",
        needs=("alpha",),
        settings=("bits",),
    ),
    OutputKind(
        "composite",
        make="edge_matting.matting.compositing:composite",
        needs=("foreground", "alpha", "backdrop", "shadow"),
    ),
    OutputKind("trimap", make="edge_matting.matting.compositing:trimap", needs=("alpha",)),
    OutputKind(
        "foreground",
        make="edge_matting.matting.output_kinds:foreground_output",
        needs=("foreground",),
    ),
    OutputKind(
        "shadow",
        make="edge_matting.matting.output_kinds:shadow_output",
        needs=("natural_shadow", "alpha"),
        formats=FORMATS_WITH_ALPHA,
    ),
    OutputKind(
        "preview",
        make="edge_matting.imaging.thumbnail:preview_output",
        needs=("photo", "matte"),
        formats=("jpg",),
    ),
)
"""Every output kind, by its name."""


def output_kind(name: str) -> OutputKind:
    """The kind called ``name``; ``ConfigError`` names the known ones where there is none."""
    try:
        return OUTPUT_KINDS[name]
    except KeyError:
        known = ", ".join(OUTPUT_KINDS)
        raise ConfigError(f"unknown output kind {name!r}; choose from: {known}") from None

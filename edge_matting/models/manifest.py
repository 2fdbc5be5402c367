"""A model's manifest: what it takes, what it gives, whose it is, and the digest of its file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_matting.core.errors import ModelError
from edge_matting.core.model_io import ModelInput, ModelOutput
from edge_matting.core.providers import (
    FULL_PRECISION,
    MAIN_RUNTIME,
    PrecisionName,
    RuntimeName,
)
from edge_matting.core.tasks import MATTING, TaskName
from edge_matting.core.yaml_text import YAMLError, parse_yaml

MANIFEST_NAME: Final = "manifest.yaml"

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def check_id(value: str) -> str:
    """``value`` if it can name a model (and so a folder), else ``ValueError``."""
    if not _ID.fullmatch(value):
        raise ValueError("use lower-case letters, digits, dot, dash and underscore, at most 64")
    return value


def _plain_file_name(value: str) -> str:
    if value in ("", ".", "..", MANIFEST_NAME) or "/" in value or "\0" in value:
        raise ValueError("expected the plain name of a file beside the manifest")
    return value


def _digest(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError("expected 64 lower-case hexadecimal digits")
    return value


_STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True)
FileName: TypeAlias = Annotated[str, AfterValidator(_plain_file_name)]
Sha256: TypeAlias = Annotated[str, AfterValidator(_digest)]
Share: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Side: TypeAlias = Annotated[int, Field(ge=1)]


class ModelFile(BaseModel):
    """One file of a model: the same network for one backend in one precision.

    All files of a model take and give the same tensors, those of the manifest.
    """

    model_config = _STRICT

    precision: PrecisionName
    backend: RuntimeName
    file: FileName
    sha256: Sha256


class MeasuredQuality(BaseModel):
    """What the model reached in one precision at one input size (width, height in pixels):
    mean intersection over union at alpha 0.5, and mean absolute difference of the alpha."""

    model_config = _STRICT

    precision: PrecisionName
    resolution: tuple[Side, Side]
    iou: Share
    mad: Share


class Manifest(BaseModel):
    """One model of the catalog; its names are those of the YAML file.

    ``file`` is the main file; ``variants`` are the same network in other precisions or for
    another backend. ``quality_floor`` is the least ``iou`` that is worth planning for.
    """

    model_config = _STRICT

    id: Annotated[str, AfterValidator(check_id)]
    version: str
    name: str
    task: TaskName = MATTING
    file: FileName
    sha256: Sha256
    backend: RuntimeName = MAIN_RUNTIME
    precision: PrecisionName = FULL_PRECISION
    variants: tuple[ModelFile, ...] = ()
    input: ModelInput
    output: ModelOutput
    quality: tuple[MeasuredQuality, ...] = ()
    quality_floor: Share | None = None
    licence: str
    provenance: str

    @model_validator(mode="after")
    def _numbers_make_sense(self) -> Manifest:
        size = self.input.size
        if min(size.width, size.height, size.multiple) < 1:
            raise ValueError("input.size: width, height and multiple must be at least 1")
        if self.input.batch is not None and self.input.batch < 1:
            raise ValueError("input.batch: must be at least 1")
        if 0.0 in self.input.std:
            raise ValueError("input.std: must not contain 0")
        if self.output.range[0] == self.output.range[1]:
            raise ValueError("output.range: its ends must differ")
        last = 1 if self.output.kind == "two_class" else 3
        if self.output.channel is not None and not 0 <= self.output.channel <= last:
            raise ValueError(f"output.channel: expected 0 to {last}")
        return self

    @model_validator(mode="after")
    def _files_are_distinct(self) -> Manifest:
        names = [part.file for part in self.files]
        kinds = [(part.backend, part.precision) for part in self.files]
        if len(set(names)) < len(names):
            raise ValueError("variants: a file is named twice")
        if len(set(kinds)) < len(kinds):
            raise ValueError("variants: two files have the same backend and precision")
        return self

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """All files, the main one first."""
        main = ModelFile(
            precision=self.precision, backend=self.backend, file=self.file, sha256=self.sha256
        )
        return (main, *self.variants)

    def variant(self, backend: str, precision: str) -> ModelFile | None:
        """The file for a runtime in a precision, or None."""
        wanted = (backend, precision)
        return next((f for f in self.files if (f.backend, f.precision) == wanted), None)

    def as_yaml(self) -> str:
        """The manifest as it is written to a file; what is optional and empty is left out."""
        values = self.model_dump(mode="json", exclude_none=True)
        kept = {key: value for key, value in values.items() if value != []}
        text: str = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
        return text


def load_manifest(path: Path) -> Manifest:
    """Read and check one manifest; every fault names the file and the key."""
    try:
        values = parse_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ModelError(f"{path}: the manifest cannot be read: {error}") from error
    return parse_manifest(values, str(path))


def parse_manifest(values: Any, where: str) -> Manifest:
    """Check the content of a manifest that came from ``where``."""
    if not isinstance(values, dict):
        raise ModelError(f"{where}: expected keys and values")
    try:
        return Manifest.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        faults = "; ".join(_fault(fault) for fault in error.errors(include_url=False))
        raise ModelError(f"{where}: {faults}") from error


def _fault(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    text = str(fault["msg"]).removeprefix("Value error, ")
    return f"{key}: {text}" if key else text

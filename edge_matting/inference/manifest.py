"""A model's manifest: what it takes, what it gives, whose it is, and the digest of its file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from edge_matting.core.errors import ModelError
from edge_matting.core.tensors import ModelInput, ModelOutput

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


class Manifest(BaseModel):
    """One model of the catalog; its names are those of the YAML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, AfterValidator(check_id)]
    version: str
    name: str
    task: str = "matting"
    file: Annotated[str, AfterValidator(_plain_file_name)]
    sha256: Annotated[str, AfterValidator(_digest)]
    input: ModelInput
    output: ModelOutput
    licence: str
    provenance: str

    @model_validator(mode="after")
    def _numbers_make_sense(self) -> Manifest:
        size = self.input.size
        if min(size.width, size.height, size.multiple) < 1:
            raise ValueError("input.size: width, height and multiple must be at least 1")
        if 0.0 in self.input.std:
            raise ValueError("input.std: must not contain 0")
        return self

    def as_yaml(self) -> str:
        text: str = yaml.safe_dump(
            self.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        )
        return text


def load_manifest(path: Path) -> Manifest:
    """Read and check one manifest; every fault names the file and the key."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
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

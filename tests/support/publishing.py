"""Results published and copied in one line, their sidecar made from the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_matting.core.jobs import EncodedOutput, Output
from edge_matting.publish import copy_result, named_outputs, publish_result, renamed_outputs

MakeSidecar = Callable[[tuple[Output, ...]], bytes]


def publish(
    root: Path, stem: str, files: Sequence[EncodedOutput], sidecar: MakeSidecar
) -> tuple[Output, ...]:
    outputs = named_outputs(stem, files)
    publish_result(root, stem, outputs, files, sidecar(outputs))
    return outputs


def copy(
    from_root: Path, stored: Sequence[Output], to_root: Path, stem: str, sidecar: MakeSidecar
) -> tuple[Output, ...] | None:
    """The copies; None where the stored result is not intact."""
    outputs = renamed_outputs(stem, stored)
    intact = copy_result(from_root, stored, to_root, stem, sidecar(outputs))
    return outputs if intact else None

"""Results published in one line, under a folder named by its path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.jobs import EncodedOutput, Output
from edge_matting.publish import publish_result

MakeSidecar = Callable[[tuple[Output, ...]], bytes]


def publish(
    root: Path, stem: str, files: Sequence[EncodedOutput], sidecar: MakeSidecar
) -> tuple[Output, ...]:
    return publish_result(AnchoredFolder(root), stem, files, sidecar)

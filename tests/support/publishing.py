"""Results published in one line, under a folder named by its path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.jobs import EncodedOutput, Output
from edge_matting.publish import publish_result


def publish(
    root: Path, stem: str, files: Sequence[EncodedOutput], description: Mapping[str, Any]
) -> tuple[Output, ...]:
    return publish_result(AnchoredFolder(root), stem, files, description)

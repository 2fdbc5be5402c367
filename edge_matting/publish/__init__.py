"""What leaves the appliance: outputs, sidecars and originals, each whole or not at all."""

from edge_matting.publish.accept import accept_result
from edge_matting.publish.originals import build_report, dispose
from edge_matting.publish.results import (
    copy_result,
    named_outputs,
    publish_result,
    remove_result,
    remove_stale,
    renamed_outputs,
    result_intact,
)
from edge_matting.publish.sidecar import build_sidecar, read_sidecar, sidecar_name

__all__ = [
    "accept_result",
    "build_report",
    "build_sidecar",
    "copy_result",
    "dispose",
    "named_outputs",
    "publish_result",
    "read_sidecar",
    "remove_result",
    "remove_stale",
    "renamed_outputs",
    "result_intact",
    "sidecar_name",
]

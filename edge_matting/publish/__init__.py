"""What leaves the appliance: outputs, sidecars and originals, each whole or not at all."""

from edge_matting.publish.accept import accept_result
from edge_matting.publish.originals import dispose
from edge_matting.publish.publication import digest_of
from edge_matting.publish.report import build_report
from edge_matting.publish.results import (
    copy_result,
    publish_result,
    remove_result,
    remove_stale,
    result_intact,
)
from edge_matting.publish.sidecar import (
    describe_result,
    published_stem,
    read_sidecar,
    sidecar_name,
    sidecar_outputs,
)

__all__ = [
    "accept_result",
    "build_report",
    "copy_result",
    "describe_result",
    "digest_of",
    "dispose",
    "publish_result",
    "published_stem",
    "read_sidecar",
    "remove_result",
    "remove_stale",
    "result_intact",
    "sidecar_name",
    "sidecar_outputs",
]

"""What a benchmark ran on: machine, versions and commit."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from edge_matting import __version__
from edge_matting.device import probe_device

PACKAGES = ("numpy", "opencv-python-headless", "pillow", "isal", "onnxruntime")
ROOT = Path(__file__).resolve().parents[2]


def machine() -> dict[str, str]:
    """Printed above every result."""
    profile = probe_device()
    return {
        "version": __version__,
        "commit": _commit(),
        "cpu": profile.cpu_model,
        "usable_cpus": f"{profile.usable_cpus:g}",
        "load_average": Path("/proc/loadavg").read_text("ascii").split()[0],
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _commit() -> str:
    try:
        head = _git("rev-parse", "--short=12", "HEAD").strip()
        changed = _git("status", "--porcelain", "--untracked-files=no", "edge_matting").strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def _git(*arguments: str) -> str:
    return subprocess.check_output(
        ("git", "-C", str(ROOT), *arguments), text=True, stderr=subprocess.DEVNULL
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"

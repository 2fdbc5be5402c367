"""Inference runtimes behind one narrow session protocol."""

from edge_matting.runtimes.installed import InstalledRuntime, installed_runtimes, runtime_problem
from edge_matting.runtimes.session import Session, SessionInfo

__all__ = ["InstalledRuntime", "Session", "SessionInfo", "installed_runtimes", "runtime_problem"]

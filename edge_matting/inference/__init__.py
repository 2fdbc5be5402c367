"""Models and the runtimes that run them, behind one narrow session protocol."""

from edge_matting.inference.catalog import Catalog, CatalogEntry, shipped_models_dir
from edge_matting.inference.manifest import Manifest, ModelFile
from edge_matting.inference.runtimes import Runtime, installed_runtimes, runtime_problem
from edge_matting.inference.session import Session, SessionInfo

__all__ = [
    "Catalog",
    "CatalogEntry",
    "Manifest",
    "ModelFile",
    "Runtime",
    "Session",
    "SessionInfo",
    "installed_runtimes",
    "runtime_problem",
    "shipped_models_dir",
]

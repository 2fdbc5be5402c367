"""Models: their manifests, the catalog, and bringing your own."""

from edge_matting.models.catalog import Catalog, CatalogEntry, shipped_models_dir
from edge_matting.models.manifest import Manifest, ModelFile

__all__ = ["Catalog", "CatalogEntry", "Manifest", "ModelFile", "shipped_models_dir"]

"""Write the known matte (golden.png) of a shipped model: the built-in photo on the processor.

    python -m tools.training.golden [MODEL_ID]

To be run when the model's file, or on purpose the finishing, gives another matte.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    from edge_matting.engine.models.golden import GOLDEN_NAME, matte_png
    from edge_matting.models import Catalog, shipped_models_dir
    from edge_matting.pipeline import PixelBudget, Tools
    from edge_matting.pipeline.self_test import sample_matte
    from edge_matting.runtimes.ort.session import OrtSession

    model_id = sys.argv[1] if len(sys.argv) > 1 else "default"
    catalog = Catalog(shipped_models_dir(), Path("/nonexistent"))
    manifest = catalog.get(model_id)
    session = OrtSession(manifest, catalog.verify(model_id))
    matte = sample_matte(Tools(session, manifest, PixelBudget(10**7), lambda _stage: None))
    path = catalog.path(model_id).parent / GOLDEN_NAME
    path.write_bytes(matte_png(matte))
    print(f"{path}: mean alpha {matte.mean() / 255:.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

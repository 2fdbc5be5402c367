"""A photo's matte at model size: from the cache where it is proven fit, else from the model."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from edge_matting.cache import MatteCache, fingerprint_of
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.providers import device_class
from edge_matting.matting import Look
from edge_matting.matting.exposure import equalised
from edge_matting.matting.preprocess import from_output, model_view, to_tensor
from edge_matting.models import Manifest
from edge_matting.pipeline.batching import joined
from edge_matting.pipeline.tasks import ModelRun, Stage
from edge_matting.runtimes import Session, SessionInfo

PREPROCESSING_VERSION: Final = 3
"""Rises when the same photo would reach the model with other pixels; older mattes are not used."""


def matte(
    view: Rgb,
    size: tuple[int, int],
    session: Session,
    manifest: Manifest,
    *,
    cache: MatteCache | None,
    stage: Stage,
    waiting: Callable[[], None],
) -> ModelRun:
    """The matte, h x w float32 in [0, 1], of the model's view of a photo.

    ``size`` is the photo's width and height. Concurrent duplicates wait for the first.
    """
    if cache is None:
        with stage("infer"):
            return ModelRun(infer(view, session, manifest), batch=joined(session))
    context = matte_context(manifest, session.describe())
    with stage("cache"):
        mark = fingerprint_of(view, size)
    with cache.turn(context, mark, waiting):
        with stage("cache"):
            answer = cache.find(context, mark, view)
        if answer.alpha is not None:
            return ModelRun(answer.alpha, answer.verdict, answer.evidence)
        begin = time.perf_counter()
        with stage("infer"):
            alpha = infer(view, session, manifest)
        together = joined(session)
        seconds = time.perf_counter() - begin
        with stage("cache"):
            cache.keep(context, mark, view, alpha, seconds)
    return ModelRun(alpha, "miss", answer.evidence, together)


def infer(rgb: Rgb, session: Session, manifest: Manifest) -> Alpha:
    """Alpha matte at model size, h x w float32 in [0, 1], of a photo or of the model's view."""
    tensor, geometry = to_tensor(rgb, manifest.input, session.describe().resolution)
    return from_output(session.run(tensor), manifest.output, geometry)


def matte_context(manifest: Manifest, info: SessionInfo) -> str:
    """Folder of the mattes that are interchangeable: ``model's sha256/how it was run``.

    A matte made at another resolution, precision or class of provider never serves, nor one made
    before the model's preparation of photos changed.
    """
    how = [
        PREPROCESSING_VERSION,
        manifest.model_dump(mode="json", include={"input", "output", "variants"}),
        device_class(info.actual_provider),
        info.precision,
        info.resolution,
    ]
    text = json.dumps(how, sort_keys=True)
    return f"{manifest.sha256}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def second_look(session: Session, manifest: Manifest, *, equalise: bool = False) -> Look:
    """Another matte of a part of a photo, for the gate: that part alone, and mirrored."""

    def look(part: Rgb) -> Alpha:
        view = model_view(part, manifest.input, session.describe().resolution)
        if equalise:
            view = equalised(view)
        mirrored = infer(view[:, ::-1].copy(), session, manifest)
        return np.ascontiguousarray(mirrored[:, ::-1])

    return look

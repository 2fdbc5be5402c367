"""A photo's matte at model size: from the cache where it is proven fit, else from the model."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from edge_matting.cache import MatteCache, fingerprint_of
from edge_matting.core.arrays import Alpha, Rgb
from edge_matting.core.providers import device_class
from edge_matting.imaging import Photo
from edge_matting.matting import Look
from edge_matting.matting.exposure import equalised
from edge_matting.matting.preprocess import from_output, model_view, to_tensor
from edge_matting.models import Manifest
from edge_matting.pipeline.batching import joined
from edge_matting.runtimes import Session, SessionInfo

PREPROCESSING_VERSION: Final = 3
"""Rises when the same photo would reach the model with other pixels; older mattes are not used."""

Stage: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Times what is done within it."""


@dataclass(frozen=True, slots=True, eq=False)
class Matted:
    """A matte at model size (h x w float32 in [0, 1]) and where it came from.

    ``cache`` is ``miss``, ``matte`` or ``perceptual``; ``evidence`` holds the distances to the
    nominated photo, empty where none was near; with ``miss`` they are why it was refused.
    """

    alpha: Alpha
    cache: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    batch: int = 1  # photos whose inference ran together; 1 where none ran


def matte(
    photo: Photo,
    session: Session,
    manifest: Manifest,
    *,
    cache: MatteCache | None,
    stage: Stage,
    waiting: Callable[[], None],
    equalise: bool = False,
) -> Matted:
    """The photo's matte; of doubles that come at once the others wait for the first.

    ``equalise`` makes a very dark or blown-out view legible for the model.
    """
    info = session.describe()
    view = model_view(photo.rgb, manifest.input, info.resolution)
    if equalise:
        view = equalised(view)
    if cache is None:
        with stage("infer"):
            return Matted(infer(view, session, manifest), "miss", batch=joined(session))
    context = matte_context(manifest, info)
    with stage("cache"):
        mark = fingerprint_of(view, (photo.rgb.shape[1], photo.rgb.shape[0]))
    with cache.turn(context, mark, waiting):
        with stage("cache"):
            answer = cache.find(context, mark, view)
        if answer.alpha is not None:
            return Matted(answer.alpha, answer.verdict, answer.evidence)
        begin = time.perf_counter()
        with stage("infer"):
            alpha = infer(view, session, manifest)
        together = joined(session)
        seconds = time.perf_counter() - begin
        with stage("cache"):
            cache.keep(context, mark, view, alpha, seconds)
    return Matted(alpha, "miss", answer.evidence, together)


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

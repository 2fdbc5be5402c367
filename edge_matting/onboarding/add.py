"""Adding a model: read its graph, try it on real photos, keep it only if a matte comes out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from edge_matting.core.durable import durable_write, make_folders, read_chunks
from edge_matting.core.errors import InferenceFailed, ModelError, OutOfMemory
from edge_matting.core.model_ids import current_id
from edge_matting.core.model_io import InputSize
from edge_matting.models.catalog import Catalog, file_sha256
from edge_matting.models.graph.facts import GraphFacts
from edge_matting.models.manifest import MANIFEST_NAME, Manifest, check_id
from edge_matting.onboarding.families import FAMILY_NAMES, TRUSTED, Family, recognise
from edge_matting.onboarding.judge import (
    FLAT,
    Matte,
    MatteStatistics,
    Tensor,
    TrialScore,
    choose,
    judge,
    output_form,
    statistics_of,
    turned,
)
from edge_matting.onboarding.normalisation import NORMALISATIONS
from edge_matting.onboarding.propose import (
    OnboardingOptions,
    normalisation_name,
    normalisation_named,
    propose_manifest,
)
from edge_matting.runtimes.registry import open_session, read_graph
from edge_matting.runtimes.session import Session

_SIDES: Final = (1024, 512, 320, 256, 224)
"""What is tried where a graph says that any size will do, and then refuses its family's."""

_USUAL_SIDES: Final = (320, 256)
"""What is compared with the first side where any will do and no family is known."""

_COMMON: Final = ("unit", "half", "imagenet")

_BETTER: Final = 0.9
"""A smaller side must do better by this ratio: it costs detail."""

_LARGE_BYTES: Final = 64_000_000
"""A recognised network larger than this is taken at its word: a run takes it many seconds."""

_FIRST_PHOTOS: Final = 4
_HOPELESS: Final = 1.5
"""After the first photos, what is so many times worse than the best is not tried further."""


FAR_OFF: Final = 0.25
"""Mean absolute difference from the shipped model's mattes beyond which a matte is another thing.
On the built-in photos an empty matte, a full one and noise are 0.48 to 0.52 off, and the mattes of
three networks of other makers, fed as they want it, 0.04 to 0.2; brightness alone gets to 0.3."""


class Trial(Protocol):
    """The built-in photos, with preprocessing and the decoding of outputs, which belong to the
    matting stage: this layer may not import it."""

    @property
    def photos(self) -> int:
        """How many there are."""

    def output(self, manifest: Manifest, session: Session, photo: int) -> Tensor:
        """What the graph itself answers to one photo."""

    def matte(
        self, manifest: Manifest, session: Session, photo: int, *, mirrored: bool = False
    ) -> Matte:
        """The matte of one photo, h x w float32 in [0, 1] at the model's size; ``mirrored`` feeds
        the photo left to right and turns the matte back."""


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added, and why it was believed."""

    manifest: Manifest
    family: Family
    normalisation: str
    scores: Mapping[str, TrialScore]  # by normalisation; empty where none was tried
    statistics: MatteStatistics


def add_model(
    catalog: Catalog,
    path: Path,
    trial: Trial,
    *,
    model_id: str | None = None,
    answers: OnboardingOptions | None = None,
    reference: Sequence[Matte] | None = None,
) -> Added:
    """Copy the model file ``path`` into the catalog after it has proved itself in ``trial``.

    ``reference`` are mattes of the trial's photos that a known good model made; without them the
    normalisation is the family's. Raises ``ModelError`` for an id that is taken or no id, a file
    that is no plain file, a graph that fits no manifest, and a flat matte; ``SessionError`` for a
    file that cannot be loaded.
    """
    answers = answers or OnboardingOptions()
    chosen = _free_id(catalog, model_id or default_id(path))
    sha256 = file_sha256(path)  # refuses links and devices before anything opens them
    facts = read_graph(path)
    family = recognise(facts)
    draft = propose_manifest(path, facts, family, answers, model_id=chosen, sha256=sha256)
    session = open_session(draft, path, draft.files[0])
    try:
        tried = _Tried(path, session, trial, answers, reference)
        added = tried.settle_draft(draft, facts, family)
    finally:
        session.close()
    _store(catalog, path, added.manifest)
    return added


def default_id(path: Path) -> str:
    """An id made from a file's name."""
    kept = "".join(c if c.isalnum() and c.isascii() else "-" for c in path.stem.lower())
    return kept.strip("-")[:64] or "model"


def _free_id(catalog: Catalog, model_id: str) -> str:
    try:
        check_id(model_id)
    except ValueError as error:
        raise ModelError(f"{model_id!r} is no model id: {error}") from error
    if model_id != current_id(model_id):
        raise ModelError(
            f"{model_id} is the former id of the model {current_id(model_id)}",
            hint="choose another with --id",
        )
    if any(entry.id == model_id for entry in catalog.list()):
        raise ModelError(f"there is a model {model_id} already", hint="choose another with --id")
    return model_id


@dataclass(frozen=True, slots=True)
class _Tried:
    """A draft run on the photos and corrected by what comes out."""

    path: Path
    session: Session
    trial: Trial
    answers: OnboardingOptions
    reference: Sequence[Matte] | None

    def settle_draft(self, draft: Manifest, facts: GraphFacts, family: Family) -> Added:
        draft, outputs = self._first_run(draft)
        maker = facts.makers.get(draft.output.name, "")
        draft = _with(draft, output=output_form(draft.output, outputs, maker))
        usual = normalisation_name(family, self.answers)
        names = self._names(draft, family, usual)
        draft = self._at_best_side(draft, family, names)
        scores = {} if self.reference is None else self._scores(draft, names, self.reference)
        name = choose(scores, usual, family.trust) if scores else usual
        self._check_likeness(scores, name)
        manifest = self._normalised(draft, name)
        if name in scores and scores[name].inverted:
            manifest = _with(manifest, output=turned(manifest.output))
        return Added(manifest, family, name, scores, self._statistics(manifest))

    def _check_likeness(self, scores: Mapping[str, TrialScore], best: str) -> None:
        """Where nothing was said of how to feed it, one way must give mattes like the shipped."""
        if len(scores) < 2 or scores[best].disagreement <= FAR_OFF:
            return
        raise ModelError(
            f"{self.path}: however its input is normalised, its mattes are unlike those of the "
            f"shipped model: the least unlike, {best}, is {scores[best].disagreement:.2f} off on "
            f"average, where {FAR_OFF} is the most",
            hint="name what its makers say: --preset, or --mean and --std; --output; --size",
        )

    def _first_run(self, draft: Manifest) -> tuple[Manifest, list[Tensor]]:
        """The graph's own answers at the first size that it takes."""
        failures = []
        photos = range(self.trial.photos)
        for size in _sizes(draft.input.size, self.answers):
            candidate = _with(draft, input=replace(draft.input, size=size))
            try:
                outputs = [self.trial.output(candidate, self.session, photo) for photo in photos]
            except (InferenceFailed, OutOfMemory) as error:
                failures.append(f"at {size.width} x {size.height}: {error.message}")
            else:
                return candidate, outputs
        raise ModelError(
            f"{self.path}: it does not run: {failures[0]}",
            hint="name its size with --size WIDTHxHEIGHT",
        )

    def _names(self, draft: Manifest, family: Family, usual: str) -> tuple[str, ...]:
        """The normalisations to try."""
        known = family.trust >= TRUSTED and self.path.stat().st_size > _LARGE_BYTES
        named = self.answers.preset is not None or self.answers.normalisation is not None
        given = named or draft.input.dtype == "uint8"
        return (usual,) if known or given else tuple(NORMALISATIONS)

    def _at_best_side(self, draft: Manifest, family: Family, names: tuple[str, ...]) -> Manifest:
        """The draft, smaller if it does clearly better so. Judged on few photos and the usual
        normalisations: the right one does best at any size."""
        if self.reference is None:
            return draft
        best, least = draft, self._disagreement(draft, names, self.reference)
        for size in _other_sizes(draft.input.size, self.answers, family):
            other = _with(draft, input=replace(draft.input, size=size))
            found = self._disagreement(other, names, self.reference)
            if found < _BETTER * least:
                best, least = other, found
        return best

    def _disagreement(
        self, draft: Manifest, names: tuple[str, ...], reference: Sequence[Matte]
    ) -> float:
        photos = range(self.trial.photos)[:_FIRST_PHOTOS]
        usual = [name for name in names if name in _COMMON] or names
        scores = [
            self._score(self._normalised(draft, name), photos, reference, mirror=False)
            for name in usual
        ]
        return min((score.total for score in scores if score), default=math.inf)

    def _scores(
        self, draft: Manifest, names: tuple[str, ...], reference: Sequence[Matte]
    ) -> dict[str, TrialScore]:
        photos = range(self.trial.photos)
        found = self._judged(draft, names, photos[:_FIRST_PHOTOS], reference)
        least = min((score.total for score in found.values()), default=0.0)
        likely = [name for name in found if found[name].total <= _HOPELESS * least]
        if len(likely) > 1 and len(photos) > _FIRST_PHOTOS:
            found |= self._judged(draft, likely, photos, reference)
        return found

    def _judged(
        self, draft: Manifest, names: Iterable[str], photos: range, reference: Sequence[Matte]
    ) -> dict[str, TrialScore]:
        scores = {
            name: self._score(self._normalised(draft, name), photos, reference) for name in names
        }
        return {name: score for name, score in scores.items() if score is not None}

    def _score(
        self,
        manifest: Manifest,
        photos: range,
        reference: Sequence[Matte],
        *,
        mirror: bool = True,
    ) -> TrialScore | None:
        """None for a way of feeding that gives no matte, or a flat one."""
        known = [reference[photo] for photo in photos]
        try:
            mattes = [self.trial.matte(manifest, self.session, photo) for photo in photos]
            if statistics_of(mattes).deviation < FLAT:
                return None
            if not mirror:
                return judge(mattes, mattes, known)
            mirrored = [
                self.trial.matte(manifest, self.session, photo, mirrored=True) for photo in photos
            ]
        except (InferenceFailed, OutOfMemory):
            return None
        return judge(mattes, mirrored, known)

    def _normalised(self, draft: Manifest, name: str) -> Manifest:
        """``draft`` with another normalisation."""
        spec = draft.input
        return _with(draft, input=normalisation_named(name, spec.dtype, self.answers).applied(spec))

    def _statistics(self, manifest: Manifest) -> MatteStatistics:
        photos = range(self.trial.photos)
        try:
            found = statistics_of(
                [self.trial.matte(manifest, self.session, photo) for photo in photos]
            )
        except InferenceFailed as error:
            raise ModelError(f"{self.path}: it gives no matte: {error.message}") from error
        if found.deviation < FLAT:
            raise ModelError(
                f"{self.path}: its mattes of the built-in photos are flat "
                f"(from {found.minimum:.3f} to {found.maximum:.3f})",
                hint="name its normalisation with --preset, or its output with --output",
            )
        return found


def _sizes(size: InputSize, answers: OnboardingOptions) -> list[InputSize]:
    if size.rule == "fixed" or answers.size is not None:
        return [size]
    others = [replace(size, width=side, height=side) for side in _SIDES]
    return [size, *(other for other in others if other != size)]


def _other_sizes(size: InputSize, answers: OnboardingOptions, family: Family) -> list[InputSize]:
    given = answers.size is not None or answers.preset in FAMILY_NAMES or family.trust >= TRUSTED
    if size.rule == "fixed" or given:
        return []
    return [replace(size, width=side, height=side) for side in _USUAL_SIDES if side < size.width]


def _with(manifest: Manifest, **changes: object) -> Manifest:
    values = {name: getattr(manifest, name) for name in Manifest.model_fields}
    return Manifest.model_validate({**values, **changes})


def _store(catalog: Catalog, path: Path, manifest: Manifest) -> None:
    folder = catalog.added_dir / manifest.id
    make_folders(folder)
    durable_write(folder / manifest.file, read_chunks(path), mode=0o644)
    if file_sha256(folder / manifest.file) != manifest.sha256:
        raise ModelError(f"{path}: changed while it was copied", hint="add it again")
    durable_write(folder / MANIFEST_NAME, manifest.as_yaml().encode(), mode=0o644)

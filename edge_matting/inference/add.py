"""Adding a model: read its graph, try it on real photos, keep it only if a matte comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

from edge_matting.core.durable import durable_write, make_folders, read_chunks
from edge_matting.core.errors import InferenceFailed, ModelError, OutOfMemory
from edge_matting.core.tensors import InputSize
from edge_matting.inference.backends import open_session, read_graph
from edge_matting.inference.catalog import Catalog, file_sha256
from edge_matting.inference.families import Family, recognise
from edge_matting.inference.graph import GraphFacts
from edge_matting.inference.judge import (
    FLAT,
    Matte,
    MatteStatistics,
    Tensor,
    Verdict,
    choose,
    judge,
    output_form,
    statistics_of,
    turned,
)
from edge_matting.inference.manifest import MANIFEST_NAME, Manifest, check_id
from edge_matting.inference.normalisation import NORMALISATIONS
from edge_matting.inference.propose import Answers, normalisation_name, propose_manifest
from edge_matting.inference.session import Session

_SIDES: Final = (1024, 512, 320, 256, 224)
"""What is tried where a graph says that any size will do, and then refuses its family's."""

_NOTHING: Final = MappingProxyType[str, Verdict]({})


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
    verdicts: MappingProxyType[str, Verdict]  # by normalisation; empty where none was to be chosen
    statistics: MatteStatistics


def add_model(
    catalog: Catalog,
    path: Path,
    trial: Trial,
    *,
    model_id: str | None = None,
    answers: Answers | None = None,
    reference: Sequence[Matte] | None = None,
) -> Added:
    """Copy the model file ``path`` into the catalog after it has proved itself in ``trial``.

    ``reference`` are mattes of the trial's photos that a known good model made; without them the
    normalisation is the family's. Raises ``ModelError`` for an id that is taken or no id, a file
    that is no plain file, a graph that fits no manifest, and a flat matte; ``SessionError`` for a
    file that cannot be loaded.
    """
    answers = answers or Answers()
    chosen = _free_id(catalog, model_id or default_id(path))
    sha256 = file_sha256(path)  # refuses links and devices before anything opens them
    facts = read_graph(path)
    family = recognise(facts)
    draft = propose_manifest(path, facts, family, answers, model_id=chosen, sha256=sha256)
    added = _settle(draft, path, facts, family, trial, answers, reference)
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
    if any(entry.id == model_id for entry in catalog.list()):
        raise ModelError(f"there is a model {model_id} already", hint="choose another with --id")
    return model_id


def _settle(
    draft: Manifest,
    path: Path,
    facts: GraphFacts,
    family: Family,
    trial: Trial,
    answers: Answers,
    reference: Sequence[Matte] | None,
) -> Added:
    """Run the draft on the photos and correct it by what comes out."""
    session = open_session(draft, path, draft.files[0])
    try:
        draft, outputs = _first_run(draft, session, trial, path, answers)
        maker = facts.makers.get(draft.output.name, "")
        draft = _with(draft, output=output_form(draft.output, outputs, maker))
        usual = normalisation_name(family, answers)
        if answers.preset is not None or draft.input.dtype == "uint8" or reference is None:
            names: tuple[str, ...] = (usual,)
        else:
            names = tuple(NORMALISATIONS)
        drafts = {name: _normalised(draft, name) for name in names}
        verdicts = {
            name: verdict
            for name, each in drafts.items()
            if (verdict := _verdict(each, session, trial, reference)) is not None
        }
        name = choose(verdicts, usual, family.trust) if verdicts else usual
        manifest = drafts[name]
        if name in verdicts and verdicts[name].inverted:
            manifest = _with(manifest, output=turned(manifest.output))
        statistics = _statistics(manifest, session, trial, path)
    finally:
        session.close()
    told = MappingProxyType(verdicts) if len(names) > 1 else _NOTHING
    return Added(manifest, family, name, told, statistics)


def _first_run(
    draft: Manifest, session: Session, trial: Trial, path: Path, answers: Answers
) -> tuple[Manifest, list[Tensor]]:
    """The graph's own answers, at the first size that it takes."""
    failures = []
    for size in _sizes(draft.input.size, answers):
        candidate = _with(draft, input=replace(draft.input, size=size))
        try:
            return candidate, [
                trial.output(candidate, session, photo) for photo in range(trial.photos)
            ]
        except (InferenceFailed, OutOfMemory) as error:
            failures.append(f"at {size.width} x {size.height}: {error.message}")
    raise ModelError(
        f"{path}: it does not run: {failures[0]}", hint="name its size with --size WIDTHxHEIGHT"
    )


def _sizes(size: InputSize, answers: Answers) -> list[InputSize]:
    if size.rule == "fixed" or answers.size is not None:
        return [size]
    others = [replace(size, width=side, height=side) for side in _SIDES]
    return [size, *(other for other in others if other != size)]


def _verdict(
    manifest: Manifest, session: Session, trial: Trial, reference: Sequence[Matte] | None
) -> Verdict | None:
    """None for a way of feeding that gives no matte, or a flat one."""
    if reference is None:
        return None
    photos = range(trial.photos)
    try:
        mattes = [trial.matte(manifest, session, photo) for photo in photos]
        mirrored = [trial.matte(manifest, session, photo, mirrored=True) for photo in photos]
    except InferenceFailed:
        return None
    if statistics_of(mattes).deviation < FLAT:
        return None
    return judge(mattes, mirrored, reference)


def _statistics(
    manifest: Manifest, session: Session, trial: Trial, path: Path
) -> MatteStatistics:
    try:
        found = statistics_of(
            [trial.matte(manifest, session, photo) for photo in range(trial.photos)]
        )
    except InferenceFailed as error:
        raise ModelError(f"{path}: it gives no matte: {error.message}") from error
    if found.deviation < FLAT:
        raise ModelError(
            f"{path}: its mattes of the built-in photos are flat "
            f"(from {found.minimum:.3f} to {found.maximum:.3f})",
            hint="name its normalisation with --preset, or its output with --output",
        )
    return found


def _normalised(draft: Manifest, name: str) -> Manifest:
    if draft.input.dtype == "uint8":
        return draft
    return _with(draft, input=NORMALISATIONS[name].applied(draft.input))


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

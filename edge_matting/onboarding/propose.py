"""A manifest proposed from a graph and its family; a trial decides the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from edge_matting.core.errors import ModelError
from edge_matting.core.model_io import ConstantInput, InputSize, ModelInput, ModelOutput
from edge_matting.core.providers import RUNTIMES
from edge_matting.core.tasks import MATTING
from edge_matting.models.graph.facts import GraphFacts, TensorFacts
from edge_matting.models.manifest import Manifest
from edge_matting.onboarding.families import (
    FAMILIES,
    FAMILY_NAMES,
    Family,
    channels_of,
    is_photo,
)
from edge_matting.onboarding.normalisation import NORMALISATIONS, Normalisation

PRESETS: Final = (*NORMALISATIONS, *FAMILY_NAMES)
"""What ``--preset`` takes: a normalisation, or a family and with it its normalisation and size."""

_KINDS: Final[MappingProxyType[int, Literal["alpha", "two_class", "rgba"]]] = MappingProxyType(
    {1: "alpha", 2: "two_class", 4: "rgba"}
)
GIVEN: Final = "given"
"""The name of the normalisation that the user has spelled out."""

MAX_PIXELS: Final = 64_000_000
"""Of one picture that a model may be fed: 12 bytes each, before anything is computed."""

_FREE_MULTIPLE: Final = 32  # what five halvings need; no family asks for more


@dataclass(frozen=True, slots=True)
class OnboardingOptions:
    """What the user states; None leaves it to the graph, the family and the trial."""

    preset: str | None = None
    output: str | None = None
    size: tuple[int, int] | None = None  # width, height
    normalisation: Normalisation | None = None  # its means and deviations

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> OnboardingOptions:
        size, own = body["size"], body["normalisation"]
        return cls(
            body["preset"],
            body["output"],
            None if size is None else (size[0], size[1]),
            None if own is None else Normalisation.from_json(own),
        )


def propose_manifest(
    path: Path,
    facts: GraphFacts,
    family: Family,
    answers: OnboardingOptions,
    *,
    model_id: str,
    sha256: str,
) -> Manifest:
    """The first draft of the manifest of ``path``.

    Raises ``ModelError`` when the graph is no matting model or does not fit the answers.
    """
    photo, constants = _inputs(path, facts)
    family = next((known for known in FAMILIES if known.name == answers.preset), family)
    output = _output(path, facts, answers.output)
    values = {
        "id": model_id,
        "version": "1",
        "name": path.stem,
        "task": MATTING,
        "file": f"model{RUNTIMES[facts.backend].suffix}",
        "sha256": sha256,
        "backend": facts.backend,
        "precision": facts.precision,
        "input": _input(path, photo, constants, family, answers),
        "output": ModelOutput(output.name, _KINDS.get(channels_of(output) or 1, "alpha")),
        "licence": "unknown",
        "provenance": f"added from {path.name}",
    }
    return Manifest.model_validate(values)


def normalisation_name(family: Family, answers: OnboardingOptions) -> str:
    """The normalisation to start from."""
    if answers.normalisation is not None:
        return GIVEN
    if answers.preset is None:
        return family.normalisation
    known = next((each for each in FAMILIES if each.name == answers.preset), None)
    if known is None and answers.preset not in NORMALISATIONS:
        raise ModelError(f"unknown preset {answers.preset}", hint=f"known: {', '.join(PRESETS)}")
    return answers.preset if known is None else known.normalisation


def _inputs(path: Path, facts: GraphFacts) -> tuple[TensorFacts, tuple[ConstantInput, ...]]:
    """The input for the photo, and what the others are fed."""
    photos = [each for each in facts.inputs if is_photo(each)]
    found = ", ".join(map(str, facts.inputs)) or "none"
    if len(photos) != 1:
        raise ModelError(f"{path}: expected one input for a photo with 3 channels, found {found}")
    others = [each for each in facts.inputs if each is not photos[0]]
    ranks = {len(each.shape or ()) for each in others}
    if others and (len(others) != 5 or ranks != {1, 4}):
        raise ModelError(
            f"{path}: it wants more than a photo, and its inputs are not those of "
            f"RobustVideoMatting: {found}",
            hint="export the part that takes one photo",
        )
    return photos[0], tuple(_constant(each) for each in others)


def _constant(tensor: TensorFacts) -> ConstantInput:
    """No memory of earlier pictures (a zero that is broadcast), and no down-sampling."""
    if len(tensor.shape or ()) == 4:
        return ConstantInput(tensor.name, (1, 1, 1, 1), 0.0, tensor.dtype)  # type: ignore[arg-type]
    return ConstantInput(tensor.name, (1,), 1.0, tensor.dtype)  # type: ignore[arg-type]


def _input(
    path: Path,
    photo: TensorFacts,
    constants: tuple[ConstantInput, ...],
    family: Family,
    answers: OnboardingOptions,
) -> ModelInput:
    if photo.dtype not in ("float32", "float16", "uint8"):
        raise ModelError(f"{path}: input {photo.name} is {photo.dtype}, which is not fed here")
    assert photo.shape is not None
    first = photo.shape[1] == 3
    height, width = photo.shape[2:] if first else photo.shape[1:3]
    spec = ModelInput(
        photo.name,
        _size(path, (width, height), family.side, answers.size),
        "nchw" if first else "nhwc",
        photo.dtype,  # type: ignore[arg-type]
        batch=photo.shape[0],
        constants=constants,
    )
    if spec.size.width * spec.size.height > MAX_PIXELS:
        raise ModelError(
            f"{path}: it takes photos of {spec.size.width} x {spec.size.height}; "
            f"{MAX_PIXELS / 1e6:.0f} megapixels are the most that a model is fed",
            hint="export it for a smaller size",
        )
    return normalisation_named(normalisation_name(family, answers), photo.dtype, answers).applied(
        spec
    )


def normalisation_named(name: str, dtype: str, answers: OnboardingOptions) -> Normalisation:
    """The normalisation of that name; bytes are fed as they are."""
    if dtype == "uint8":
        return NORMALISATIONS["raw"]
    if name == GIVEN and answers.normalisation is not None:
        return answers.normalisation
    return NORMALISATIONS[name]


def _size(
    path: Path,
    sides: tuple[int | None, int | None],
    usual: int,
    wanted: tuple[int, int] | None,
) -> InputSize:
    width, height = sides
    if width is not None and height is not None:
        if wanted not in (None, (width, height)):
            raise ModelError(f"{path}: it takes photos of {width} x {height} only")
        return InputSize(width, height)
    if wanted is not None:
        return InputSize(*wanted, "multiple_of", multiple=_FREE_MULTIPLE)
    side = width or height or usual
    return InputSize(width or side, height or side, "multiple_of", multiple=_FREE_MULTIPLE)


def _output(path: Path, facts: GraphFacts, wanted: str | None) -> TensorFacts:
    """The output most like a matte: one channel before two or four, the largest, the first."""
    if wanted is not None:
        found = [each for each in facts.outputs if each.name == wanted]
        if not found:
            names = ", ".join(each.name for each in facts.outputs)
            raise ModelError(f"{path}: no output is called {wanted}; there is {names}")
        return found[0]
    possible = [each for each in facts.outputs if _may_be_matte(each)]
    if not possible:
        outputs = ", ".join(map(str, facts.outputs))
        raise ModelError(f"{path}: none of its outputs can be a matte: {outputs}")
    return min(possible, key=_unlikeness)


def _may_be_matte(tensor: TensorFacts) -> bool:
    if tensor.shape is None:
        return True
    picture = len(tensor.shape) == 2 or channels_of(tensor) in (None, 1, 2, 4)
    return len(tensor.shape) in (2, 3, 4) and picture


def _unlikeness(tensor: TensorFacts) -> tuple[int, int]:
    channels = channels_of(tensor)
    shape: Sequence[int | None] = tensor.shape or ()
    area = 1
    for side in shape[1:]:
        area *= side or 1
    order = (1, 2, 4, None)
    return (order.index(channels) if channels in order else len(order), -area)

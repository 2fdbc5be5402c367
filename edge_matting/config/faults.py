"""What pydantic found wrong, in the words of a person who edits YAML or sends JSON."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from edge_matting.core.errors import ConfigError


def config_error(faults: Iterable[str]) -> ConfigError:
    unique = tuple(dict.fromkeys(faults))
    return ConfigError("\n".join(unique), faults=unique)


def faults_of(error: ValidationError, root: type[BaseModel]) -> Iterator[str]:
    """``path.to.key: what is wrong``, one line per key of ``root``.

    The alternatives of a union are reported together.
    """
    by_key: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for fault in error.errors():
        location = tuple(part for part in fault["loc"] if part not in _UNION_TAGS)
        key = _dotted(location)
        by_key.setdefault(key, []).append(_wrong(fault["type"], str(fault["msg"]), location, root))
        if not isinstance(fault["input"], dict | list) and fault["type"] != "extra_forbidden":
            shown[key] = f", got {fault['input']!r}"
    for key, messages in by_key.items():
        yield f"{key}: {' or '.join(dict.fromkeys(messages))}{shown.get(key, '')}"


_UNION_TAGS: Final = frozenset({"literal['auto']", "constrained-int", "constrained-float", "[key]"})
"""Parts that pydantic adds to a location and that are no keys of ours."""


def _wrong(kind: str, message: str, location: Sequence[int | str], root: type[BaseModel]) -> str:
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(location, root)}"
    for theirs, ours in (("Value error, ", ""), ("Input should be ", "expected ")):
        message = message.replace(theirs, ours)
    return message.replace("an object", "keys with values").replace("valid array", "list")


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "(top level)"


def _nearest(location: Sequence[int | str], root: type[BaseModel]) -> str:
    valid = _valid_keys(location[:-1], root)
    close = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known here: {', '.join(valid)}"


def _valid_keys(parents: Sequence[int | str], root: type[BaseModel]) -> list[str]:
    model = root
    for part in parents:
        if isinstance(part, str) and part in model.model_fields:
            inner = _model_in(model.model_fields[part].annotation)
            model = inner or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings class inside ``X``, ``X | None``, ``tuple[X, ...]`` or ``dict[str, X]``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    found = (_model_in(inner) for inner in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)

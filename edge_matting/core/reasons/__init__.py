"""Why something is so: a code with its values, and the sentence for people.

Each reason is worded once per language, in the tables of this package: ``{name}`` is the place of
a value, ``{n:photo|photos}`` a value and its noun in the singular or plural. The log and the API
have the English sentence; who speaks another language asks for it by code and values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

from edge_matting.core.reasons import (
    actions,
    device,
    folders,
    notes,
    photos,
    pictures,
    planning,
    states,
    work,
)

Value: TypeAlias = str | int | float
"""What a reason may carry: shown as it stands, a reason in the language of the sentence."""

WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        **actions.WORDS,
        **work.WORDS,
        **folders.WORDS,
        **device.WORDS,
        **planning.WORDS,
        **photos.WORDS,
        **notes.WORDS,
        **pictures.WORDS,
        **states.WORDS,
        # What a driver, a runtime or the operating system says: not ours to translate.
        "verbatim": {"en": "{text}", "zh": "{text}"},
    }
)
"""Every reason's sentence by code and language."""

LANGUAGES: Final = ("en", "zh")

PLACE: Final = re.compile(r"\{(\w+)(?::([^|{}]*)\|([^{}]*))?\}")


@final
class Reason(str):
    """An English sentence that also knows its code and values."""

    __slots__ = ("code", "values")

    code: str
    values: Mapping[str, Value]

    def __new__(cls, code: str, /, **values: Value) -> Reason:
        reason = super().__new__(cls, sentence("en", code, values))
        reason.code = code
        reason.values = MappingProxyType(values)
        return reason

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, handler: Callable[[type], Any]) -> Any:
        """To whoever reads answers a reason is its sentence."""
        return handler(str)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: object, _handler: object) -> dict[str, str]:
        return {"type": "string", "format": "reason"}

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled by what it was made of."""
        return _made, (self.code, dict(self.values))

    @classmethod
    def of(cls, text: str) -> Reason:
        """The reason that ``text`` is, else one that quotes it."""
        return text if isinstance(text, Reason) else cls("verbatim", text=text)

    @classmethod
    def all_of(cls, texts: Iterable[str]) -> tuple[Reason, ...]:
        """Each text as a reason, each once."""
        return tuple(dict.fromkeys(map(cls.of, texts)))

    @classmethod
    def joined(cls, reasons: Sequence[Reason]) -> Reason:
        """Several as one; at least one is given."""
        first, *rest = reasons
        return cls("several", first=first, rest=cls.joined(rest)) if rest else first

    @property
    def innermost(self) -> Reason:
        """Without the hint that may be around it."""
        what = self.values.get("what")
        return what if self.code == "with_hint" and isinstance(what, Reason) else self

    def coded(self) -> dict[str, Any]:
        """As JSON: ``{"code": ..., "values": {...}}``."""
        values = {
            name: value.coded() if isinstance(value, Reason) else value
            for name, value in self.values.items()
        }
        return {"code": self.code, "values": values}

    @classmethod
    def from_coded(cls, told: Any) -> Reason:
        """The reason that ``coded`` wrote; plain text is quoted."""
        if not isinstance(told, Mapping):
            return cls.of(str(told))
        values = {
            str(name): cls.from_coded(value) if isinstance(value, Mapping) else value
            for name, value in told["values"].items()
        }
        return cls(str(told["code"]), **values)

    def in_language(self, language: str) -> str:
        """The sentence in that language."""
        return sentence(language, self.code, self.values)


def sentence(language: str, code: str, values: Mapping[str, Value]) -> str:
    """The words of ``code`` with ``values`` in their places; a code without words as it is."""
    words = WORDS.get(code, {}).get(language)
    if words is None:
        return " ".join([code, *(f"{name}={value}" for name, value in values.items())])
    return filled(words, values, language)


def filled(words: str, values: Mapping[str, Value], language: str = "en") -> str:
    """``words`` with the values in their places; one that is missing leaves its place."""

    def put(place: re.Match[str]) -> str:
        name, one, many = place.groups()
        if name not in values:
            return place[0]
        value = values[name]
        text = value.in_language(language) if isinstance(value, Reason) else _shown(value)
        if one is None:
            return text
        return f"{text} {one if text == '1' else many}"

    return PLACE.sub(put, words)


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _made(code: str, values: Mapping[str, Value]) -> Reason:
    return Reason(code, **values)

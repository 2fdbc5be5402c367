"""The wire format of protocol buffers, as far as reading needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = "int | memoryview"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field; strings, packed numbers and messages stay views.

    Raises ``WireError`` where the bytes are no message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise WireError("field 0")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise WireError(f"wire type {kind}")
        if at + length > len(message):
            raise WireError("it ends inside a field")
        yield number, message[at : at + length]
        at += length


def numbers(value: Value) -> list[int]:
    """A repeated integer field's part: one number, or many packed ones."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def text(value: Value) -> str:
    if isinstance(value, int):
        raise WireError("a number where text belongs")
    return bytes(value).decode("utf-8", "replace")


def message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise WireError("a number where a message belongs")
    return value


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("it ends inside a number")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            # Negative numbers are written as ten bytes of two's complement.
            return (result - (1 << 64) if result >= 1 << 63 else result), at
    raise WireError("a number of more than ten bytes")

"""One line of the doctor's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from edge_matting.config import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and whether it is well."""

    what: str
    found: str
    well: bool = True

    def __str__(self) -> str:
        return f"{'ok  ' if self.well else 'FAIL'} {self.what}: {self.found}"


Check: TypeAlias = Callable[[Settings], Iterator[Finding]]

"""Notes on a result: what was left out of its source, what the cache cannot do."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "first_frame": {
            "en": "several frames or pages: the first was taken",
            "zh": "有多帧或多页：取第一帧",
        },
    }
)

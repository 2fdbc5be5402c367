"""Every text of the pages, by language; templates and scripts have none of their own.

A further language is one more module with the same keys, and one more line here. Reasons (why it
does not work, the plan, failures, reviews) are worded beside each other in `core.reasons`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from edge_matting.core import reasons
from edge_matting.status.texts_chinese import CHINESE
from edge_matting.status.texts_english import ENGLISH

TEXTS: Final = MappingProxyType({"en": ENGLISH, "zh": CHINESE})
NAMES: Final = MappingProxyType({"en": "English", "zh": "中文"})


def reason_texts(language: str) -> dict[str, str]:
    """The sentence of each reason's code in that language."""
    return {code: words[language] for code, words in reasons.WORDS.items()}

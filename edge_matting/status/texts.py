"""Every text of the pages, by language; templates and scripts have none of their own.

A further language is one more module with the same keys, and one more line here. What the
appliance itself says (reasons, notes) is translated by its English words: `texts_said`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from edge_matting.status.message_translations import IN_CHINESE
from edge_matting.status.texts_chinese import CHINESE
from edge_matting.status.texts_english import ENGLISH

TEXTS: Final = MappingProxyType({"en": ENGLISH, "zh": CHINESE})
SAID: Final = MappingProxyType({"en": MappingProxyType[str, str]({}), "zh": IN_CHINESE})
"""The appliance's own sentences by their English ones; those of the log and the API stay so."""
NAMES: Final = MappingProxyType({"en": "English", "zh": "中文"})

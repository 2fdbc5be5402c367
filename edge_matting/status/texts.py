"""Every text of the pages, by language; templates and scripts have none of their own.

A further language is one more module with the same keys, and one more line here. What the
appliance itself says (reasons, notes, messages) stays in English: it also stands in the log.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from edge_matting.status.texts_chinese import CHINESE
from edge_matting.status.texts_english import ENGLISH

TEXTS: Final = MappingProxyType({"en": ENGLISH, "zh": CHINESE})
NAMES: Final = MappingProxyType({"en": "English", "zh": "中文"})

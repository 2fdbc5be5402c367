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
        "cache_not_removed": {
            "en": "a cached matte cannot be removed: {why}",
            "zh": "无法删除一个缓存的蒙版：{why}",
        },
        "cache_not_tended": {
            "en": "the matte cache cannot be looked after: {why}",
            "zh": "无法整理蒙版缓存：{why}",
        },
        "cache_not_dropped": {
            "en": "old entries of the matte cache cannot be dropped: {why}",
            "zh": "无法删除蒙版缓存的旧条目：{why}",
        },
        "cache_not_cleared": {
            "en": "the matte cache cannot be cleared: {why}",
            "zh": "无法清空蒙版缓存：{why}",
        },
        "cache_in_memory": {
            "en": "the matte cache stays in memory: {why}",
            "zh": "蒙版缓存只在内存中：{why}",
        },
        "cache_unreadable": {
            "en": "a cached matte cannot be read: {why}",
            "zh": "无法读取一个缓存的蒙版：{why}",
        },
        "cache_unwritable": {
            "en": "the matte cache cannot write: {why}",
            "zh": "蒙版缓存无法写入：{why}",
        },
    }
)

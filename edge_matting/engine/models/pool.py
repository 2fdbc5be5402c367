"""Sessions that stay loaded, shared by all recipes."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable

from edge_matting.pipeline import Tools

log = logging.getLogger(__name__)

KEPT = 2
"""The default model, and one that a retry asked for."""


class ModelPool:
    """Loads a model's tools at first use and keeps the most recent ones.

    A session that falls out, or is replaced, is closed by its last user's reference, not under
    its feet. While one model is loaded, photos for another go on.
    """

    def __init__(self, load: Callable[[str], Tools]) -> None:
        self._load = load
        self._tools: OrderedDict[str, Tools] = OrderedDict()
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def tools(self, model_id: str) -> Tools:
        """Raises ``ModelError`` or ``SessionError`` when the model cannot be had."""
        found = self._found(model_id)
        if found is not None:
            return found
        with self._lock:
            loading = self._loading.setdefault(model_id, threading.Lock())
        with loading:
            found = self._found(model_id)
            if found is None:
                found = self._load(model_id)
                self.put(model_id, found)
        return found

    def put(self, model_id: str, tools: Tools) -> None:
        """Use these tools for the model from now on."""
        with self._lock:
            self._tools[model_id] = tools
            self._tools.move_to_end(model_id)
            while len(self._tools) > KEPT:
                self._unload_oldest()

    def drop(self, model_id: str) -> None:
        """Let go of the model; the next use loads it anew."""
        with self._lock:
            self._tools.pop(model_id, None)

    def unload_one(self) -> bool:
        """Let go of the least recently used model; the last one stays. Whether there was one."""
        with self._lock:
            if len(self._tools) < 2:
                return False
            self._unload_oldest()
            return True

    def _found(self, model_id: str) -> Tools | None:
        with self._lock:
            if model_id not in self._tools:
                return None
            self._tools.move_to_end(model_id)
            return self._tools[model_id]

    def _unload_oldest(self) -> None:
        dropped, _ = self._tools.popitem(last=False)
        log.info("model %s unloaded", dropped)

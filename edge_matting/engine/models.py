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
    """Loads a model's tools at first use and keeps the most recent ones."""

    def __init__(self, load: Callable[[str], Tools]) -> None:
        self._load = load
        self._tools: OrderedDict[str, Tools] = OrderedDict()
        self._lock = threading.Lock()

    def tools(self, model_id: str) -> Tools:
        """Raises ``ModelError`` or ``SessionError`` when the model cannot be had.

        A session that falls out is closed by its last user's reference, not under its feet.
        """
        with self._lock:
            if model_id not in self._tools:
                self._tools[model_id] = self._load(model_id)
            self._tools.move_to_end(model_id)
            while len(self._tools) > KEPT:
                dropped, _ = self._tools.popitem(last=False)
                log.info("model %s unloaded", dropped)
            return self._tools[model_id]

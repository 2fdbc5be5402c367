"""Logging to stderr: one line an event, as text or JSON, with journald's priorities under systemd.

``EDGE_MATTING_LOG=json`` chooses JSON, for the daemon and, by inheritance, its engine. A line that
repeats itself is written three times a minute; the next one counts how often it
was held back.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from edge_matting.core.clock import iso_utc

PRIORITIES = (
    (logging.CRITICAL, "<2>"),
    (logging.ERROR, "<3>"),
    (logging.WARNING, "<4>"),
    (logging.INFO, "<6>"),
    (logging.NOTSET, "<7>"),
)

FORMAT_VARIABLE: Final = "EDGE_MATTING_LOG"
REPEATS: Final = 3
REPEAT_SECONDS: Final = 60.0
MAX_REMEMBERED: Final = 256

_job: ContextVar[int | None] = ContextVar("job", default=None)


@contextmanager
def about_job(job_id: int) -> Iterator[None]:
    """Whatever is logged inside, in this thread, belongs to the job."""
    before = _job.set(job_id)
    try:
        yield
    finally:
        _job.reset(before)


class TextFormatter(logging.Formatter):
    """One event, one line; the job's number leads where the message does not name it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        job = _job.get()
        if job is not None and f"job {job}" not in record.message:
            record.message = f"job {job}: {record.message}"
        return super().formatMessage(record)


class JsonFormatter(logging.Formatter):
    """One event, one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": iso_utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (job := _job.get()) is not None:
            fields["job"] = job
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class JournalFormatter(logging.Formatter):
    """Leads each line of another formatter with journald's priority (sd-daemon(3))."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(text for level, text in PRIORITIES if record.levelno >= level)
        return "\n".join(prefix + line for line in self._lines.format(record).splitlines())


@dataclass(slots=True)
class _Repeated:
    since: float
    times: int = 0
    held_back: int = 0


class Repeats:
    """Lets the same line through three times a minute, and then counts how often it came.

    Words that differ, as each photo's do, are never held back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._repeated: OrderedDict[tuple[str, str], _Repeated] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        with self._lock:
            held_back = self._held_back((record.name, words))
        if held_back is None:
            return False
        if held_back:
            record.msg, record.args = f"{words} (and {held_back} times more before)", ()
        return True

    def _held_back(self, key: tuple[str, str]) -> int | None:
        """How many were held back before this one; None when this one is, too."""
        now = self._monotonic()
        line = self._repeated.setdefault(key, _Repeated(now))
        self._repeated.move_to_end(key)
        if len(self._repeated) > MAX_REMEMBERED:
            self._repeated.popitem(last=False)
        held_back = 0
        if now - line.since >= REPEAT_SECONDS:
            held_back = line.held_back
            line.since, line.times, line.held_back = now, 0, 0
        line.times += 1
        if line.times <= REPEATS:
            return held_back
        line.held_back += 1
        return None


def configure(*, verbose: bool = False, environment: Mapping[str, str] = os.environ) -> None:
    """Send the package's log to stderr; names with odd bytes are escaped, never fatal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_for(environment))
    handler.addFilter(_is_shown)
    handler.addFilter(Repeats())
    # Other packages' warnings too, in the same form.
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("edge_matting").setLevel(logging.DEBUG if verbose else logging.INFO)


def formatter_for(environment: Mapping[str, str]) -> logging.Formatter:
    """The form that systemd and ``EDGE_MATTING_LOG`` ask for."""
    journal = "JOURNAL_STREAM" in environment
    if environment.get(FORMAT_VARIABLE) == "json":
        lines: logging.Formatter = JsonFormatter()
    elif journal:
        lines = TextFormatter("%(message)s")
    else:
        lines = TextFormatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    return JournalFormatter(lines) if journal else lines


def _is_shown(record: logging.LogRecord) -> bool:
    """All but watchdog 7's complaint about its own, harmless, end."""
    return "called when the thread is inactive" not in record.getMessage()


def shown(path: object) -> str:
    """A path as one safe line of text: control characters and odd bytes escaped."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

"""Logging to stderr: plain lines on a terminal, journald priorities under systemd."""

from __future__ import annotations

import logging
import os
import sys

PRIORITIES = (
    (logging.CRITICAL, "<2>"),
    (logging.ERROR, "<3>"),
    (logging.WARNING, "<4>"),
    (logging.INFO, "<6>"),
    (logging.NOTSET, "<7>"),
)


class JournalFormatter(logging.Formatter):
    """One record, one line, led by the priority that journald understands (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(text for level, text in PRIORITIES if record.levelno >= level)
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def configure(*, verbose: bool = False) -> None:
    """Send the package's log to stderr; names with odd bytes are escaped, never fatal."""
    if "JOURNAL_STREAM" in os.environ:
        formatter: logging.Formatter = JournalFormatter("%(message)s")
    else:
        formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(_is_told)
    # Other packages' warnings too, in the same form.
    logging.getLogger().handlers[:] = [handler]
    logging.getLogger("edge_matting").setLevel(logging.DEBUG if verbose else logging.INFO)


def _is_told(record: logging.LogRecord) -> bool:
    """All but watchdog 7's complaint about its own, harmless, end."""
    return "called when the thread is inactive" not in record.getMessage()


def shown(path: object) -> str:
    """A path as one safe line of text: control characters and odd bytes escaped."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

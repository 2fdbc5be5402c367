"""Hints that something arrived in ``in/``, from inotify where it can be trusted.

The directory is the truth: an event only makes the daemon look sooner, so a lost one costs a
wait until the next rescan and nothing else. Where events cannot be trusted there is no watcher
thread at all, and the daemon rescans more often.

Works with watchdog 6 (one inotify instance per watch) and 7 (one per observer).
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.durable import blocking, is_temporary
from edge_matting.core.errors import TemporaryError
from edge_matting.core.reasons import Reason
from edge_matting.core.walks import folder_inodes
from edge_matting.hotfolder.filesystems import needs_polling
from edge_matting.hotfolder.ignore import is_ignored_path

Wake = Callable[[str | None], None]
"""Called with a path relative to ``in/`` to look at, or None to rescan soon."""

# Our own reads raise LoadedModel and ClosedNoWrite events; without them there is no feedback loop.
_EVENTS: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
_RAISE_WATCHES: Final = Reason("raise_watches")
_RAISE_INSTANCES: Final = Reason("raise_instances")
_INODE: Final = re.compile(r"^inotify wd:\S+ ino:([0-9a-f]+) ", re.MULTILINE)


class FolderWatcher:
    """Watches one ``in/`` and calls ``wake``, from a thread of its own, when something arrives.

    ``problem`` says what to do when native watching was wanted and did not work.
    """

    def __init__(
        self,
        inbox: Path,
        mode: Literal["auto", "native", "polling"],
        wake: Wake,
        *,
        poll_seconds: float = 5.0,
        probe_seconds: float = 1.0,
        root: Path = Path("/"),
        make_observer: Callable[[], BaseObserver] = Observer,
        door: AnchoredFolder | None = None,
    ) -> None:
        self.inbox = inbox
        self._door = door or AnchoredFolder(inbox)
        self.problem: str | None = None
        self._mode = mode
        self._wake = wake
        self.poll_seconds = poll_seconds
        self._probe_seconds = probe_seconds
        self._root = root
        self._make_observer = make_observer
        self._observer: BaseObserver | None = None
        self._why_polling = Reason("watch_not_started")
        self._identity: tuple[int, int] | None = None
        self._missed_before = False

    @property
    def native(self) -> bool:
        """Whether events come; where not, the daemon rescans every ``poll_seconds``."""
        return self._observer is not None

    def describe(self) -> Reason:
        """One line for the status page."""
        if self._observer:
            return Reason("watch_native")
        return Reason("watch_polling", seconds=self.poll_seconds or 0.0, why=self._why_polling)

    def start(self) -> None:
        """Begin to watch, or fall back to polling. Raises ``FolderUnavailable`` without folder."""
        with blocking(f"cannot watch {self.inbox}"):
            self._identity = _identity(self.inbox)
        self.problem = None
        self._missed_before = False
        why = self._reason_to_poll()
        if why is not None:
            self._why_polling = why
            return
        self._start_native()

    def stop(self) -> None:
        """End watching; harmless when it did not run."""
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)

    def alive(self) -> bool:
        """Whether the folder is still the one that was started on, and its watch still runs."""
        try:
            if _identity(self.inbox) != self._identity:
                return False
        except OSError:
            return False
        observer = self._observer
        if observer is None:
            return True
        return observer.is_alive() and all(emitter.is_alive() for emitter in observer.emitters)

    def check(self) -> None:
        """Fall back to polling when inotify left sub-folders out; call it after a full rescan."""
        missed = self._observer is not None and self._unwatched() > 0
        if missed and self._missed_before:  # once may be a folder that has just been made
            self._give_up(Reason("watch_incomplete", path=str(self.inbox), advice=_RAISE_WATCHES))
        self._missed_before = missed

    def _reason_to_poll(self) -> Reason | None:
        if self._mode == "polling":
            return Reason("watch_as_set")
        return needs_polling(self.inbox, self._root) if self._mode == "auto" else None

    def _start_native(self) -> None:
        probe = _Probe()
        # inotify does not follow a symlink, and in/ may be one
        handler = _Handler(os.path.realpath(self.inbox), self._wake, probe)
        try:
            self._observer = self._started(handler)
        except OSError as error:
            self._give_up(
                Reason(
                    "watch_refused",
                    path=str(self.inbox),
                    why=error.strerror or type(error).__name__,
                    advice=_advice(error),
                )
            )
            return
        except RecursionError:  # watchdog looks for sub-folders so
            self._give_up(Reason("watch_too_deep", path=str(self.inbox)))
            return
        if not probe.answered(self._door, self._probe_seconds):
            self._give_up(Reason("watch_silent", path=str(self.inbox)))
        elif self._unwatched():
            self._give_up(Reason("watch_incomplete", path=str(self.inbox), advice=_RAISE_WATCHES))

    def _started(self, handler: _Handler) -> BaseObserver:
        observer = self._make_observer()
        try:
            observer.schedule(handler, handler.inbox, recursive=True, event_filter=_EVENTS)
            observer.start()
        except (OSError, RecursionError):
            _end(observer)
            raise
        return observer

    def _give_up(self, problem: Reason) -> None:
        self.stop()
        self.problem = self._why_polling = problem

    def _unwatched(self) -> int:
        """Readable folders below ``in/`` without a watch; 0 where the kernel does not tell.

        watchdog swallows the failure to watch a sub-folder.
        """
        watched = set(self._watched_inodes())
        try:
            folders = list(folder_inodes(self._door))  # the inbox comes first
        except TemporaryError:
            return 0
        if not folders or folders[0] not in watched:  # overlayfs numbers them differently
            return 0
        return len(set(folders) - watched)

    def _watched_inodes(self) -> Iterator[int]:
        for path in (self._root / "proc/self/fdinfo").glob("*"):
            try:
                text = path.read_text("ascii", "replace")
            except OSError:  # closed since it was listed
                continue
            for match in _INODE.finditer(text):
                yield int(match[1], 16)


class _Probe:
    """A file that is made to see whether an event tells of it."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def answered(self, inbox: AnchoredFolder, seconds: float) -> bool:
        """False when no event came in time; True also where no file can be made to find out."""
        try:
            name = inbox.stage("", b"")
        except TemporaryError:  # a read-only folder: the daemon reports that elsewhere
            return True
        try:
            return self.seen.wait(seconds)
        finally:
            inbox.discard(name)


class _Handler(FileSystemEventHandler):
    """Passes paths on and does nothing else: work here would make the kernel's queue overflow."""

    def __init__(self, inbox: str, wake: Wake, probe: _Probe) -> None:
        self.inbox = inbox
        self._wake = wake
        self._probe = probe

    def on_any_event(self, event: FileSystemEvent) -> None:
        path = os.path.relpath(os.fsdecode(event.dest_path or event.src_path), self.inbox)
        if is_temporary(path):  # the probe's, or another that proves as much
            self._probe.seen.set()
        elif not is_ignored_path(path):
            self._wake(None if event.is_directory else path)


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _advice(error: OSError) -> Reason:
    if error.errno == errno.ENOSPC:
        return _RAISE_WATCHES
    if error.errno == errno.EMFILE:
        return _RAISE_INSTANCES
    return Reason("set_polling")


def _end(observer: BaseObserver) -> None:
    observer.stop()
    if observer.is_alive():
        observer.join(5.0)

"""The ledger's file: how it is opened, locked, read, written, and set aside when it is broken."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

from edge_matting.core.clock import Clock
from edge_matting.core.durable import sync_folder
from edge_matting.core.errors import LedgerCorrupt, LedgerError
from edge_matting.ledger import schema

BUSY_SECONDS: Final = 10.0
"""How long a write waits for the other process; a burst of 20,000 files takes a tenth of it."""

LOCKED_PAUSE_SECONDS: Final = 0.005

WAL_BYTES: Final = 64 * 2**20


class Database:
    """Two connections to one file, each behind a lock: one writes, one reads.

    The status page must not wait while a burst of files is written, and with a write-ahead log
    a reader never does. Not to be carried over a fork.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._damage: str | None = None
        self._write_lock = Lock()
        self._read_lock = Lock()
        with _named_errors(path), ExitStack() as stack:
            self._writer = _connect(path, stack)
            schema.migrate(self._writer)
            schema.prepare(self._writer)
            self._reader = _reading(path, stack)
            self._connections = stack.pop_all()
        self._identity = _identity(path)
        self._log_bytes = 0  # the most that the write-ahead log had

    def close(self) -> None:
        with self._write_lock, self._read_lock, self._named_errors():
            self._connections.close()

    @contextmanager
    def write(self, *, synced: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction: on disk when it returns, as if never begun when it raises.

        One that is not ``synced`` outlives any process at once, but a power cut only together with
        the next synced one of whatever process: the log is written in order. For what comes to the
        same after a restart whether it is known or not.
        """
        with self._write_lock, self._named_errors():
            self._check()
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                self._writer.rollback()  # does nothing after the commit

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One look at what is committed."""
        with self._read_lock, self._named_errors():
            self._check()
            yield self._reader

    @contextmanager
    def long_read(self) -> Iterator[sqlite3.Connection]:
        """One snapshot on a connection of its own, which keeps nobody waiting."""
        self._check()
        with self._named_errors(), ExitStack() as stack:
            connection = _reading(self.path, stack)
            connection.execute("BEGIN")
            yield connection

    def fault(self) -> str | None:
        """Why what is open here is not a sound ledger under its name; None when it is."""
        if self._damage is not None:
            return self._damage
        try:
            if _identity(self.path) != self._identity:
                return f"{self.path} is another file than the one that was opened"
        except OSError as error:
            return f"{self.path} is no longer there: {error.strerror}"
        size = _size(self.path.with_name(self.path.name + "-wal"))
        if size < min(self._log_bytes, WAL_BYTES):
            return f"the log of {self.path} was cut from {self._log_bytes} to {size} bytes"
        self._log_bytes = size
        return None

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Errors that name the file; damage is remembered, for nothing heals it here."""
        try:
            with _named_errors(self.path):
                yield
        except LedgerCorrupt as error:
            self._damage = error.message
            raise

    def _check(self) -> None:
        """Nothing is written into a file that nobody will find, or read from half a log."""
        fault = self.fault()
        if fault is not None:
            raise LedgerError(fault, hint="it is opened anew; what it knew is found in the folders")


def set_aside(path: Path, clock: Clock) -> Path:
    """Rename a broken ledger, so that a new one can be built by a rescan; return its new name.

    The write-ahead log goes first: left beside a new ledger it would be played into it.
    """
    moment = datetime.fromtimestamp(clock.now(), timezone.utc)
    target = _free_name(path.with_name(f"{path.name}.corrupt-{moment:%Y%m%dT%H%M%SZ}"))
    for ending in ("-wal", "-shm", ""):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(target.with_name(target.name + ending))
    sync_folder(path.parent)
    return target


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _free_name(wanted: Path) -> Path:
    names = (wanted if n == 1 else wanted.with_name(f"{wanted.name}-{n}") for n in count(1))
    return next(name for name in names if not name.exists())


def _connect(path: Path, stack: ExitStack) -> sqlite3.Connection:
    connection = stack.enter_context(
        closing(
            sqlite3.connect(
                path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        )
    )
    connection.row_factory = sqlite3.Row
    if _use_write_ahead_log(connection) != "wal":
        raise LedgerError(
            f"{path}: the file system does not allow a write-ahead log",
            hint="put state_dir on a local disk",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> str:
    """The journal's mode afterwards.

    Where two processes turn a new file's log on at once, SQLite tells one of them that the file is
    locked without the wait that every other statement gets: waiting could be a deadlock there
    (https://www.sqlite.org/c3ref/busy_handler.html). Asking again cannot.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            # Error codes came only with Python 3.11; the text is that of SQLITE_BUSY.
            if str(error) != "database is locked" or time.monotonic() >= deadline:
                raise
        time.sleep(LOCKED_PAUSE_SECONDS)


def _reading(path: Path, stack: ExitStack) -> sqlite3.Connection:
    connection = _connect(path, stack)
    schema.prepare(connection)
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, which name the file."""
    try:
        yield
    except sqlite3.Error as error:
        # Corrupt and not-a-database are the errors sqlite3 gives no class of their own; error
        # codes came only with Python 3.11.
        if type(error) is sqlite3.DatabaseError:
            raise LedgerCorrupt(f"{path} is damaged: {error}") from error
        raise LedgerError(f"{path}: {error}") from error

"""The tables, their indexes, and how an older ledger becomes a newer one.

Paths are BLOBs (``os.fsencode``), for a file name need not be text. A row is active (pending or
running) exactly while ``finished_at`` is NULL, and has its outputs exactly while ``result`` is
not NULL; `audit` holds these rules, so that the SQL elsewhere may lean on them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from edge_matting.core.errors import LedgerError
from edge_matting.core.states import TRANSITIONS

Migration: TypeAlias = Callable[[sqlite3.Connection], None]

_VERSION_1: Final = (
    # Who may use which output name, for ever; rows of `jobs` come and go.
    """
    CREATE TABLE names (
        id     INTEGER PRIMARY KEY,
        folder BLOB NOT NULL,
        source BLOB NOT NULL,
        stem   BLOB NOT NULL,
        UNIQUE (folder, source),
        UNIQUE (folder, stem)
    )
    """,
    # AUTOINCREMENT: an id that somebody was told is never given to another job.
    """
    CREATE TABLE jobs (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        name         INTEGER NOT NULL REFERENCES names (id),
        signature    TEXT NOT NULL,
        recipe       TEXT NOT NULL,
        state        TEXT NOT NULL DEFAULT 'pending',
        attempts     INTEGER NOT NULL DEFAULT 0,
        delays       INTEGER NOT NULL DEFAULT 0,
        alone        INTEGER NOT NULL DEFAULT 0,
        queued_at    REAL NOT NULL,
        due_at       REAL NOT NULL,
        token        TEXT,
        place        TEXT NOT NULL DEFAULT 'in',
        original     BLOB NOT NULL,
        settled      INTEGER NOT NULL DEFAULT 0,
        model        TEXT,
        code         TEXT,
        message      TEXT,
        sha256       TEXT,
        recipe_key   TEXT,
        model_sha256 TEXT,
        own          INTEGER NOT NULL DEFAULT 0,
        result       TEXT,
        earlier      TEXT,
        created_at   REAL NOT NULL,
        updated_at   REAL NOT NULL,
        finished_at  REAL,
        seconds      REAL
    )
    """,
    "CREATE INDEX jobs_by_name ON jobs (name, id)",
    "CREATE UNIQUE INDEX jobs_active ON jobs (name) WHERE finished_at IS NULL",
    "CREATE INDEX jobs_due ON jobs (alone, due_at, id) WHERE state = 'pending'",
    "CREATE INDEX jobs_queued ON jobs (alone, queued_at, id) WHERE state = 'pending'",
    "CREATE INDEX jobs_running ON jobs (alone, id) WHERE state = 'running'",
    "CREATE INDEX jobs_by_state ON jobs (state, id)",
    "CREATE INDEX jobs_finished ON jobs (finished_at, state) WHERE finished_at IS NOT NULL",
    "CREATE INDEX jobs_misplaced ON jobs (id) WHERE settled = 0 AND finished_at IS NOT NULL",
    "CREATE INDEX jobs_result ON jobs (sha256, recipe_key, model_sha256, id) WHERE own = 1",
    # Counting a million rows for every look at the status page would take seconds.
    "CREATE TABLE counters (state TEXT PRIMARY KEY, jobs INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TRIGGER count_insert AFTER INSERT ON jobs BEGIN
        INSERT INTO counters VALUES (NEW.state, 1)
            ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
    END
    """,
    """
    CREATE TRIGGER count_update AFTER UPDATE OF state ON jobs BEGIN
        UPDATE counters SET jobs = jobs - 1 WHERE state = OLD.state;
        INSERT INTO counters VALUES (NEW.state, 1)
            ON CONFLICT (state) DO UPDATE SET jobs = jobs + 1;
    END
    """,
    """
    CREATE TRIGGER count_delete AFTER DELETE ON jobs BEGIN
        UPDATE counters SET jobs = jobs - 1 WHERE state = OLD.state;
    END
    """,
)


def _create(connection: sqlite3.Connection) -> None:
    # Not executescript(): it commits first, and half a schema must never stand.
    for statement in _VERSION_1:
        connection.execute(statement)


def _add_parameters(connection: sqlite3.Connection) -> None:
    """A job's own recipe parameters, and those of photos that were sent and are no job yet."""
    connection.execute("ALTER TABLE jobs ADD COLUMN parameters TEXT")
    connection.execute(
        """
        CREATE TABLE sent (
            folder     BLOB NOT NULL,
            signature  TEXT NOT NULL,
            parameters TEXT NOT NULL,
            sent_at    REAL NOT NULL,
            PRIMARY KEY (folder, signature)
        ) WITHOUT ROWID
        """
    )


def _withdraw_gone(connection: sqlite3.Connection) -> None:
    """Photos that were taken away while they waited count as withdrawn, no more as failed."""
    connection.execute(
        "UPDATE jobs SET state = 'withdrawn', place = 'gone', settled = 1"
        " WHERE state = 'failed' AND code = 'source_gone' AND place = 'in' AND result IS NULL"
    )


MIGRATIONS: Final[tuple[Migration, ...]] = (_create, _add_parameters, _withdraw_gone)
"""What brings a ledger from version N to N + 1, at position N; entries are only ever added."""


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the ledger to the newest version, whole or not at all."""
    if version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version(connection)  # another process may have been faster
        if found > len(migrations):
            file = connection.execute("PRAGMA database_list").fetchone()[2]
            raise LedgerError(
                f"{file} has version {found}, this program knows up to {len(migrations)}",
                hint="install the newer version of edge-matting again",
            )
        for migration in migrations[found:]:
            migration(connection)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    finally:
        connection.rollback()  # does nothing after the commit


def version(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def prepare(connection: sqlite3.Connection) -> None:
    """Give the connection what the code, not the file, defines.

    The guard is made from the one table of transitions at every start; written into the file
    it would be a second table that an update of the program leaves behind.
    """
    connection.execute(
        "CREATE TEMP TABLE transitions (old TEXT, new TEXT, PRIMARY KEY (old, new)) WITHOUT ROWID"
    )
    connection.executemany(
        "INSERT INTO transitions VALUES (?, ?)",
        [(old.value, new.value) for old, targets in TRANSITIONS.items() for new in targets],
    )
    connection.execute(
        """
        CREATE TEMP TRIGGER guard BEFORE UPDATE OF state ON main.jobs
        WHEN NOT EXISTS (SELECT 1 FROM transitions WHERE old = OLD.state AND new = NEW.state)
        BEGIN SELECT RAISE(ABORT, 'forbidden transition of a job'); END
        """
    )
    connection.execute(
        """
        CREATE TEMP VIEW job_rows AS
            SELECT jobs.*, names.folder, names.source, names.stem
            FROM main.jobs CROSS JOIN main.names ON names.id = jobs.name
        """
    )

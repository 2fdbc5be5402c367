"""History kept within its limit, and the audit of the whole store."""

from __future__ import annotations

import sqlite3
from typing import Final

from edge_matting.core.output_kinds import OUTPUT_KINDS
from edge_matting.ledger.database import Database

_PRUNED_AT_ONCE: Final = 1000

_SHOWN: Final = 5

_RULES: Final = (
    (
        "a token is there exactly while the job runs",
        "SELECT id FROM jobs WHERE (token IS NOT NULL) <> (state = 'running')",
    ),
    (
        "attempts are counted from 0, and at least 1 once claimed",
        """
        SELECT id FROM jobs
        WHERE attempts < 0 OR delays < 0
           OR attempts < 1 AND state NOT IN ('pending', 'withdrawn')
        """,
    ),
    (
        "finished_at is there exactly when the job is finished",
        "SELECT id FROM jobs WHERE (finished_at IS NULL) <> (state IN ('pending', 'running'))",
    ),
    (
        "outputs are there exactly when the job succeeded or is in review",
        "SELECT id FROM jobs WHERE (result IS NULL) = (state IN ('succeeded', 'review'))",
    ),
    (
        "a result to find again belongs to the job",
        "SELECT id FROM jobs WHERE own = 1 AND (result IS NULL OR sha256 IS NULL)",
    ),
    (
        "only a finished job's original is settled",
        "SELECT id FROM jobs WHERE settled = 1 AND finished_at IS NULL",
    ),
    (
        "a source has one active job at most",
        """
        SELECT name FROM jobs WHERE state IN ('pending', 'running')
        GROUP BY name HAVING count(*) > 1
        """,
    ),
    (
        "every job has a name",
        "SELECT id FROM jobs WHERE name NOT IN (SELECT id FROM names)",
    ),
    (
        "every job has a known state",
        """
        SELECT id FROM jobs
        WHERE state NOT IN (SELECT old FROM transitions UNION SELECT new FROM transitions)
        """,
    ),
    (
        "the counters agree with the jobs",
        """
        SELECT DISTINCT state FROM (
            SELECT state, jobs FROM counters WHERE jobs <> 0
            UNION ALL SELECT state, count(*) FROM jobs GROUP BY state)
        GROUP BY state, jobs HAVING count(*) <> 2
        """,
    ),
)
"""What must hold, and a query for what breaks it."""

_MEETING_NAMES: Final = """
    SELECT a.id FROM names AS a CROSS JOIN names AS b
        ON b.folder = a.folder AND b.stem = CAST(a.stem || '.' || ? AS BLOB)
"""


def check(database: Database) -> list[str]:
    """Every broken rule in a sentence; empty when all is well. Takes seconds on a large ledger."""
    with database.long_read() as connection:
        # A damaged file may answer nothing else.
        return _damage(connection, "integrity_check") or [
            *_broken_rules(connection),
            *_meeting_names(connection),
        ]


def damage(database: Database) -> list[str]:
    with database.long_read() as connection:
        return _damage(connection, "quick_check")


def prune(database: Database, older_than: float) -> int:
    """Forget jobs that finished before ``older_than``, in transactions too short to be felt.

    A job stays while it explains a file that still lies in ``in/``: the newest of its source,
    whose original was kept there. Without it the photo would be done once more.
    """
    with database.write() as connection:  # announced, and then never came
        connection.execute("DELETE FROM sent WHERE sent_at < ?", (older_than,))
    with database.long_read() as connection:
        ids = [row["id"] for row in connection.execute(_PRUNABLE, (older_than,))]
    pruned = 0
    for start in range(0, len(ids), _PRUNED_AT_ONCE):
        with database.write() as connection:
            for job_id in ids[start : start + _PRUNED_AT_ONCE]:
                pruned += connection.execute(_PRUNE, (job_id, older_than)).rowcount
    return pruned


_PRUNABLE: Final = """
    SELECT id FROM jobs AS old
    WHERE finished_at < ? AND settled = 1
      AND (place <> 'in' OR EXISTS (SELECT 1 FROM jobs WHERE name = old.name AND id > old.id))
    ORDER BY finished_at
"""

_PRUNE: Final = "DELETE FROM jobs WHERE id = ? AND finished_at < ? AND settled = 1"


def _damage(connection: sqlite3.Connection, how: str) -> list[str]:
    found = [row[0] for row in connection.execute(f"PRAGMA {how}(20)")]
    return [f"the file is damaged: {line}" for line in found if line != "ok"]


def _broken_rules(connection: sqlite3.Connection) -> list[str]:
    found = [(rule, connection.execute(query).fetchall()) for rule, query in _RULES]
    return [_sentence(rule, broken) for rule, broken in found if broken]


def _meeting_names(connection: sqlite3.Connection) -> list[str]:
    rule = "no two sources' outputs may have the same name"
    broken = [row for kind in OUTPUT_KINDS for row in connection.execute(_MEETING_NAMES, (kind,))]
    return [_sentence(rule, broken)] if broken else []


def _sentence(rule: str, broken: list[sqlite3.Row]) -> str:
    shown = ", ".join(str(row[0]) for row in broken[:_SHOWN])
    more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
    return f"broken rule: {rule} ({shown}{more})"

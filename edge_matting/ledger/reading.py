"""What the ledger knows: single jobs, pages of them, numbers, earlier results."""

from __future__ import annotations

import os
import sqlite3

from edge_matting.core.jobs import Job, Result, StoredResult, TimeBucket
from edge_matting.core.result_json import result_from_json
from edge_matting.core.states import FINISHED, JobState
from edge_matting.ledger import rows


def get(connection: sqlite3.Connection, job_id: int) -> Job | None:
    row = connection.execute(
        "SELECT * FROM job_rows WHERE id = ?", (rows.bounded(job_id),)
    ).fetchone()
    return None if row is None else rows.job(row)


def jobs(
    connection: sqlite3.Connection, state: JobState | None, limit: int, before: int | None
) -> list[Job]:
    """Newest (highest id) first."""
    below = rows.bounded(2**63 if before is None else before)
    most = max(rows.bounded(limit), 0)
    if state is None:
        found = connection.execute(
            "SELECT * FROM job_rows WHERE id < ? ORDER BY id DESC LIMIT ?", (below, most)
        )
    else:
        found = connection.execute(
            "SELECT * FROM job_rows WHERE state = ? AND id < ? ORDER BY id DESC LIMIT ?",
            (state.value, below, most),
        )
    return [rows.job(row) for row in found.fetchall()]


def newest(connection: sqlite3.Connection, folder: str, source: str) -> Job | None:
    """The newest job of that source."""
    row = connection.execute(
        "SELECT * FROM job_rows WHERE folder = ? AND source = ? ORDER BY id DESC LIMIT 1",
        (os.fsencode(folder), os.fsencode(source)),
    ).fetchone()
    return None if row is None else rows.job(row)


def result(connection: sqlite3.Connection, job_id: int) -> Result | None:
    row = connection.execute(
        "SELECT result FROM jobs WHERE id = ? AND result IS NOT NULL", (rows.bounded(job_id),)
    ).fetchone()
    return None if row is None else result_from_json(row["result"])


def counts(connection: sqlite3.Connection) -> dict[JobState, int]:
    """How many jobs stand in each state, kept by triggers."""
    found = connection.execute("SELECT state, jobs FROM counters").fetchall()
    return dict.fromkeys(JobState, 0) | {JobState(row["state"]): row["jobs"] for row in found}


def rate(connection: sqlite3.Connection, seconds: float, now: float) -> dict[JobState, int]:
    """How many jobs finished in the last ``seconds``, by the state they are in."""
    found = connection.execute(
        "SELECT state, count(*) AS jobs FROM jobs INDEXED BY jobs_finished"
        " WHERE finished_at > ? AND finished_at <= ? GROUP BY state",
        (now - seconds, now),
    ).fetchall()
    return {state: 0 for state in JobState if state in FINISHED} | {
        JobState(row["state"]): row["jobs"] for row in found
    }


def finished(connection: sqlite3.Connection, after: float, until: float) -> list[tuple[int, float]]:
    """Ids of the jobs that finished in that time, each with its moment, oldest first."""
    found = connection.execute(
        "SELECT id, finished_at FROM jobs INDEXED BY jobs_finished"
        " WHERE finished_at > ? AND finished_at <= ? ORDER BY finished_at, id",
        (after, until),
    )
    return [(row["id"], row["finished_at"]) for row in found.fetchall()]


def history(
    connection: sqlite3.Connection, slots: int, width: float, now: float
) -> list[TimeBucket]:
    """What finished in each of the last ``slots`` stretches of ``width`` seconds, oldest first."""
    begin = now - slots * width
    found = connection.execute(
        """
        SELECT CAST((finished_at - :begin) / :width AS INTEGER) AS slot, count(*) AS finished,
            sum(state = 'failed') AS failed, avg(seconds) AS mean, max(seconds) AS longest
        FROM jobs INDEXED BY jobs_finished
        WHERE finished_at >= :begin AND finished_at < :now GROUP BY slot
        """,
        {"begin": begin, "width": width, "now": now},
    ).fetchall()
    filled = {
        row["slot"]: TimeBucket(row["finished"], row["failed"], row["mean"], row["longest"])
        for row in found
    }
    return [filled.get(number, TimeBucket(0, 0, None, None)) for number in range(slots)]


def oldest_pending(connection: sqlite3.Connection) -> float | None:
    """When the pending job with the lowest id was created."""
    row = connection.execute(
        "SELECT created_at FROM jobs WHERE state = 'pending' ORDER BY id LIMIT 1"
    ).fetchone()
    return None if row is None else row["created_at"]


def next_due(connection: sqlite3.Connection, now: float) -> float | None:
    """When the next pending job becomes due; at the latest ``now`` if one is due already."""
    soonest = [_soonest(connection, alone=alone, now=now) for alone in (False, True)]
    return min((due for due in soonest if due is not None), default=None)


def _soonest(connection: sqlite3.Connection, *, alone: bool, now: float) -> float | None:
    (latest_queued,) = connection.execute(
        "SELECT max(queued_at) FROM jobs INDEXED BY jobs_queued"
        " WHERE state = 'pending' AND alone = ?",
        (alone,),
    ).fetchone()
    if latest_queued is not None and latest_queued > now:
        return now  # the clock jumped back: see `work._due`
    (due,) = connection.execute(
        "SELECT min(due_at) FROM jobs INDEXED BY jobs_due WHERE state = 'pending' AND alone = ?",
        (alone,),
    ).fetchone()
    return None if due is None else float(due)


def find_result(
    connection: sqlite3.Connection, sha256: str, recipe_key: str, model_sha256: str
) -> StoredResult | None:
    row = connection.execute(
        """
        SELECT * FROM job_rows
        WHERE own = 1 AND sha256 = ? AND recipe_key = ? AND model_sha256 = ?
        ORDER BY id DESC LIMIT 1
        """,
        (sha256, recipe_key, model_sha256),
    ).fetchone()
    return None if row is None else rows.stored_result(row)


def previous_outputs(
    connection: sqlite3.Connection, folder: str, source: str, before_id: int
) -> StoredResult | None:
    """The result whose files the job ``before_id`` replaces: an earlier job's, or its own
    reviewed one from before a retry."""
    row = connection.execute(
        """
        SELECT job_rows.* FROM names CROSS JOIN job_rows ON job_rows.name = names.id
        WHERE names.folder = :folder AND names.source = :source AND job_rows.id <= :id
          AND (result IS NOT NULL AND job_rows.id < :id OR earlier IS NOT NULL)
        ORDER BY job_rows.id DESC LIMIT 1
        """,
        {
            "folder": os.fsencode(folder),
            "source": os.fsencode(source),
            "id": rows.bounded(before_id),
        },
    ).fetchone()
    return None if row is None else rows.stored_result(row)


def knows(connection: sqlite3.Connection, folder: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM names WHERE folder = ? LIMIT 1", (os.fsencode(folder),)
    ).fetchone()
    return found is not None

"""A job's way through the engine: claimed, finished or handed back, recovered after a death.

Attempts rise at claim, so that even an engine that dies leaves its count behind; whatever was
not the photo's doing is refunded.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge_matting.core.errors import SourceGone
from edge_matting.core.jobs import Claim, Done, Failed, Job, Outcome, Place
from edge_matting.core.result_json import result_to_json
from edge_matting.core.states import FINISHED, JobState
from edge_matting.ledger import retry_policy as verdict
from edge_matting.ledger import rows
from edge_matting.ledger.retry_policy import RetryDecision

_WITH_RESULT: Final = frozenset({JobState.SUCCEEDED, JobState.REVIEW})


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of the jobs that a dead process had claimed, as they now stand."""

    returned: tuple[Job, ...]  # pending again
    failed: tuple[Job, ...]  # given up


def claim(connection: sqlite3.Connection, limit: int, now: float, owner: str = "") -> list[Claim]:
    """Take at most ``limit`` due jobs; one that must run alone gets the engine for itself.

    While such a one is due nothing else is handed out, so that the engine drains and its turn
    comes; while it runs nothing else is handed out either. ``owner`` names the engine that
    claims; it begins the token, so that its death gives back its own jobs alone.
    """
    lonely = _due(connection, alone=True, limit=1, now=now)
    if _is_running(connection, alone=True):
        chosen = []
    elif lonely:
        chosen = [] if _is_running(connection, alone=False) else lonely[: max(limit, 0)]
    else:
        chosen = _due(connection, alone=False, limit=max(limit, 0), now=now)
    return [_take(connection, job_id, now, owner) for job_id in chosen]


def held(connection: sqlite3.Connection, claim: Claim) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM job_rows WHERE id = ? AND state = 'running' AND token = ?",
        (claim.job.id, claim.token),
    ).fetchone()
    return row


def release(connection: sqlite3.Connection, claim: Claim, now: float) -> bool:
    row = held(connection, claim)
    if row is None:
        return False
    _put_back(connection, row, verdict.refunded(rows.job(row), row["delays"]), now)
    return True


def finish(
    connection: sqlite3.Connection, claim: Claim, outcome: Outcome, now: float, max_attempts: int
) -> Job | None:
    row = held(connection, claim)
    if row is None:
        return None
    if isinstance(outcome, Done):
        return _complete(connection, row, outcome, now)
    if isinstance(outcome.error, SourceGone) and _is_phantom(connection, row):
        connection.execute(
            "DELETE FROM jobs WHERE id = ? AND state = 'running' AND token = ?",
            (row["id"], row["token"]),
        )
        return None
    decided = verdict.after_error(rows.job(row), row["delays"], outcome.error, max_attempts)
    return _put_back(connection, row, decided, now, outcome)


def waiting_in(connection: sqlite3.Connection, folder: str) -> list[tuple[int, str]]:
    """Ids and sources of the jobs that wait for a file in the folder's ``in/``."""
    found = connection.execute(
        "SELECT id, source FROM job_rows WHERE state = 'pending' AND place = 'in' AND folder = ?",
        (os.fsencode(folder),),
    )
    return [(row["id"], os.fsdecode(row["source"])) for row in found.fetchall()]


def withdraw(connection: sqlite3.Connection, job_ids: Iterable[int], now: float) -> int:
    """End pending jobs whose file was taken away; how many still waited."""
    message = rows.message_text(SourceGone("it was moved or deleted while it waited").message)
    changed = 0
    for job_id in job_ids:
        changed += connection.execute(
            """
            UPDATE jobs SET
                state = 'withdrawn', place = 'gone', settled = 1, updated_at = :now,
                finished_at = :now, code = :code, message = :message
            WHERE id = :id AND state = 'pending' AND place = 'in'
            """,
            {"id": job_id, "now": now, "code": SourceGone.code, "message": message},
        ).rowcount
    return changed


def recover_after_engine_death(
    connection: sqlite3.Connection,
    now: float,
    max_attempts: int,
    *,
    guilty: bool,
    owner: str | None = None,
) -> Recovered:
    running = _running(connection, owner)
    jobs = []
    for row in running:
        job, delays = rows.job(row), row["delays"]
        if not guilty:
            decided = verdict.refunded(job, delays)
        elif len(running) > 1:
            decided = verdict.sent_alone(job, delays)
        else:
            decided = verdict.after_crash(job, delays, max_attempts)
        jobs.append(_put_back(connection, row, decided, now))
    failed = tuple(job for job in jobs if job.state in FINISHED)
    return Recovered(tuple(job for job in jobs if job not in failed), failed)


def _due(connection: sqlite3.Connection, *, alone: bool, limit: int, now: float) -> list[int]:
    """Ids of due jobs, oldest first.

    A job put into the queue "in the future" tells that the clock has jumped back since: it is
    due, and first, or it would wait for a year behind every new one.
    """
    limit = rows.bounded(limit)
    ahead = connection.execute(
        "SELECT id FROM jobs INDEXED BY jobs_queued"
        " WHERE state = 'pending' AND alone = ? AND queued_at > ? ORDER BY queued_at, id LIMIT ?",
        (alone, now, limit),
    ).fetchall()
    due = connection.execute(
        "SELECT id FROM jobs INDEXED BY jobs_due"
        " WHERE state = 'pending' AND alone = ? AND due_at <= ? ORDER BY due_at, id LIMIT ?",
        (alone, now, limit),
    ).fetchall()
    return [row["id"] for row in ahead + due][:limit]


def _is_running(connection: sqlite3.Connection, *, alone: bool) -> bool:
    row = connection.execute(
        "SELECT 1 FROM jobs INDEXED BY jobs_running WHERE state = 'running' AND alone = ? LIMIT 1",
        (alone,),
    ).fetchone()
    return row is not None


def _take(connection: sqlite3.Connection, job_id: int, now: float, owner: str) -> Claim:
    token = f"{owner}-{secrets.token_hex(16)}"
    connection.execute(
        """
        UPDATE jobs SET state = 'running', token = ?, attempts = attempts + 1, updated_at = ?
        WHERE id = ? AND state = 'pending'
        """,
        (token, now, job_id),
    )
    return Claim(read(connection, job_id), token)


def _running(connection: sqlite3.Connection, owner: str | None) -> list[sqlite3.Row]:
    """Jobs in work, of one engine or of all."""
    rows = connection.execute(
        "SELECT * FROM job_rows WHERE state = 'running' ORDER BY id"
    ).fetchall()
    return [row for row in rows if owner is None or row["token"].startswith(f"{owner}-")]


def _is_phantom(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Whether a scan listed the file just before it was moved away as an earlier job's original."""
    earlier = connection.execute(
        """
        SELECT 1 FROM jobs
        WHERE name = ? AND id < ? AND signature = ? AND finished_at IS NOT NULL AND place <> 'in'
        """,
        (row["name"], row["id"], row["signature"]),
    ).fetchone()
    return row["place"] == Place.IN.value and earlier is not None


def _complete(connection: sqlite3.Connection, row: sqlite3.Row, done: Done, now: float) -> Job:
    if done.state not in _WITH_RESULT:
        raise ValueError(f"a job with a result cannot be {done.state.value}")
    result = done.result
    reasons = result.quality.reasons if done.state is JobState.REVIEW else ()
    connection.execute(
        """
        UPDATE jobs SET
            state = :state, token = NULL, settled = 0, updated_at = :now, finished_at = :now,
            code = :code, message = :message, seconds = :seconds, sha256 = :sha256,
            recipe_key = :recipe_key, model_sha256 = :model_sha256,
            own = :own, result = :result, earlier = NULL
        WHERE id = :id AND state = 'running' AND token = :token
        """,
        {
            "id": row["id"],
            "token": row["token"],
            "state": done.state.value,
            "now": now,
            "code": next(iter(reasons), None),
            "message": ", ".join(reasons) or None,
            "seconds": result.seconds.get("total"),
            "sha256": result.sha256,
            "recipe_key": result.recipe_key,
            "model_sha256": result.model_sha256,
            "own": result.cache != "exact",  # "exact" outputs are copies of another job's
            "result": result_to_json(result),
        },
    )
    return read(connection, row["id"])


def _put_back(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    decided: RetryDecision,
    now: float,
    failed: Failed | None = None,
) -> Job:
    connection.execute(
        """
        UPDATE jobs SET
            state = :state, token = NULL, attempts = :attempts, delays = :delays,
            settled = :gone, place = CASE WHEN :gone THEN 'gone' ELSE place END,
            alone = :alone, queued_at = :now, due_at = :due_at, updated_at = :now,
            finished_at = :finished_at, code = :code, message = :message,
            sha256 = coalesce(:sha256, sha256), seconds = coalesce(:seconds, seconds)
        WHERE id = :id AND state = 'running' AND token = :token
        """,
        {
            "id": row["id"],
            "token": row["token"],
            "state": decided.state.value,
            "gone": decided.state is JobState.WITHDRAWN,
            "attempts": decided.attempts,
            "delays": decided.delays,
            "alone": decided.alone,
            "now": now,
            "due_at": now + decided.delay,
            "finished_at": now if decided.state in FINISHED else None,
            "code": decided.code,
            "message": decided.message,
            "sha256": failed.sha256 if failed else None,
            "seconds": failed.seconds if failed else None,
        },
    )
    return read(connection, row["id"])


def read(connection: sqlite3.Connection, job_id: int) -> Job:
    """The job that is known to be there."""
    return rows.job(connection.execute("SELECT * FROM job_rows WHERE id = ?", (job_id,)).fetchone())

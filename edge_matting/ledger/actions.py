"""What a person asks for: do it again, or take the doubted result as it is."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Final

from edge_matting.core.errors import LedgerError
from edge_matting.core.jobs import Job, Output, Place, Signature
from edge_matting.core.reasons import Reason
from edge_matting.core.result_json import result_from_json, result_to_json
from edge_matting.core.states import TRANSITIONS, JobState
from edge_matting.ledger import rows, work

_RETRYABLE: Final = frozenset(
    state for state, targets in TRANSITIONS.items() if JobState.PENDING in targets
) - {JobState.RUNNING}


def retry(
    connection: sqlite3.Connection,
    job_id: int,
    model: str | None,
    now: float,
    signature: Signature | None = None,
) -> Job | None:
    """Put a failed or reviewed job back in the queue; None where there is nothing to retry."""
    row = _row(connection, job_id)
    if row is None or JobState(row["state"]) not in _RETRYABLE:
        return None
    _refuse_outdated(connection, row)
    if row["place"] == Place.GONE.value:
        raise LedgerError(Reason("original_gone", job=job_id), hint=Reason("hint_original_gone"))
    if not row["settled"]:
        # The engine may be moving it this very moment; the new attempt would miss it.
        raise LedgerError(
            Reason("original_moving", job=job_id), hint=Reason("hint_original_moving")
        )
    _requeue(connection, row, model, now, signature)
    return work.read(connection, job_id)


def accept(
    connection: sqlite3.Connection, job_id: int, outputs: tuple[Output, ...], now: float
) -> Job | None:
    """Take a doubted result as good; ``outputs`` say where its files lie now."""
    row = _row(connection, job_id)
    if row is None or row["state"] != JobState.REVIEW.value:
        return None
    _refuse_outdated(connection, row)
    result = replace(result_from_json(row["result"]), outputs=outputs)
    connection.execute(
        """
        UPDATE jobs SET
            state = 'succeeded', result = ?, settled = 0, code = NULL, message = NULL,
            updated_at = ?
        WHERE id = ? AND state = 'review'
        """,
        (result_to_json(result), now, job_id),
    )
    return work.read(connection, job_id)


def _row(connection: sqlite3.Connection, job_id: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM job_rows WHERE id = ?", (rows.bounded(job_id),)
    ).fetchone()
    return row


def _refuse_outdated(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    (newest,) = connection.execute(
        "SELECT max(id) FROM jobs WHERE name = ?", (row["name"],)
    ).fetchone()
    if newest != row["id"]:
        raise LedgerError(
            Reason("job_outdated", job=row["id"], newest=newest),
            hint=Reason("hint_job_outdated", newest=newest),
        )


def _requeue(
    connection: sqlite3.Connection,
    row: sqlite3.Row,
    model: str | None,
    now: float,
    signature: Signature | None = None,
) -> None:
    """Back to the queue; a reviewed result is remembered until another one replaces its files."""
    connection.execute(
        """
        UPDATE jobs SET
            state = 'pending', attempts = 0, delays = 0, alone = 0, settled = 0,
            queued_at = :now, due_at = :now, updated_at = :now, finished_at = NULL,
            model = :model, signature = coalesce(:signature, signature), own = 0,
            earlier = coalesce(result, earlier), result = NULL
        WHERE id = :id AND state = :state
        """,
        {
            "id": row["id"],
            "state": row["state"],
            "model": model,
            "signature": None if signature is None else rows.signature_text(signature),
            "now": now,
        },
    )

"""Where the originals of finished jobs lie, and which still have to be put away."""

from __future__ import annotations

import os
import sqlite3

from edge_matting.core.jobs import Job, Original, Place
from edge_matting.ledger import rows


def moved(connection: sqlite3.Connection, job: Job, original: Original, now: float) -> bool:
    """Record the move; compare-and-swap on where ``job`` says that the original lay.

    The new place is a fact whatever was decided meanwhile; but that it is the right one holds
    only for the state that the mover saw (an accepted review may have to be deleted yet).
    """
    changed = connection.execute(
        """
        UPDATE jobs SET
            place = :place, original = :original, settled = (state = :seen), updated_at = :now
        WHERE id = :id AND finished_at IS NOT NULL
          AND place = :old_place AND original = :old_original
        """,
        {
            "id": rows.bounded(job.id),
            "seen": job.state.value,
            "now": now,
            "place": original.place.value,
            "original": os.fsencode(original.path),
            "old_place": job.original.place.value,
            "old_original": os.fsencode(job.original.path),
        },
    )
    return changed.rowcount == 1


def stays(connection: sqlite3.Connection, job: Job, message: str | None, now: float) -> bool:
    """Record that the original stays where it is, for the state that the caller saw."""
    changed = connection.execute(
        """
        UPDATE jobs SET settled = 1, message = coalesce(:message, message), updated_at = :now
        WHERE id = :id AND finished_at IS NOT NULL AND state = :seen
        """,
        {
            "id": rows.bounded(job.id),
            "seen": job.state.value,
            "now": now,
            "message": None if message is None else rows.message_text(message),
        },
    )
    return changed.rowcount == 1


def put_away_before(
    connection: sqlite3.Connection, place: Place, before: float, limit: int, skip: int = 0
) -> list[Job]:
    found = connection.execute(
        """
        SELECT * FROM job_rows
        WHERE finished_at < ? AND settled = 1 AND place = ?
        ORDER BY finished_at, id LIMIT ? OFFSET ?
        """,
        (before, place.value, max(rows.bounded(limit), 0), rows.bounded(skip)),
    ).fetchall()
    return [rows.job(row) for row in found]


def misplaced(connection: sqlite3.Connection, limit: int) -> list[Job]:
    found = connection.execute(
        "SELECT * FROM job_rows WHERE settled = 0 AND finished_at IS NOT NULL ORDER BY id LIMIT ?",
        (max(rows.bounded(limit), 0),),
    ).fetchall()
    return [rows.job(row) for row in found]

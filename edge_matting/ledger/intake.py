"""Settled files become jobs, each once, and each source keeps its output name for ever."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from edge_matting.core.jobs import Place, Signature, Source
from edge_matting.core.naming import conflicting_stems, stem_candidates
from edge_matting.core.states import JobState
from edge_matting.ledger import rows


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a scan's files."""

    added: int  # new jobs
    followed: int  # jobs not begun yet that now stand for the file's new content
    known: int  # already a job, nothing to do
    busy: tuple[Source, ...]  # an older content is being worked on: ask again later


class _Case(Enum):
    ADDED = "added"
    FOLLOWED = "followed"
    KNOWN = "known"
    BUSY = "busy"


def announce(
    connection: sqlite3.Connection,
    folder: str,
    signature: Signature,
    parameters: str,
    now: float,
) -> None:
    """Keep the parameters of a file that is about to appear in ``folder``'s ``in/``.

    The file has no final name yet; renaming changes nothing of its signature. So a crash before
    the rename leaves a row that no file will ever meet, and one after it a file that does.
    """
    connection.execute(
        "INSERT OR REPLACE INTO sent (folder, signature, parameters, sent_at) VALUES (?, ?, ?, ?)",
        (os.fsencode(folder), rows.signature_text(signature), parameters, now),
    )


def enqueue(connection: sqlite3.Connection, sources: Iterable[Source], now: float) -> Enqueued:
    tally: Counter[_Case] = Counter()
    busy = []
    for source in sources:
        case = _enqueue_one(connection, source, now)
        tally[case] += 1
        if case is _Case.BUSY:
            busy.append(source)
    return Enqueued(tally[_Case.ADDED], tally[_Case.FOLLOWED], tally[_Case.KNOWN], tuple(busy))


def count_new(connection: sqlite3.Connection, sources: Iterable[Source]) -> int:
    """How many of the files would become new jobs."""
    return sum(_is_new(connection, source) for source in sources)


def _is_new(connection: sqlite3.Connection, source: Source) -> bool:
    newest = connection.execute(
        """
        SELECT jobs.id, state, place, signature, finished_at
        FROM names CROSS JOIN jobs ON jobs.name = names.id
        WHERE folder = ? AND source = ? ORDER BY jobs.id DESC LIMIT 1
        """,
        (os.fsencode(source.folder), os.fsencode(source.path)),
    ).fetchone()
    return _case(newest, rows.signature_text(source.signature)) is _Case.ADDED


def _enqueue_one(connection: sqlite3.Connection, source: Source, now: float) -> _Case:
    name = _name(connection, os.fsencode(source.folder), source.path)
    newest = connection.execute(
        "SELECT id, state, place, signature, finished_at FROM jobs WHERE name = ?"
        " ORDER BY id DESC LIMIT 1",
        (name,),
    ).fetchone()
    case = _case(newest, rows.signature_text(source.signature))
    if case is _Case.ADDED:
        _insert(connection, name, source, now)
    elif case is _Case.FOLLOWED:
        _follow(connection, newest["id"], source, now)
    return case


def _case(newest: sqlite3.Row | None, signature: str) -> _Case:
    if newest is None:
        return _Case.ADDED
    same = newest["signature"] == signature
    in_place = newest["place"] == Place.IN.value
    if same and in_place:
        return _Case.KNOWN
    if newest["finished_at"] is not None:
        return _Case.ADDED
    # A retry reads its original in done/ or failed/; it must not be turned to another photo.
    if newest["state"] == JobState.PENDING.value and in_place:
        return _Case.FOLLOWED
    return _Case.BUSY


def _insert(connection: sqlite3.Connection, name: int, source: Source, now: float) -> None:
    connection.execute(
        """
        INSERT INTO jobs
            (name, signature, recipe, parameters, original,
             queued_at, due_at, created_at, updated_at)
        VALUES (:name, :signature, :recipe, :parameters, :original, :now, :now, :now, :now)
        """,
        {**_columns(connection, source, now), "name": name, "original": os.fsencode(source.path)},
    )


def _follow(connection: sqlite3.Connection, job_id: int, source: Source, now: float) -> None:
    connection.execute(
        """
        UPDATE jobs SET
            signature = :signature, recipe = :recipe, parameters = :parameters,
            attempts = 0, delays = 0, alone = 0,
            queued_at = :now, due_at = :now, updated_at = :now,
            code = NULL, message = NULL, sha256 = NULL, seconds = NULL
        WHERE id = :id AND state = 'pending'
        """,
        {**_columns(connection, source, now), "id": job_id},
    )


def _columns(connection: sqlite3.Connection, source: Source, now: float) -> dict[str, object]:
    signature = rows.signature_text(source.signature)
    return {
        "signature": signature,
        "recipe": source.recipe,
        "parameters": _taken_over(connection, os.fsencode(source.folder), signature),
        "now": now,
    }


def _taken_over(connection: sqlite3.Connection, folder: bytes, signature: str) -> str | None:
    """The parameters that the file was sent with, which from now on are the job's."""
    found = connection.execute(
        "SELECT parameters FROM sent WHERE folder = ? AND signature = ?", (folder, signature)
    ).fetchone()
    if found is None:
        return None
    connection.execute("DELETE FROM sent WHERE folder = ? AND signature = ?", (folder, signature))
    return str(found["parameters"])


def _name(connection: sqlite3.Connection, folder: bytes, source: str) -> int:
    """The id of the source's row in `names`, made with the first free stem if it is new."""
    found = connection.execute(
        "SELECT id FROM names WHERE folder = ? AND source = ?", (folder, os.fsencode(source))
    ).fetchone()
    if found is not None:
        return int(found["id"])
    stem = next(s for s in stem_candidates(source) if not _taken(connection, folder, s))
    cursor = connection.execute(
        "INSERT INTO names (folder, source, stem) VALUES (?, ?, ?)",
        (folder, os.fsencode(source), os.fsencode(stem)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def adopt(connection: sqlite3.Connection, folder: str, names: Iterable[tuple[str, str]]) -> int:
    """Give sources the stems that their results lie under, where both are still free."""
    key, adopted = os.fsencode(folder), 0
    for source, stem in names:
        if not _taken(connection, key, stem):
            adopted += connection.execute(
                "INSERT OR IGNORE INTO names (folder, source, stem) VALUES (?, ?, ?)",
                (key, os.fsencode(source), os.fsencode(stem)),
            ).rowcount
    return adopted


def _taken(connection: sqlite3.Connection, folder: bytes, stem: str) -> bool:
    rivals = [os.fsencode(rival) for rival in conflicting_stems(stem)]
    places = ", ".join("?" * len(rivals))
    row = connection.execute(
        f"SELECT 1 FROM names WHERE folder = ? AND stem IN ({places})",  # noqa: S608  only "?"
        (folder, *rivals),
    ).fetchone()
    return row is not None

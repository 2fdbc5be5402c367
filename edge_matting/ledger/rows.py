"""Values to columns and back; the only place that knows how a job is stored."""

from __future__ import annotations

import os
import sqlite3
from typing import Final

from edge_matting.core.jobs import Job, Original, Place, Signature, StoredResult
from edge_matting.core.result_json import result_from_json
from edge_matting.core.states import JobState

_LARGEST: Final = 2**63 - 1


def bounded(number: int) -> int:
    """The nearest number SQLite can hold; ids and limits come from outside."""
    return max(-_LARGEST, min(number, _LARGEST))


def signature_text(signature: Signature) -> str:
    """Text, for inodes and times of some file systems do not fit SQLite's integers."""
    return f"{signature.size}:{signature.mtime_ns}:{signature.inode}"


def message_text(message: str) -> str:
    """A message that may quote an undecodable file name, made printable."""
    return message.encode("utf-8", "backslashreplace").decode()


def job(row: sqlite3.Row) -> Job:
    """The job in a row of the view `job_rows`."""
    size, mtime_ns, inode = map(int, row["signature"].split(":"))
    return Job(
        id=row["id"],
        folder=os.fsdecode(row["folder"]),
        source=os.fsdecode(row["source"]),
        signature=Signature(size, mtime_ns, inode),
        recipe=row["recipe"],
        state=JobState(row["state"]),
        attempts=row["attempts"],
        alone=bool(row["alone"]),
        stem=os.fsdecode(row["stem"]),
        original=Original(Place(row["place"]), os.fsdecode(row["original"])),
        model=row["model"],
        parameters=row["parameters"],
        code=row["code"],
        message=row["message"],
        sha256=row["sha256"],
        outputs=result_from_json(row["result"]).outputs if row["result"] else (),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        finished_at=row["finished_at"],
        seconds=row["seconds"],
    )


def stored_result(row: sqlite3.Row) -> StoredResult:
    """The result in a row of `job_rows`: its own, or the reviewed one it had before a retry."""
    state = JobState(row["state"]) if row["result"] else JobState.REVIEW
    text = row["result"] or row["earlier"]
    return StoredResult(state, os.fsdecode(row["folder"]), result_from_json(text), row["id"])

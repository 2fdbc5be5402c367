"""The ledger as the daemon and the engine see it; what each call means stands in its module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import final

from edge_matting.core.clock import Clock
from edge_matting.core.jobs import (
    Claim,
    Job,
    Original,
    Outcome,
    Output,
    Place,
    Result,
    Signature,
    Source,
    StoredResult,
    TimeBucket,
)
from edge_matting.core.states import JobState
from edge_matting.ledger import actions, intake, originals, reading, work
from edge_matting.ledger import maintenance as upkeep
from edge_matting.ledger.database import Database
from edge_matting.ledger.intake import Enqueued
from edge_matting.ledger.work import Recovered


@final
class Ledger:
    """The durable job table; a `JobSource` for the engine, and the daemon's book.

    Safe for several threads, and for several processes with a `Ledger` each on the same file.
    What a method did is on disk when it returns, but for `claim`, `moved` and `stays`: a power cut
    may undo those, and only those after the last of the others. Nothing is lost with them: a claim
    would be taken back unharmed after the restart, and an original is found where it lies.
    Every method may raise ``LedgerError`` (disk
    full, locked for 10 s, damaged: ``LedgerCorrupt``); nothing has changed then.
    """

    def __init__(
        self, database: Database, clock: Clock, max_attempts: int, owner: str = ""
    ) -> None:
        self._database = database
        self._clock = clock
        self._max_attempts = max_attempts
        self._owner = owner

    @classmethod
    def open(cls, path: Path, *, clock: Clock, max_attempts: int, owner: str = "") -> Ledger:
        """Open the ledger, made new where there is none and brought to the newest version.

        ``owner`` names who claims with it, one name for each engine.
        """
        return cls(Database(path), clock, max_attempts, owner)

    def close(self) -> None:
        self._database.close()

    kept_as: Path | None = None
    """Where the damaged ledger lies that this one took the place of."""

    def fault(self) -> str | None:
        """Why what is open is no sound ledger any more: replaced, deleted, cut, damaged."""
        return self._database.fault()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Intake.

    def enqueue(self, sources: Sequence[Source]) -> Enqueued:
        """Make jobs of settled files that are none yet, all in one transaction."""
        with self._database.write() as connection:
            return intake.enqueue(connection, sources, self._clock.now())

    def count_new(self, sources: Sequence[Source]) -> int:
        """How many of the files are no job yet."""
        with self._database.read() as connection:
            return intake.count_new(connection, sources)

    def waiting_in(self, folder: str) -> list[tuple[int, str]]:
        """Ids and sources of the jobs that wait for a file in the folder's ``in/``."""
        with self._database.read() as connection:
            return work.waiting_in(connection, folder)

    def withdraw(self, job_ids: Sequence[int]) -> int:
        """End waiting jobs whose file was taken away; how many still waited."""
        with self._database.write() as connection:
            return work.withdraw(connection, job_ids, self._clock.now())

    def announce(self, folder: str, signature: Signature, parameters: str) -> None:
        """Keep the recipe parameters of a file that is about to appear in the folder's ``in/``."""
        with self._database.write() as connection:
            intake.announce(connection, folder, signature, parameters, self._clock.now())

    def adopt(self, folder: str, names: Iterable[tuple[str, str]]) -> int:
        """Take over (source, stem) pairs of results that lie in a folder; how many were new.

        After a ledger was lost, this keeps another source from overwriting them.
        """
        with self._database.write() as connection:
            return intake.adopt(connection, folder, names)

    # Work.

    def claim(self, limit: int) -> Sequence[Claim]:
        """At most ``limit`` due jobs, oldest first, their attempts counted."""
        with self._database.write(synced=False) as connection:
            return work.claim(connection, limit, self._clock.now(), self._owner)

    def holds(self, claim: Claim) -> bool:
        """Whether the claim is still the valid one."""
        with self._database.read() as connection:
            return work.held(connection, claim) is not None

    def release(self, claim: Claim) -> bool:
        """Hand the job back unharmed: pending, due now, its attempt refunded."""
        with self._database.write() as connection:
            return work.release(connection, claim, self._clock.now())

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Record the outcome and return the job as it now stands.

        None for a stale claim, which changes nothing; and for a phantom, which is deleted: its
        source is gone because an earlier job's original was just moved away from there.
        """
        with self._database.write() as connection:
            return work.finish(connection, claim, outcome, self._clock.now(), self._max_attempts)

    def recover_after_engine_death(self, *, guilty: bool, owner: str | None = None) -> Recovered:
        """Take back what a dead engine had claimed: the one called ``owner``, or all.

        ``guilty`` says that a photo may have killed it (a crash, out of memory, a hang), not we.
        Several claimed: all refunded, and each runs alone next. One: its attempt counts.
        """
        with self._database.write() as connection:
            return work.recover_after_engine_death(
                connection, self._clock.now(), self._max_attempts, guilty=guilty, owner=owner
            )

    # Originals.

    def moved(self, job: Job, original: Original) -> bool:
        """Record where the original of a finished job lies now, unless somebody else did."""
        with self._database.write(synced=False) as connection:
            return originals.moved(connection, job, original, self._clock.now())

    def stays(self, job: Job, message: str | None = None) -> bool:
        """Record that the original of a finished job stays where it is, and why if not by wish."""
        with self._database.write(synced=False) as connection:
            return originals.stays(connection, job, message, self._clock.now())

    def misplaced(self, limit: int) -> Sequence[Job]:
        """Finished jobs whose original is neither `moved` nor `stays` yet, oldest first."""
        with self._database.read() as connection:
            return originals.misplaced(connection, limit)

    def put_away_before(
        self, place: Place, before: float, limit: int, *, skip: int = 0
    ) -> Sequence[Job]:
        """Jobs finished before that moment whose original lies in ``place``, oldest first.

        The oldest ``skip`` of them are left out.
        """
        with self._database.read() as connection:
            return originals.put_away_before(connection, place, before, limit, skip)

    # Actions.

    def retry(
        self, job_id: int, *, model: str | None = None, signature: Signature | None = None
    ) -> Job | None:
        """Put a failed or reviewed job back in the queue; None if there is no such job.

        ``signature`` is what its original looks like now, where somebody has changed that.
        Raises ``LedgerError`` when a newer photo took its place, or its original is gone or
        still on its way.
        """
        with self._database.write() as connection:
            return actions.retry(connection, job_id, model, self._clock.now(), signature)

    def accept(self, job_id: int, outputs: tuple[Output, ...]) -> Job | None:
        """Take a reviewed job's result as good; None if there is no such job.

        Raises ``LedgerError`` when a newer photo took its place.
        """
        with self._database.write() as connection:
            return actions.accept(connection, job_id, outputs, self._clock.now())

    # Reading.

    def get(self, job_id: int) -> Job | None:
        with self._database.read() as connection:
            return reading.get(connection, job_id)

    def jobs(self, state: JobState | None, limit: int, before: int | None = None) -> list[Job]:
        """At most ``limit`` jobs, newest (highest id) first, with an id below ``before``."""
        with self._database.read() as connection:
            return reading.jobs(connection, state, limit, before)

    def newest(self, folder: str, source: str) -> Job | None:
        """The newest job of that source."""
        with self._database.read() as connection:
            return reading.newest(connection, folder, source)

    def result(self, job_id: int) -> Result | None:
        """The result of a job that succeeded or is in review."""
        with self._database.read() as connection:
            return reading.result(connection, job_id)

    def counts(self) -> dict[JobState, int]:
        """How many jobs stand in each state."""
        with self._database.read() as connection:
            return reading.counts(connection)

    def knows(self, folder: str) -> bool:
        """Whether the folder ever had a job."""
        with self._database.read() as connection:
            return reading.knows(connection, folder)

    def oldest_pending(self) -> float | None:
        """When the oldest pending job was created."""
        with self._database.read() as connection:
            return reading.oldest_pending(connection)

    def rate(self, seconds: float) -> dict[JobState, int]:
        """How many jobs finished in the last ``seconds``, by state."""
        with self._database.read() as connection:
            return reading.rate(connection, seconds, self._clock.now())

    def finished(self, after: float, until: float) -> list[tuple[int, float]]:
        """Ids and moments of the jobs that finished in that time (wall clock), oldest first."""
        with self._database.read() as connection:
            return reading.finished(connection, after, until)

    def history(self, slots: int, width: float) -> list[TimeBucket]:
        """What finished in each of the last ``slots`` stretches of ``width`` seconds."""
        with self._database.read() as connection:
            return reading.history(connection, slots, width, self._clock.now())

    def next_due(self) -> float | None:
        """When the next pending job becomes due (wall clock); None when none is pending."""
        with self._database.read() as connection:
            return reading.next_due(connection, self._clock.now())

    def find_result(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        """The newest result that a job made itself for the same bytes, recipe and model."""
        with self._database.read() as connection:
            return reading.find_result(connection, sha256, recipe_key, model_sha256)

    def previous_outputs(self, folder: str, source: str, before_id: int) -> StoredResult | None:
        """The result whose files job ``before_id`` of the source replaces."""
        with self._database.read() as connection:
            return reading.previous_outputs(connection, folder, source, before_id)

    # Housekeeping.

    def prune(self, older_than_seconds: float) -> int:
        """Forget jobs that finished longer ago; output names are never forgotten."""
        return upkeep.prune(self._database, self._clock.now() - older_than_seconds)

    def damage(self) -> list[str]:
        """What is physically wrong with the file: the quick part of ``check``, for every start."""
        return upkeep.damage(self._database)

    def check(self) -> list[str]:
        """Audit the whole store: every broken rule in a sentence, empty when all is well."""
        return upkeep.check(self._database)

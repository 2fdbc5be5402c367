"""The seam between the engine and where its jobs come from: a ledger with hot folders, or a fleet.

`JobSource` is the work itself, `PhotoStore` gives the bytes of a job and takes its files; these two
are all that an engine is handed. `Originals` and `EarlierResults` are what hot folders need of
their ledger besides; a source without folders has neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_matting.core.jobs import Claim, Job, Original, Outcome, Result, StoredResult
from edge_matting.pipeline import FinishedPhoto, PhotoTask


class ClaimLost(Exception):
    """The claim was given to another meanwhile; the work on it is thrown away."""


class JobSource(Protocol):
    """Hands out jobs and takes their outcomes.

    Each method raises ``JobSourceError`` where the source cannot be used; nothing has changed then.
    """

    def claim(self, limit: int) -> Sequence[Claim]:
        """At most ``limit`` jobs that are due, each with its attempt already counted."""

    def holds(self, claim: Claim) -> bool:
        """Whether the claim is still the valid one."""

    def finish(self, claim: Claim, outcome: Outcome) -> Job | None:
        """Record the outcome and return the job as it now stands; None for a stale claim."""

    def release(self, claim: Claim) -> bool:
        """Hand the job back unharmed; its attempt is refunded."""


class Originals(Protocol):
    """The record of where the originals of finished jobs lie."""

    def moved(self, job: Job, original: Original) -> bool:
        """Record where the job's original now lies."""

    def stays(self, job: Job, message: str | None = None) -> bool:
        """Record that the original of a finished job stays where it is, and why."""

    def misplaced(self, limit: int) -> Sequence[Job]:
        """Finished jobs whose original has not reached its place yet."""


class EarlierResults(Protocol):
    """The record of what was made before."""

    def find_result(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        """The newest result for the same bytes, recipe and model."""

    def previous_outputs(self, folder: str, source: str, before_id: int) -> StoredResult | None:
        """The result whose files job ``before_id`` of the source replaces."""


class Results(Protocol):
    """Where the result of one photo goes."""

    @property
    def reuses(self) -> bool:
        """Whether an earlier result of the same bytes, recipe and model may be copied."""

    def find(self, sha256: str, recipe_key: str, model_sha256: str) -> StoredResult | None:
        """Such an earlier result."""

    def copy(self, stored: StoredResult, result: Result) -> StoredResult | None:
        """Publish copies of a stored result's files; None where they are missing or altered."""

    def publish(self, photo: FinishedPhoto) -> StoredResult:
        """Publish the files, the sidecar last; the result with its outputs and their root.

        A result without a ``root`` cannot be copied later.
        """

    def keep_thumbnail(self, jpeg: bytes) -> None:
        """Keep the small before/after picture of a photo whose task asked for one."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedPhoto:
    """A claimed photo by value: its bytes, what to make of them, and who takes the result."""

    task: PhotoTask
    results: Results


class PhotoStore(Protocol):
    """The photos of claimed jobs. Only it knows what a path is."""

    def open(self, claim: Claim) -> OpenedPhoto:
        """The photo's bytes and settings; raises ``JobError`` where they cannot be had."""

    def put_away(self, job: Job) -> None:
        """Bring the original of a finished job to its place; never raises for one photo."""

    def put_away_all(self, progress: Callable[[], None]) -> None:
        """Make good what a crash, a full disk or an accepted review left undone.

        ``progress`` is called for each original: a slow disk is no hang.
        """

    def may_still_grow(self, job: Job) -> bool:
        """Whether a photo that ends too early may be one that somebody is still writing."""

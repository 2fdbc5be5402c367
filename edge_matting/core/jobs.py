"""The values that travel: a source, its job, a claim on it, and what came of it.

Paths inside these values are ``str`` relative to a named root, decoded with
``os.fsdecode`` (undecodable bytes survive as surrogate escapes).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from edge_matting.core.errors import JobError
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState

COARSE_NS: Final = 2_000_000_000
"""FAT keeps times to two seconds, other file systems to a second or to a hundred nanoseconds."""


class Place(str, Enum):
    """The folder of a hot folder in which a job's original lies."""

    IN = "in"
    DONE = "done"
    FAILED = "failed"
    GONE = "gone"  # deleted by us after success, or taken away by somebody


@dataclass(frozen=True, slots=True)
class Signature:
    """What ``stat`` reports of a file's content without reading it."""

    size: int
    mtime_ns: int
    inode: int  # 0 where the file system gives the same file now this one, now that

    @classmethod
    def of(cls, status: os.stat_result, *, stable_inode: bool = True) -> Signature:
        return cls(status.st_size, status.st_mtime_ns, status.st_ino if stable_inode else 0)

    def agrees(self, status: os.stat_result, *, copied: bool = False) -> bool:
        """Whether a file looks like this; a copy has another inode and perhaps coarser times."""
        late = abs(status.st_mtime_ns - self.mtime_ns)
        same_inode = copied or self.inode in {0, status.st_ino}
        same_time = late <= COARSE_NS if copied else late == 0
        return status.st_size == self.size and same_time and same_inode


@dataclass(frozen=True, slots=True)
class Source:
    """A settled file in a hot folder's ``in/``, ready to become a job."""

    folder: str  # absolute path of the hot folder, its identity in the ledger
    path: str  # relative to in/
    signature: Signature
    recipe: str


@dataclass(frozen=True, slots=True)
class Original:
    """Where a job's original lies now."""

    place: Place
    path: str  # relative to that place


@dataclass(frozen=True, slots=True)
class Output:
    """One published file."""

    file: str  # relative to the folder that holds the results (out/ or review/)
    kind: str
    format: str
    sha256: str


@dataclass(frozen=True, slots=True)
class EncodedOutput:
    """One output file, not yet written; ``format`` is png, webp, jpg, tiff or avif."""

    kind: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the ledger, as read."""

    id: int
    folder: str
    source: str  # relative to in/, as dropped
    signature: Signature
    recipe: str
    state: JobState
    attempts: int
    alone: bool  # runs with no neighbour, after an engine died with it
    stem: str  # output name without extension, relative to out/, unique in the folder
    original: Original
    model: str | None = None  # a model asked for by a retry
    parameters: str | None = None  # of the recipe, for this photo alone: canonical JSON
    code: str | None = None  # error code or review reason of the last attempt
    message: str | None = None
    sha256: str | None = None
    outputs: tuple[Output, ...] = ()
    created_at: float = 0.0  # seconds since the epoch, UTC
    updated_at: float = 0.0
    finished_at: float | None = None
    seconds: float | None = None  # of the last attempt


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job; a stale token changes nothing."""

    job: Job
    token: str


@dataclass(frozen=True, slots=True)
class Execution:
    """What really ran."""

    backend: str
    provider: str
    precision: str
    resolution: tuple[int, int]  # width, height of the model's input
    batch: int


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality gate's verdict on one alpha matte."""

    verdict: str  # "ok" or "review"
    reasons: tuple[str, ...]
    coverage: float  # mean alpha, 0 to 1
    uncertain_fraction: float  # share of pixels with 0.05 < alpha < 0.95
    border_contact: float  # share of border pixels with alpha > 0.5
    predicted_error: float | None = None  # chance that IoU with the true matte is below 0.9
    doubted: tuple[float, float, float, float] | None = None
    """Of what goes to review: left, top, width, height of the place, in shares of the picture."""


@dataclass(frozen=True, slots=True)
class GroundFound:
    """What was found of the ground behind the subject."""

    kind: str  # plain, two, chroma, plate; none where it is not known
    plainness: float  # share of the border (of a plate: of the background) that is as expected
    noise: float  # deviation from its colour, CIELAB
    disagreement: float = 0.0  # area that the network judged otherwise, of the subject's
    doubt: float = 0.0  # area of regions that key and network leave undecided, of the subject's
    note: str | None = None  # why a plate was refused


@dataclass(frozen=True, slots=True)
class Result:
    """A finished matte, published: what the sidecar and the ledger keep."""

    sha256: str  # of the source's bytes
    source_size: tuple[int, int]  # width, height, upright
    outputs: tuple[Output, ...]
    recipe_key: str  # digest of the resolved recipe and the processing version
    model_id: str
    model_sha256: str
    execution: Execution
    cache: str  # miss, exact, matte, perceptual
    quality: Quality
    seconds: Mapping[str, float] = field(default_factory=dict)
    cache_evidence: Mapping[str, float] = field(default_factory=dict)  # distances that decided
    notes: tuple[Reason, ...] = ()  # of the source: what was left out of it
    ground: GroundFound | None = None  # None where the recipe asks for none


@dataclass(frozen=True, slots=True)
class Done:
    """The photo has its outputs; ``state`` is SUCCEEDED or REVIEW."""

    state: JobState
    result: Result


@dataclass(frozen=True, slots=True)
class Failed:
    """The photo could not be done this time."""

    error: JobError
    sha256: str | None = None
    seconds: float | None = None


Outcome = Done | Failed


@dataclass(frozen=True, slots=True)
class StoredResult:
    """An earlier result for the same bytes, recipe and model."""

    state: JobState
    folder: str
    result: Result
    job_id: int = 0  # 0 where no ledger is
    root: str | None = None  # what its outputs are relative to; None: its folder's place for them


@dataclass(frozen=True, slots=True)
class TimeBucket:
    """Throughput in one time bucket."""

    finished: int
    failed: int  # of those
    mean_seconds: float | None  # spent on a photo, not waiting; None where none was timed
    longest_seconds: float | None

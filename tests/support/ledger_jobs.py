"""Jobs of a ledger under test: made, claimed and finished in one line each."""

from __future__ import annotations

from edge_matting.config import Settings
from edge_matting.core.errors import JobError, NotAnImage
from edge_matting.core.jobs import (
    Claim,
    Done,
    Execution,
    Failed,
    Job,
    Original,
    Output,
    Place,
    Quality,
    Result,
    Signature,
    Source,
)
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger

FOLDER = "/srv/hot"
PENDING, RUNNING, SUCCEEDED, REVIEW, FAILED, WITHDRAWN = JobState


def source(path: str = "a.jpg", version: int = 1, folder: str = FOLDER) -> Source:
    return Source(folder, path, Signature(100, version, 7), "cutout")


def a_result(
    *files: str, sha256: str = "s", cache: str = "miss", reasons: tuple[str, ...] = ()
) -> Result:
    return Result(
        sha256=sha256,
        source_size=(640, 480),
        outputs=tuple(Output(file, "cutout", "png", "0" * 64) for file in files),
        recipe_key="r",
        model_id="default",
        model_sha256="m",
        execution=Execution("ort", "cpu", "fp32", (512, 512), 1),
        cache=cache,
        quality=Quality("review" if reasons else "ok", reasons, 0.4, 0.01, 0.1),
        seconds={"decode": 0.5, "total": 1.5},
    )


def claim_one(ledger: Ledger) -> Claim:
    (claim,) = ledger.claim(1)
    return claim


def finished(ledger: Ledger, claim: Claim, state: JobState, result: Result | None = None) -> Job:
    job = ledger.finish(claim, Done(state, result or a_result("a.png")))
    assert job is not None
    return job


def failed(ledger: Ledger, claim: Claim, error: JobError) -> Job:
    job = ledger.finish(claim, Failed(error))
    assert job is not None
    return job


def put_away(ledger: Ledger, job: Job, place: Place = Place.DONE) -> Job:
    assert ledger.moved(job, Original(place, job.source))
    moved = ledger.get(job.id)
    assert moved is not None
    return moved


def given_up(ledger: Ledger, path: str = "a.jpg", version: int = 1) -> Job:
    """A failed job with its original in failed/."""
    ledger.enqueue([source(path, version)])
    job = failed(ledger, claim_one(ledger), NotAnImage("not a picture"))
    return put_away(ledger, job, Place.FAILED)


def reviewed(ledger: Ledger) -> Job:
    ledger.enqueue([source()])
    result = a_result("a.png", reasons=("no_subject", "flat"))
    return put_away(ledger, finished(ledger, claim_one(ledger), REVIEW, result))


def failed_jobs(settings: Settings, ledger: Ledger, names: list[str]) -> None:
    """Photos in ``in/`` that could not be done, and are to be put away."""
    folder = settings.hot_folders[0]
    for name in names:
        path = folder.inbox / name
        path.write_bytes(name.encode())
        source = Source(str(folder.path), name, Signature.of(path.lstat()), "cutout")
        ledger.enqueue([source])
    for claim in ledger.claim(len(names)):
        ledger.finish(claim, Failed(NotAnImage("no picture")))

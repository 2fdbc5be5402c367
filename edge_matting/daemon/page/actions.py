"""What a person may do to a job from the page: try it again, or accept a doubted result."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from http import HTTPStatus

from edge_matting.config import HotFolder
from edge_matting.core.clock import Clock
from edge_matting.core.errors import LedgerError
from edge_matting.core.jobs import Job
from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.ledger import Ledger
from edge_matting.publish import accept_result
from edge_matting.status.interfaces import ActionRefused


class Actions:
    """Called from the page's threads; raises ``ActionRefused`` with what to do instead."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._accepting = threading.Lock()

    def retry(self, job_id: int, model: str | None) -> Job:
        """Put a failed or reviewed job back in the queue."""
        try:
            job = self._ledger.retry(job_id, model=model)
        except LedgerError as error:
            raise ActionRefused("not_possible", error.what) from error
        if job is None:
            raise self._not_in(job_id, Reason("retryable"))
        return job

    def accept(self, job_id: int, folders: Sequence[HotFolder]) -> Job:
        """Move a reviewed job's result to ``out/``, then take it as good."""
        with self._accepting:
            job = self._ledger.get(job_id)
            if job is None or job.state is not JobState.REVIEW:
                raise self._not_in(job_id, Reason("acceptable"))
            folder = _folder_of(job, folders)
            outputs = accept_result(
                folder.door(folder.review),
                folder.door(folder.outbox),
                job.stem,
                job.outputs,
                self._clock.now(),
                job_id=job_id,
            )
            if outputs is None:
                raise ActionRefused(
                    "result_missing",
                    Reason("result_missing", job=job_id, folder=str(folder.review)),
                )
            try:
                accepted = self._ledger.accept(job_id, outputs)
            except LedgerError as error:
                raise ActionRefused("not_possible", error.what) from error
        if accepted is None:
            raise self._not_in(job_id, Reason("acceptable"))
        return accepted

    def _not_in(self, job_id: int, wanted: Reason) -> ActionRefused:
        job = self._ledger.get(job_id)
        if job is None:
            return ActionRefused(
                "no_such_job", Reason("no_such_job", job=job_id), HTTPStatus.NOT_FOUND.value
            )
        return ActionRefused(
            "wrong_state",
            Reason("wrong_state", job=job_id, state=job.state.value, wanted=wanted),
        )


def _folder_of(job: Job, folders: Sequence[HotFolder]) -> HotFolder:
    for folder in folders:
        if str(folder.path) == job.folder:
            return folder
    raise ActionRefused("folder_unknown", Reason("folder_unknown", folder=job.folder))

"""Job states and the one table of transitions between them."""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final


class JobState(str, Enum):
    """Where a job stands; the values are part of the public interface."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    REVIEW = "review"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"  # its photo was taken away while it waited; nobody is at fault


TRANSITIONS: Final = MappingProxyType(
    {
        JobState.PENDING: frozenset({JobState.RUNNING, JobState.WITHDRAWN}),
        JobState.RUNNING: frozenset(
            {
                JobState.PENDING,
                JobState.SUCCEEDED,
                JobState.REVIEW,
                JobState.FAILED,
                JobState.WITHDRAWN,
            }
        ),
        JobState.REVIEW: frozenset({JobState.PENDING, JobState.SUCCEEDED}),
        JobState.FAILED: frozenset({JobState.PENDING}),
        JobState.SUCCEEDED: frozenset[JobState](),
        JobState.WITHDRAWN: frozenset[JobState](),
    }
)

FINISHED: Final = frozenset(
    {JobState.SUCCEEDED, JobState.REVIEW, JobState.FAILED, JobState.WITHDRAWN}
)
"""States that a job rests in; its original, where there still is one, has a place to go to then."""

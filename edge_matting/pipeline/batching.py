"""Inferences of several photos at once, joined from what happens to wait at the same time.

A batch is never waited for without reason: it is formed of the pictures that came while the one
before was computed, and of those that come within a short window while other photos are known to
be on their way to the model. A photo that is alone is computed at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from edge_matting.core.errors import InferenceFailed
from edge_matting.core.tasks import TASKS
from edge_matting.models import Manifest
from edge_matting.runtimes import Session, SessionInfo
from edge_matting.runtimes.session import Tensor

WINDOW_SECONDS: Final = 0.005
"""A batch waits at most so long for photos on their way: less than a photo takes to decode."""


@dataclass(slots=True, eq=False)
class _Picture:
    """One picture's inference: asked for by one thread, perhaps computed by another's."""

    tensor: Tensor
    output: Tensor | None = None
    error: BaseException | None = None
    joined: int = 0  # pictures in its batch
    done: bool = False


class BatchedSession:
    """A ``Session`` whose callers hand in one picture each; at most ``largest`` run together.

    For use by several threads. Of those that wait one computes for all; memory and latency are
    bounded by ``largest`` pictures in work and the callers' own number waiting.
    """

    def __init__(self, session: Session, largest: int, window: float = WINDOW_SECONDS) -> None:
        self._session = session
        self._largest = largest
        self._window = window
        self._waiting: list[_Picture] = []
        self._coming: set[int] = set()  # threads whose photo is on its way to the model
        self._computing = False  # one thread has the model
        self._changed = threading.Condition()
        self._last = threading.local()

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Within it, this thread's photo may soon ask for an inference."""
        self._announce(coming=True)
        try:
            yield
        finally:
            self._announce(coming=False)

    def run(self, batch: Tensor) -> Tensor:
        """The output of one picture (1 x ...); what else waits is computed along.

        Raises what the session raises. Where a batch of several fails for what may be one
        picture's fault, each is tried alone.
        """
        picture = _Picture(batch)
        with self._changed:
            self._coming.discard(threading.get_ident())
            self._waiting.append(picture)
            self._changed.notify_all()
            self._changed.wait_for(lambda: picture.done or not self._computing)
            leads = not picture.done
            self._computing = self._computing or leads
            pictures = self._gathered(picture) if leads else []
        if leads:
            self._compute(pictures)
            with self._changed:
                self._computing = False
                for each in pictures:
                    each.done = True
                self._changed.notify_all()
        self._last.joined = picture.joined
        if picture.error is not None:
            raise picture.error
        assert picture.output is not None
        return picture.output

    def joined(self) -> int:
        """How many pictures ran together when this thread's last one did; 1 before."""
        return int(getattr(self._last, "joined", 1))

    def warm(self) -> None:
        self._session.warm()

    def describe(self) -> SessionInfo:
        return self._session.describe()

    def close(self) -> None:
        self._session.close()

    def _announce(self, *, coming: bool) -> None:
        with self._changed:
            change = self._coming.add if coming else self._coming.discard
            change(threading.get_ident())
            self._changed.notify_all()

    def _gathered(self, own: _Picture) -> list[_Picture]:
        """The caller's picture and those that wait beside it, oldest first, as many as may be."""
        self._changed.wait_for(
            lambda: len(self._waiting) >= self._largest or not self._coming, self._window
        )
        others = [each for each in self._waiting if each is not own]
        self._waiting = others[self._largest - 1 :]
        return [own, *others[: self._largest - 1]]

    def _compute(self, pictures: list[_Picture]) -> None:
        try:
            self._run_together(pictures)
        except InferenceFailed as error:
            if len(pictures) == 1:
                pictures[0].error = error
            else:
                for each in pictures:
                    self._compute([each])
        except BaseException as error:  # noqa: BLE001  every caller raises it in its own thread
            for each in pictures:
                each.error = error

    def _run_together(self, pictures: list[_Picture]) -> None:
        if len(pictures) == 1:
            outputs = self._session.run(pictures[0].tensor)
        else:
            outputs = self._session.run(np.concatenate([each.tensor for each in pictures]))
        if len(outputs) != len(pictures):
            raise InferenceFailed(f"{len(pictures)} pictures went in, {len(outputs)} came out")
        for number, each in enumerate(pictures):
            each.output, each.joined = outputs[number : number + 1], len(pictures)


def batched(session: Session, manifest: Manifest, largest: int) -> Session:
    """``session`` itself where plan, task or graph lets no two pictures run together."""
    joins = TASKS[manifest.task].joins_photos
    alone = largest == 1 or manifest.input.batch is not None or not joins
    return session if alone else BatchedSession(session, largest)


@contextmanager
def on_its_way(session: Session) -> Iterator[None]:
    """Within it this thread prepares a photo for the session."""
    if isinstance(session, BatchedSession):
        with session.coming():
            yield
    else:
        yield


def joined(session: Session) -> int:
    """The size of the batch in which this thread's last picture ran."""
    return session.joined() if isinstance(session, BatchedSession) else 1

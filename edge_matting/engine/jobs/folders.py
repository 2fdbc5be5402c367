"""Where each hot folder keeps what, and whether it can be worked in right now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_matting.config import HotFolder
from edge_matting.core.anchored import AnchoredFile, AnchoredFolder
from edge_matting.core.errors import FolderUnavailable
from edge_matting.core.jobs import Job, Place
from edge_matting.core.states import JobState


class Folders:
    """The hot folders by the name the ledger knows them by."""

    def __init__(self, folders: Sequence[HotFolder]) -> None:
        self._by_name = {str(folder.path): folder for folder in folders}

    def of(self, name: str) -> HotFolder:
        """Raises ``FolderUnavailable`` for a folder that left the configuration."""
        try:
            return self._by_name[name]
        except KeyError:
            raise FolderUnavailable(
                f"{name}: is no longer in the configuration", hint="add it to hot_folders again"
            ) from None

    def known(self, name: str) -> bool:
        return name in self._by_name

    def results(self, name: str, state: JobState) -> Path:
        """The folder that holds results of that state."""
        folder = self.of(name)
        return folder.review if state is JobState.REVIEW else folder.outbox

    def results_door(self, name: str, state: JobState) -> AnchoredFolder:
        """The way to them."""
        return self.of(name).door(self.results(name, state))

    def original(self, job: Job) -> AnchoredFile:
        """Where the job's original lies now."""
        folder = self.of(job.folder)
        return folder.door(place_of(folder, job.original.place)).file(job.original.path)


def place_of(folder: HotFolder, place: Place) -> Path:
    """The folder that a place means; a deleted original is looked for where it was dropped."""
    return {Place.DONE: folder.done, Place.FAILED: folder.failed}.get(place, folder.inbox)

"""The models at hand: those shipped with the appliance and those a user added.

Each lies in a folder of its own, named like its id, with ``manifest.yaml`` beside its file. The
manifest is written last when a model is added, so it means that the model is complete.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Final

from edge_matting.core.durable import durable_remove, read_chunks
from edge_matting.core.errors import ModelError
from edge_matting.core.model_ids import current_id
from edge_matting.models.manifest import (
    MANIFEST_NAME,
    Manifest,
    ModelFile,
    check_id,
    load_manifest,
)

HIDDEN: Final = (
    "your model has the name of a shipped one, which is used; add its file under another --id and "
    "remove this one"
)


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One model of the listing; ``fault`` says why it cannot be used."""

    id: str
    folder: Path
    shipped: bool
    manifest: Manifest | None
    fault: str | None = None


def shipped_models_dir() -> Path:
    """The folder of the models that travel with the package."""
    return Path(str(resources.files("edge_matting"))) / "data" / "models"


class Catalog:
    """Finds models by id; a shipped one is never hidden by an added one."""

    def __init__(self, shipped_dir: Path, added_dir: Path) -> None:
        self._shipped_dir = shipped_dir
        self._added_dir = added_dir

    @property
    def added_dir(self) -> Path:
        return self._added_dir

    def list(self) -> tuple[CatalogEntry, ...]:
        """All models, shipped ones first, each with its fault if it has one."""
        shipped = [_entry(folder, shipped=True) for folder in _folders(self._shipped_dir)]
        reached = (f for f in _folders(self._added_dir) if not self.is_shipped(f.name))
        return (*shipped, *(_entry(folder, shipped=False) for folder in reached))

    def hidden(self) -> tuple[str, ...]:
        """Ids of added models that cannot be reached, for a shipped one came to have the same."""
        return tuple(f.name for f in _folders(self._added_dir) if self.is_shipped(f.name))

    def get(self, model_id: str) -> Manifest:
        """The manifest of a model; ``ModelError`` names the known ones where it is missing."""
        return load_model_manifest(self._folder(model_id))

    def model_for(self, task: str) -> str | None:
        """A usable model for the task, a shipped one first; None where there is none."""
        found = (e.id for e in self.list() if e.manifest is not None and e.manifest.task == task)
        return next(found, None)

    def path(self, model_id: str) -> Path:
        """Where the model's file lies; not checked, see ``verify``."""
        folder = self._folder(model_id)
        return folder / load_model_manifest(folder).file

    def verify(self, model_id: str, part: ModelFile | None = None) -> Path:
        """The path of ``part``, one of the manifest's files, its SHA-256 as it must be.

        Called before every load. Without ``part`` all files are checked, and the main one's path
        is given. Raises ``ModelError`` naming the file.
        """
        folder = self._folder(model_id)
        parts = load_model_manifest(folder).files if part is None else (part,)
        for each in parts:
            _check_file(folder / each.file, each.sha256)
        return folder / parts[0].file

    def remove(self, model_id: str) -> None:
        """Delete an added model, hidden or not, its manifest first; a shipped one is refused."""
        folder = self._added_dir / self._folder(model_id).name
        if not (folder / MANIFEST_NAME).is_file():
            raise ModelError(f"model {model_id} is shipped with the appliance and stays")
        for path in (folder / MANIFEST_NAME, *sorted(folder.iterdir())):
            durable_remove(path)
        folder.rmdir()

    def is_shipped(self, model_id: str) -> bool:
        return (self._shipped_dir / model_id / MANIFEST_NAME).is_file()

    def _folder(self, model_id: str) -> Path:
        try:
            check_id(model_id)
        except ValueError as error:
            raise ModelError(f"{model_id!r} is no model id: {error}") from error
        for name, root in product((model_id, current_id(model_id)), self._roots):
            if (root / name / MANIFEST_NAME).is_file():
                return root / name
        raise ModelError(f"there is no model {model_id}", hint=self._known_beside(model_id))

    @property
    def _roots(self) -> tuple[Path, Path]:
        return self._shipped_dir, self._added_dir

    def _known_beside(self, model_id: str) -> str:
        known = [entry.id for entry in self.list()]
        close = difflib.get_close_matches(model_id, known, n=1, cutoff=0.5)
        nearest = f"did you mean {close[0]}? " if close else ""
        return f"{nearest}known models: {', '.join(known) or 'none'}"


def load_model_manifest(folder: Path) -> Manifest:
    """The manifest in a model's folder, whose id must be the folder's name."""
    manifest = load_manifest(folder / MANIFEST_NAME)
    if manifest.id != folder.name:
        raise ModelError(
            f"{folder / MANIFEST_NAME}: id: is {manifest.id}, but the folder is {folder.name}"
        )
    return manifest


def file_sha256(path: Path) -> str:
    """Digest of a plain regular file; ``ModelError`` for a link, a device or a missing file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ModelError(f"{path}: a model must be a plain file, not a link or a device")
        digest = hashlib.sha256()
        for chunk in read_chunks(path):
            digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _check_file(path: Path, sha256: str) -> None:
    found = file_sha256(path)
    if found != sha256:
        raise ModelError(
            f"{path}: SHA-256 is {found}, the manifest says {sha256}",
            hint="the file was altered or is incomplete; install or add the model again",
        )


def _folders(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        return
    for name in sorted(os.listdir(root)):
        if (root / name / MANIFEST_NAME).is_file():
            yield root / name


def _entry(folder: Path, *, shipped: bool) -> CatalogEntry:
    try:
        return CatalogEntry(folder.name, folder, shipped, load_model_manifest(folder))
    except ModelError as error:
        return CatalogEntry(folder.name, folder, shipped, None, str(error))

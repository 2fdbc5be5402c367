"""One result put under one root: under the first name that meets no file of somebody else's.

A hidden journal beside the result tells which bytes are ours while the sidecar is away, so that a
second call after a crash does not take half a result for a stranger's file. It need not outlive a
power cut: then the same bytes are known again by being the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edge_matting.core.anchored import MAX_SAME_NAME, AnchoredFolder
from edge_matting.core.beneath import components
from edge_matting.core.durable import TEMPORARY_PREFIX
from edge_matting.core.errors import PathRefused, TemporaryError
from edge_matting.core.jobs import Output
from edge_matting.core.naming import numbered_stem
from edge_matting.core.walks import WalkedFile, walk
from edge_matting.publish.sidecar import (
    read_json,
    read_sidecar,
    sidecar_name,
    sidecar_of,
    sidecar_outputs,
)

JOURNAL_SUFFIX: Final = ".publishing"


@dataclass(frozen=True, slots=True)
class Draft:
    """One output, not yet at its place."""

    kind: str
    format: str
    sha256: str
    data: bytes | Iterable[bytes]


class _TakenError(Exception):
    """Something that is not ours has one of the names."""


def publish(
    root: AnchoredFolder,
    stem: str,
    drafts: Sequence[Draft],
    description: Mapping[str, Any],
    *,
    earlier: Sequence[Output],
    is_ours: Callable[[Mapping[str, Any]], bool],
) -> tuple[Output, ...]:
    """See ``results.publish_result``."""
    folder, name = posixpath.split(stem)
    folder = root.make_folders(folder)
    for number in range(1, MAX_SAME_NAME):
        place = _Place(root, posixpath.join(folder, numbered_stem(name, number)), drafts)
        try:
            place.look(earlier, is_ours)
            place.fill(description)
        except _TakenError:
            continue
        return place.outputs
    raise PathRefused(f"{root.shown(stem)}: {MAX_SAME_NAME} files have this name")


def output_name(stem: str, number: int, kind: str, extension: str) -> str:
    """``STEM.EXT`` for output 0 of a recipe, ``STEM.KIND.EXT`` for the others."""
    return f"{stem}.{extension}" if number == 0 else f"{stem}.{kind}.{extension}"


@dataclass(slots=True)
class _Place:
    """The names that one stem means, and what lies there now."""

    root: AnchoredFolder
    stem: str
    drafts: Sequence[Draft]
    outputs: tuple[Output, ...] = ()
    present: dict[str, str] = field(default_factory=dict)  # digest of what is ours, by file
    known: set[tuple[str, str]] = field(default_factory=set)
    has_sidecar: bool = False

    def __post_init__(self) -> None:
        self.outputs = tuple(
            Output(output_name(self.stem, n, draft.kind, draft.format), draft.kind, draft.format,
                   draft.sha256)
            for n, draft in enumerate(self.drafts)
        )  # fmt: skip

    def look(self, earlier: Sequence[Output], is_ours: Callable[[Mapping[str, Any]], bool]) -> None:
        """Find out what may be replaced; ``_TakenError`` where something may not."""
        self.known = _pairs((*earlier, *self.outputs)) | self._journalled()
        content = self._sidecar(is_ours)
        if content is not None:
            self.known |= _pairs(sidecar_outputs(content))
        for output in self.outputs:
            digest = self._digest(output.file)
            if digest is not None:
                self.present[output.file] = digest

    def fill(self, description: Mapping[str, Any]) -> None:
        """Write what is missing or older, the sidecar last."""
        staged: dict[str, str] = {}
        try:
            for output, draft in zip(self.outputs, self.drafts, strict=True):
                if self.present.get(output.file) != output.sha256:
                    staged[output.file] = self.root.stage(self._folder, draft.data)
            self._keep_journal()
            if self.has_sidecar:
                self.root.remove(sidecar_name(self.stem))
            self._put(staged)
            self._finish(sidecar_of(description, self.outputs), list(staged))
        finally:
            for path in staged.values():
                self.root.discard(path)
        self.root.discard(self._journal)

    def _put(self, staged: Mapping[str, str]) -> None:
        done: list[str] = []
        for file, path in staged.items():
            try:
                self.root.put(path, file, replace=file in self.present)
            except FileExistsError:  # somebody took the name since
                self._undo(done)
                raise _TakenError(file) from None
            done.append(file)
        if staged:
            self.root.sync(self._folder)

    def _finish(self, sidecar: bytes, done: list[str]) -> None:
        try:
            self.root.write(sidecar_name(self.stem), sidecar, replace=False)
        except FileExistsError:
            self._undo(done)
            raise _TakenError(self.stem) from None

    def _undo(self, files: Iterable[str]) -> None:
        for file in files:
            self.root.remove(file)
        self.root.discard(self._journal)

    def _sidecar(self, is_ours: Callable[[Mapping[str, Any]], bool]) -> dict[str, Any] | None:
        if self.root.status(sidecar_name(self.stem)) is None:
            return None
        content = read_sidecar(self.root, self.stem)
        if content is None:
            raise _TakenError(self.stem)
        listed = _pairs(sidecar_outputs(content))
        if not (is_ours(content) or (listed and listed <= self.known)):
            raise _TakenError(self.stem)
        self.has_sidecar = True
        return content

    def _digest(self, file: str) -> str | None:
        if self.root.status(file) is None:
            return None
        digest = digest_of(self.root, file)
        if digest is None or (file, digest) not in self.known:
            raise _TakenError(file)
        return digest

    @property
    def _folder(self) -> str:
        return posixpath.dirname(self.stem)

    @property
    def _journal(self) -> str:
        mark = hashlib.sha256(self.stem.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return posixpath.join(self._folder, f"{TEMPORARY_PREFIX}{mark}{JOURNAL_SUFFIX}")

    def _journalled(self) -> set[tuple[str, str]]:
        return _journal_pairs(read_json(self.root, self._journal) or {}, "known")

    def _keep_journal(self) -> None:
        made = sorted(_pairs(self.outputs) - set(self.present.items()))
        text = json.dumps({"stem": self.stem, "known": sorted(self.known), "new": made})
        self.root.scribble(self._journal, text.encode())


def roll_back(root: AnchoredFolder, *, before: float | None = None) -> int:
    """Remove what publications that died have put under ``root``; return how many there were.

    Without ``before`` (seconds since the epoch) for a moment in which nothing is published there.
    The outputs of an older result, which lost its sidecar to the one that died, stay.
    """
    latest = math.inf if before is None else before
    journals = [
        entry.path
        for entry in walk(root)
        if isinstance(entry, WalkedFile)
        and entry.path.rpartition("/")[2].startswith(TEMPORARY_PREFIX)
        and entry.path.endswith(JOURNAL_SUFFIX)
        and entry.status.st_mtime < latest
    ]
    for journal in journals:
        _roll_back(root, journal)
    return len(journals)


def _roll_back(root: AnchoredFolder, journal: str) -> None:
    content = read_json(root, journal) or {}
    sidecar = read_sidecar(root, str(content.get("stem", ""))) if _is_below(content) else None
    finished = _pairs(sidecar_outputs(sidecar or {}))
    for file, sha256 in _journal_pairs(content, "new") - finished:
        if digest_of(root, file) == sha256:
            root.remove(file)
    root.discard(journal)


def _is_below(content: Mapping[str, Any]) -> bool:
    try:
        components(str(content.get("stem", "")))
    except ValueError:
        return False
    return "stem" in content


def _journal_pairs(content: Mapping[str, Any], key: str) -> set[tuple[str, str]]:
    """Files and digests that a journal lists; it may be anybody's, so paths are looked at."""
    listed = content.get(key)
    pairs = set()
    for one in listed if isinstance(listed, list) else ():
        match one:
            case [str(file), str(sha256)] if _is_below({"stem": file}):
                pairs.add((file, sha256))
            case _:
                continue
    return pairs


def digest_of(root: AnchoredFolder, relative: str) -> str | None:
    """SHA-256 of a regular file; None where there is none that can be read."""
    digest = hashlib.sha256()
    try:
        for chunk in root.chunks(relative):
            digest.update(chunk)
    except (OSError, TemporaryError):
        return None
    return digest.hexdigest()


def _pairs(outputs: Iterable[Output]) -> set[tuple[str, str]]:
    return {(output.file, output.sha256) for output in outputs}

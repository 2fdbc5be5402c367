"""Outputs and their sidecar, put where the user looks for them.

The sidecar goes first and comes last: where it lies, its outputs are complete and match it.
Every function may be killed at any moment and called again with the same arguments. A file that
is not known by its digest, from the ledger or a sidecar, is never replaced or removed: the result
takes a numbered name beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_matting.core.anchored import AnchoredFolder
from edge_matting.core.jobs import EncodedOutput, Output
from edge_matting.publish.publication import Draft, digest_of, publish
from edge_matting.publish.sidecar import (
    published_stem,
    read_sidecar,
    sidecar_name,
    sidecar_outputs,
)

IsOurs = Callable[[Mapping[str, Any]], bool]
"""Whether a sidecar that lies there is of the same photo, whose result may be replaced."""


class _AlteredError(Exception):
    """A stored file is not the one that was published."""


def publish_result(
    root: AnchoredFolder,
    stem: str,
    files: Sequence[EncodedOutput],
    description: Mapping[str, Any],
    *,
    earlier: Sequence[Output] = (),
    is_ours: IsOurs = lambda _sidecar: False,
) -> tuple[Output, ...]:
    """Write a result under ``root`` and return its outputs, paths relative to ``root``.

    The sidecar is ``description`` (see `describe_result`) with these outputs.

    ``stem`` is one of ``core.naming``: unique under ``root`` and short enough. Its sub-folders
    are made; ``root`` must exist, for it may be on a disk that is not mounted. An older result of
    the same photo is replaced: one whose outputs are ``earlier``, or whose sidecar ``is_ours``.
    Raises ``DiskFull``, ``FolderUnavailable`` and other ``TemporaryError``.
    """
    drafts = [
        Draft(file.kind, file.format, hashlib.sha256(file.data).hexdigest(), file.data)
        for file in files
    ]
    return publish(root, stem, drafts, description, earlier=earlier, is_ours=is_ours)


def copy_result(
    from_root: AnchoredFolder,
    stored: tuple[Output, ...],
    to_root: AnchoredFolder,
    stem: str,
    description: Mapping[str, Any],
    *,
    earlier: Sequence[Output] = (),
    is_ours: IsOurs = lambda _sidecar: False,
) -> tuple[Output, ...] | None:
    """Publish an earlier result once more; None where it is no longer as it was published.

    Files are copied, never linked: an edit of one must not show in the other. ``stored`` may lie
    where the copy goes; then only the sidecar is written anew.
    """
    if not result_intact(from_root, stored):
        return None
    drafts = [
        Draft(o.kind, o.format, o.sha256, _Verified(from_root, o.file, o.sha256)) for o in stored
    ]
    try:
        return publish(to_root, stem, drafts, description, earlier=earlier, is_ours=is_ours)
    except _AlteredError:  # between the check and the copy
        return None


def remove_stale(
    root: AnchoredFolder,
    earlier: Sequence[Output],
    new: Sequence[Output],
    new_root: AnchoredFolder | None = None,
) -> None:
    """Remove outputs of an earlier result of the same source that the new one does not have.

    ``new_root`` is given where the new result lies elsewhere, as after a retry of a reviewed
    one. Call it when the new result is published. A result that somebody has edited stays whole.
    """
    beside = (new_root or root).path == root.path
    kept = {output.file for output in new} if beside else set()
    stale = [output for output in earlier if output.file not in kept]
    if any(_is_foreign(root, output) for output in stale):
        return
    if stale and published_stem("", earlier) != published_stem("", new):
        _remove_sidecar(root, published_stem("", earlier), earlier)
    for output in stale:
        root.remove(output.file)


def remove_result(root: AnchoredFolder, stem: str, outputs: Sequence[Output]) -> None:
    """Take a result away, its sidecar first; one that somebody has edited stays."""
    if root.status_of_itself() is None:
        return  # gone with its folder
    if any(_is_foreign(root, output) for output in outputs):
        return
    _remove_sidecar(root, published_stem(stem, outputs), outputs)
    for output in outputs:
        root.remove(output.file)


def result_intact(root: AnchoredFolder, outputs: Sequence[Output]) -> bool:
    """Whether there are outputs and each is on the disk as published."""
    return bool(outputs) and all(
        digest_of(root, output.file) == output.sha256 for output in outputs
    )


def _is_foreign(root: AnchoredFolder, output: Output) -> bool:
    """Whether something lies under the output's name that is not the output."""
    return root.status(output.file) is not None and digest_of(root, output.file) != output.sha256


def _remove_sidecar(root: AnchoredFolder, stem: str, outputs: Sequence[Output]) -> None:
    content = read_sidecar(root, stem)
    if content is not None and set(sidecar_outputs(content)) <= set(outputs):
        root.remove(sidecar_name(stem))


@dataclass(frozen=True, slots=True)
class _Verified(Iterable[bytes]):
    """A file's bytes; raises ``_AlteredError`` at their end if they are not the expected ones."""

    root: AnchoredFolder
    file: str
    sha256: str

    def __iter__(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        try:
            for chunk in self.root.chunks(self.file):
                digest.update(chunk)
                yield chunk
        except OSError as error:
            raise _AlteredError(self.file) from error
        if digest.hexdigest() != self.sha256:
            raise _AlteredError(self.file)

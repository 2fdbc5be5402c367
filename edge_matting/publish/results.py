"""Outputs and their sidecar, put where the user looks for them.

The sidecar goes first and comes last: where it lies, its outputs are complete and match it.
Every function may be killed at any moment and called again with the same arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edge_matting.core.durable import (
    blocking,
    durable_remove,
    durable_write,
    make_folders,
    read_chunks,
)
from edge_matting.core.jobs import EncodedOutput, Output
from edge_matting.publish.sidecar import sidecar_name


class _AlteredError(Exception):
    """A stored file is not the one that was published."""


def output_name(stem: str, number: int, kind: str, extension: str) -> str:
    """``STEM.EXT`` for output 0 of a recipe, ``STEM.KIND.EXT`` for the others."""
    return f"{stem}.{extension}" if number == 0 else f"{stem}.{kind}.{extension}"


def named_outputs(stem: str, files: Sequence[EncodedOutput]) -> tuple[Output, ...]:
    """The outputs that ``files`` become under the stem, with their digests; nothing is written."""
    return tuple(
        Output(
            output_name(stem, number, file.kind, file.format),
            file.kind,
            file.format,
            hashlib.sha256(file.data).hexdigest(),
        )
        for number, file in enumerate(files)
    )


def renamed_outputs(stem: str, stored: Sequence[Output]) -> tuple[Output, ...]:
    """The outputs that copies of ``stored`` become under the stem."""
    return tuple(
        replace(output, file=output_name(stem, number, output.kind, output.format))
        for number, output in enumerate(stored)
    )


def publish_result(
    root: Path,
    stem: str,
    outputs: Sequence[Output],
    files: Sequence[EncodedOutput],
    sidecar: bytes,
) -> None:
    """Write ``files`` under ``root`` as ``outputs`` (see `named_outputs`), the sidecar last.

    ``stem`` is one of ``core.naming``: unique under ``root`` and short enough. Its sub-folders
    are made; ``root`` must exist, for it may be on a disk that is not mounted. An older result of
    the stem is replaced. Raises ``DiskFull``, ``FolderUnavailable``.
    """
    _open_result(root, stem)
    for output, file in zip(outputs, files, strict=True):
        durable_write(root / output.file, file.data)
    durable_write(root / sidecar_name(stem), sidecar)


def copy_result(
    from_root: Path, stored: Sequence[Output], to_root: Path, stem: str, sidecar: bytes
) -> bool:
    """Publish an earlier result once more, as `renamed_outputs`; False where it is not intact.

    Files are copied, never linked: an edit of one must not show in the other. ``stored`` may lie
    where the copy goes; then only the sidecar is written anew.
    """
    if not result_intact(from_root, stored):
        return False
    _open_result(to_root, stem)
    for output, copy in zip(stored, renamed_outputs(stem, stored), strict=True):
        if not _copy(from_root / output.file, to_root / copy.file, output.sha256):
            return False
    durable_write(to_root / sidecar_name(stem), sidecar)
    return True


def remove_stale(root: Path, earlier: Sequence[Output], new: Sequence[Output]) -> None:
    """Remove outputs of an earlier result that the new one in the same place does not have.

    Call it when the new result is published.
    """
    kept = {output.file for output in new}
    for output in earlier:
        if output.file not in kept:
            _remove_if_there(root / output.file)


def remove_result(root: Path, stem: str, outputs: Sequence[Output]) -> None:
    """Take a result away, its sidecar first."""
    _remove_if_there(root / sidecar_name(stem))
    remove_stale(root, outputs, ())


def result_intact(root: Path, outputs: Sequence[Output]) -> bool:
    """Whether there are outputs and each is on the disk as published."""
    return bool(outputs) and all(
        _is_intact(root / output.file, output.sha256) for output in outputs
    )


def _open_result(root: Path, stem: str) -> None:
    """Make the folder, and let nobody take a half replaced result for the old one."""
    sidecar = root / sidecar_name(stem)
    make_folders(sidecar.parent, root)
    durable_remove(sidecar)


def _copy(source: Path, target: Path, sha256: str) -> bool:
    if source == target:
        return True
    try:
        durable_write(target, _verified(source, sha256))
    except _AlteredError:  # between the check and the copy
        return False
    return True


def _is_intact(path: Path, sha256: str) -> bool:
    try:
        for _ in _verified(path, sha256):
            pass
    except _AlteredError:
        return False
    return True


def _verified(path: Path, sha256: str) -> Iterator[bytes]:
    """The file's bytes; raises ``_AlteredError`` at their end if they are not the expected ones."""
    digest = hashlib.sha256()
    try:
        for chunk in read_chunks(path):
            digest.update(chunk)
            yield chunk
    except OSError as error:
        raise _AlteredError(str(path)) from error
    if digest.hexdigest() != sha256:
        raise _AlteredError(str(path))


def _remove_if_there(path: Path) -> None:
    with blocking(f"cannot remove {path}"):
        if path.parent.is_dir():
            durable_remove(path)

"""Results as one ZIP, made while it is sent: no temporary file, memory of one chunk."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import RawIOBase
from typing import IO, Final, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from edge_matting.core.anchored import AnchoredFile
from edge_matting.core.errors import TemporaryError
from edge_matting.status.render import display

MISSING_NAME: Final = "missing.txt"
_LARGE_BYTES: Final = 1 << 31  # from here on an entry's sizes need 64 bits


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A file on disk and its name in the archive."""

    file: AnchoredFile
    name: str
    moment: float  # seconds since the epoch, UTC


def zip_stream(entries: Iterable[ArchiveEntry]) -> Iterator[bytes]:
    """The bytes of the archive; files that are gone are named in ``missing.txt`` inside it.

    Nothing is compressed: the results are. Raises ``OSError`` when a file cannot be read to its
    end, so that the sender breaks off instead of sending a part as the whole.
    """
    pipe = _Pipe()
    missing = []
    with ZipFile(cast("IO[bytes]", pipe), "w", ZIP_STORED) as archive:
        for entry in entries:
            try:
                status = entry.file.status()
                size = 0 if status is None else status.st_size
                chunks = entry.file.chunks()
                first = next(chunks, b"")
            except (OSError, TemporaryError):
                missing.append(entry.name)
                continue
            with archive.open(_info(entry), "w", force_zip64=size >= _LARGE_BYTES) as file:
                file.write(first)
                yield pipe.take()
                for chunk in chunks:
                    file.write(chunk)
                    yield pipe.take()
        if missing:
            archive.writestr(MISSING_NAME, "".join(f"{name}\n" for name in missing))
    yield pipe.take()


def archive_name(relative: str) -> str:
    """A result's relative path as a name that every unpacker takes.

    Undecodable bytes and control characters are escaped, and what Windows forbids becomes ``_``;
    a name never leads out of the folder it is unpacked into.
    """
    parts = [part for part in display(relative).split("/") if part not in ("", ".", "..")]
    return "/".join("".join(map(_plain, part)) for part in parts)


def _plain(character: str) -> str:
    if character in '<>:"|?*\\':
        return "_"
    return character if character.isprintable() else "_"


def _info(entry: ArchiveEntry) -> ZipInfo:
    moment = time.localtime(entry.moment)[:6]
    info = ZipInfo(entry.name, max(moment, (1980, 1, 1, 0, 0, 0)))
    info.external_attr = 0o644 << 16
    return info


class _Pipe(RawIOBase):
    """Where the archive is written; what was written is taken away again."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # bytes-like, as io says
        self._written += view
        return len(view)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken

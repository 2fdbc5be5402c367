"""What a file is, by its first bytes; its name's extension is never believed."""

from __future__ import annotations

from typing import Final

from edge_matting.core.errors import NotAnImage, Unsupported

READABLE: Final = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"BM", "bmp"),
)

OTHER_PICTURES: Final = (
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"qoif", "a QOI picture"),
    (b"FUJIFILMCCD-RAW", "a camera raw file (RAF)"),
    (b"IIRO", "a camera raw file (ORF)"),
    (b"IIU\x00", "a camera raw file (RW2)"),
    (b"<svg", "an SVG drawing"),
)

OTHER_FILES: Final = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"\x7fELF", "a program"),
)

AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
HEIF_BRANDS: Final = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis"})
ANY_HEIF_BRANDS: Final = frozenset({b"mif1", b"msf1", b"miaf"})
"""These leave it to the brands behind them what the pixels are coded with."""


def picture_format(data: bytes, name: str) -> str:
    """The format we read it as: jpeg, png, webp, tiff, bmp, gif, avif or heic.

    Raises ``NotAnImage`` for what is no picture and ``Unsupported`` for pictures of a kind
    that is not read.
    """
    if not data:
        raise NotAnImage(f"{name}: the file is empty", hint="copy it again")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[8:10] == b"CR" and data[:4] == b"II*\x00":
        raise Unsupported(f"{name}: a camera raw file (CR2)")
    if data[4:8] == b"ftyp" and (coded := _coded_as(data)) is not None:
        return coded
    for magic, kind in READABLE:
        if data.startswith(magic):
            return kind
    _refuse(data, name)
    raise NotAnImage(f"{name}: not a picture; it looks like {_guess(data)}")


def _coded_as(data: bytes) -> str | None:
    """avif or heic by the brands of an ISO media file's first box; None for films."""
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = [data[at : at + 4] for at in (8, *range(16, end - 3, 4))]
    if brands[0] not in AVIF_BRANDS | HEIF_BRANDS | ANY_HEIF_BRANDS:
        return None
    return "avif" if AVIF_BRANDS.intersection(brands) else "heic"


def _refuse(data: bytes, name: str) -> None:
    for magic, what in OTHER_PICTURES:
        if data.startswith(magic):
            raise Unsupported(f"{name}: {what}, which is not read here")


def _guess(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "an MP4 or QuickTime video"
    for magic, what in OTHER_FILES:
        if data.startswith(magic):
            return what
    start = data[:512]
    if not start.strip(b"\x00"):
        return "nothing but zero bytes"
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    return "text" if printable > 0.9 * len(start) else "unknown data"

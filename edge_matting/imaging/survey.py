"""All that a file says before its pixels are decoded: size, depth, colour, metadata, layout.

Each container is read by a bounded reader of its own, so that no decoder meets a size, a count or a
profile that was not looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from PIL import ImageFile

from edge_matting.core.errors import NotAnImage, Truncated, Unsupported
from edge_matting.core.reasons import Reason
from edge_matting.imaging.colour_source import ColourFacts
from edge_matting.imaging.containers import ends_early, read_webp, webp_chunk
from edge_matting.imaging.directory import (
    EXIF_IFD,
    INTEROP_IFD,
    RATIONAL,
    Directory,
    first_integer,
    write_directories,
)
from edge_matting.imaging.exif import adobe_rgb, orientation_of
from edge_matting.imaging.iptc import from_photoshop
from edge_matting.imaging.iso_boxes import Heif, read_heif
from edge_matting.imaging.jpeg_segments import Jpeg, read_jpeg
from edge_matting.imaging.limits import MOST_CHUNKS, MOST_SCANS, MOST_SEGMENTS, check_costs
from edge_matting.imaging.pillow import job_errors, open_picture, require_reader
from edge_matting.imaging.png_chunks import Png, read_png
from edge_matting.imaging.raw import RawFile, kind_of, size_of_raw
from edge_matting.imaging.sniff import picture_format
from edge_matting.imaging.tiff_layout import Tiff, read_tiff

Container: TypeAlias = Jpeg | Png | Heif | Tiff | RawFile | None


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes tell; ``width`` and ``height`` are those of the upright picture."""

    format: str  # jpeg, png, webp, tiff, bmp, gif, avif, heic, raw
    width: int
    height: int
    bits: int  # per sample: 8 or 16
    orientation: int  # EXIF, 1 to 8
    name: str

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Metadata:
    """The blocks of metadata a file came with, as they are."""

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None


_NO_METADATA: Final = Metadata()
_NO_FACTS: Final = ColourFacts()


@dataclass(frozen=True, slots=True)
class Survey(Header):
    """A file that was looked through and not decoded: its header, and all else that it says."""

    metadata: Metadata = _NO_METADATA
    facts: ColourFacts = _NO_FACTS
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    container: Container = None


def survey(data: bytes, name: str) -> Survey:
    """Look through ``data``, the bytes of the file called ``name``; decode no pixel.

    Raises ``NotAnImage``, ``Unsupported``, ``TooSlow`` or ``Truncated``.
    """
    kind = picture_format(data, name)
    if kind == "jpeg":
        found = _jpeg(data, name)
    elif kind == "png":
        found = _png(data, name)
    elif kind == "tiff":
        found = _tiff(data, name)
    elif kind == "webp":
        found = _webp(data, name)
    elif kind in ("avif", "heic"):
        found = _heif(data, kind, name)
    elif kind in ("bmp", "gif"):
        found = _through_pillow(data, kind, name)
    else:
        found = _raw(data, kind, name)
    if found.metadata.exif is not None and adobe_rgb(found.metadata.exif):
        found = replace(found, facts=replace(found.facts, adobe_rgb=True))
    check_costs(found.container, found.pixels, name)
    return found


def _seen(header: Header, metadata: Metadata, facts: ColourFacts, **more: Any) -> Survey:
    size = (header.format, header.width, header.height, header.bits, header.orientation)
    return Survey(*size, header.name, metadata, facts, **more)


def upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height after the turn that an EXIF orientation asks for."""
    return (size[1], size[0]) if orientation >= 5 else size


def _jpeg(data: bytes, name: str) -> Survey:
    found = read_jpeg(data, MOST_SCANS, MOST_SEGMENTS)
    check_costs(found, found.width * found.height, name)
    if not found.frame or not (found.width and found.height):
        error = Truncated if ends_early(data, "jpeg") else NotAnImage
        raise error(f"{name}: a JPEG file without a picture in it")
    if found.lossless or found.bits != 8:
        kind = "lossless" if found.lossless else f"{found.bits} bits a sample"
        raise Unsupported(f"{name}: a JPEG of a rare kind ({kind}), which is not read here")
    orientation = orientation_of(found.exif)
    width, height = upright((found.width, found.height), orientation)
    header = Header("jpeg", width, height, 8, orientation, name)
    notes = [*found.notes]
    if found.several:
        notes.append(Reason("first_picture"))
    metadata = Metadata(found.exif, found.xmp, found.iptc)
    return _seen(
        header, metadata, ColourFacts(found.icc), dpi=found.dpi, notes=tuple(notes), container=found
    )


def _png(data: bytes, name: str) -> Survey:
    found = read_png(data, MOST_CHUNKS, checksums=False)
    if found.apple:
        raise Unsupported(f"{name}: a PNG in Apple's own form (CgBI)", hint="export it as PNG")
    if not found.width or not found.height:
        error = NotAnImage if found.ended else Truncated
        raise error(f"{name}: a broken PNG file (its header is missing)")
    orientation = orientation_of(found.exif)
    width, height = upright((found.width, found.height), orientation)
    bits = 16 if found.depth == 16 else 8
    header = Header("png", width, height, bits, orientation, name)
    facts = ColourFacts(
        found.icc,
        found.code_points,
        code_points_first=True,
        srgb=found.srgb,
        gamma=found.gamma,
        chromaticities=found.chromaticities,
        peak=found.peak,
    )
    notes = [*found.notes]
    if found.animated:
        notes.append(Reason("first_frame"))
    metadata = Metadata(found.exif, found.xmp, found.iptc)
    return _seen(header, metadata, facts, dpi=found.dpi, notes=tuple(notes), container=found)


def _webp(data: bytes, name: str) -> Survey:
    info = read_webp(data)
    if info is None or not (info.width and info.height):
        error = Truncated if ends_early(data, "webp") else NotAnImage
        raise error(f"{name}: a WebP file without a picture in it")
    exif = webp_chunk(data, b"EXIF")
    orientation = orientation_of(exif)
    width, height = upright((info.width, info.height), orientation)
    header = Header("webp", width, height, 8, orientation, name)
    notes = (Reason("first_frame"),) if info.animated else ()
    metadata = Metadata(exif, webp_chunk(data, b"XMP "))
    return _seen(header, metadata, ColourFacts(webp_chunk(data, b"ICCP")), notes=notes)


def _tiff(data: bytes, name: str) -> Survey:
    found = read_tiff(data)
    if found is None or found.broken:
        error = Truncated if ends_early(data, "tiff") else NotAnImage
        raise error(f"{name}: a broken TIFF file (its directory lies outside the file)")
    if found.camera_raw:
        kind = kind_of(found.make, dng=found.dng)
        return replace(_raw(data, kind, name), metadata=Metadata(_tiff_exif(found)))
    layout = found.picture
    if layout is None and found.layouts:
        raise Unsupported(
            f"{name}: a camera raw file, or another that holds only previews of its picture",
            hint="export the picture itself as TIFF or JPEG",
        )
    if layout is None:
        raise NotAnImage(f"{name}: a TIFF file without a picture in it")
    orientation = layout.orientation if 1 <= layout.orientation <= 8 else 1
    width, height = upright((layout.width, layout.height), orientation)
    header = Header("tiff", width, height, 16 if layout.depth > 8 else 8, orientation, name)
    first = found.first
    exif = _tiff_exif(found)
    iptc = first[33723].raw if 33723 in first else None
    if iptc is None and 34377 in first:
        iptc = from_photoshop(first[34377].raw)
    xmp = first[700].raw if 700 in first else None
    icc = first[34675].raw if 34675 in first else None
    notes = []
    if len([one for one in found.layouts if not one.reduced]) > 1:
        notes.append(Reason("first_frame"))
    index = found.interoperability.get(1)
    facts = ColourFacts(icc, adobe_rgb=index is not None and index.raw[:3] == b"R03")
    dpi = _tiff_density(first)
    return _seen(
        header, Metadata(exif, xmp, iptc), facts, dpi=dpi, notes=tuple(notes), container=found
    )


def _tiff_density(first: Directory) -> tuple[float, float] | None:
    factor = {2: 1.0, 3: 2.54}.get(first_integer(first, 296) or 2)
    values = []
    for tag in (282, 283):
        entry = first.get(tag)
        if factor is None or entry is None or entry.kind != RATIONAL:
            return None
        above, below = struct.unpack("<II", entry.raw[:8])
        values.append(above / below * factor if below else 0.0)
    return values[0], values[1]


def _tiff_exif(found: Tiff) -> bytes | None:
    """An EXIF block of a TIFF's own directory and that of its details."""
    main: Directory = {
        tag: entry for tag, entry in found.first.items() if tag in _TELLING and entry.raw
    }
    details = {tag: entry for tag, entry in found.details.items() if tag != INTEROP_IFD}
    if not main and not details:
        return None
    below = {EXIF_IFD: details} if details else {}
    return b"II*\x00\x08\x00\x00\x00" + write_directories(main, below, 8)


_TELLING = frozenset({0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B,
                      0x013C, 0x8298})  # fmt: skip


def _heif(data: bytes, kind: str, name: str) -> Survey:
    found = read_heif(data)
    if found.codec in _OTHER_CODECS:
        what = _OTHER_CODECS[found.codec]
        raise Unsupported(f"{name}: a HEIF file whose picture is coded as {what}")
    if found.sequence and not found.items:
        raise Unsupported(
            f"{name}: a HEIF sequence (a film) without a picture of its own",
            hint="export one of its pictures as JPEG or PNG",
        )
    require_reader(kind, name)
    check_costs(found, found.width * found.height, name)
    with job_errors(data, kind, name):
        picture = open_picture(data, kind)
        exif = picture.info.get("exif") or None
        orientation = orientation_of(exif)
        size = picture.size
        if kind == "avif" and found.crop is not None:  # libheif has cut HEIC already
            size = found.crop[2:]
        width, height = upright(size, orientation)
        xmp = picture.info.get("xmp") or None
    bits = 16 if found.bits > 8 else 8
    header = Header(kind, width, height, bits, orientation, name)
    facts = ColourFacts(found.icc or picture.info.get("icc_profile"), found.code_points,
                        peak=found.peak)  # fmt: skip
    notes = []
    if getattr(picture, "is_animated", False):
        notes.append(Reason("first_frame"))
    if found.gain_map:
        notes.append(Reason("gain_map_dropped"))
    return _seen(
        header, Metadata(exif, xmp), facts, dpi=_dpi(picture), notes=tuple(notes), container=found
    )


_OTHER_CODECS = {
    "avc1": "H.264 video",
    "vvc1": "H.266 video",
    "evc1": "EVC video",
    "j2k1": "JPEG 2000",
    "jpeg": "JPEG",
    "unci": "uncompressed samples",
    "mski": "a mask",
}


def _raw(data: bytes, kind: str, name: str) -> Survey:
    size = size_of_raw(data, kind, name)
    header = Header("raw", size.width, size.height, 16, 1, name)
    notes = (Reason("raw_developed", kind=kind),)
    container = RawFile(kind, size.sensor_pixels)
    return _seen(header, Metadata(), ColourFacts(), notes=notes, container=container)


def _through_pillow(data: bytes, kind: str, name: str) -> Survey:
    """BMP and GIF, whose headers Pillow reads well."""
    notes: tuple[str, ...] = ()
    with job_errors(data, kind, name):
        picture = open_picture(data, kind)
        if getattr(picture, "is_animated", False):
            notes = (Reason("first_frame"),)
    header = Header(kind, *picture.size, 8, 1, name)
    xmp = picture.info.get("xmp")
    metadata = Metadata(None, xmp if isinstance(xmp, bytes) else None)
    return _seen(header, metadata, ColourFacts(), dpi=_dpi(picture), notes=notes)


def _dpi(picture: ImageFile.ImageFile) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in picture.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return across, down

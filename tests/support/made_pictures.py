"""Small pictures of every kind that is read, made from one scene by other programs' writers."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image, ImageCms

Pixels = npt.NDArray[Any]

WIDE, HIGH = 48, 32


def scene() -> Pixels:
    """HIGH x WIDE x 3 uint8: ramps and a block, no side like another."""
    rows, columns = np.mgrid[:HIGH, :WIDE]
    rgb = np.stack([columns * 5, rows * 7, 255 - columns * 4], axis=2).astype(np.uint8)
    rgb[4:12, 6:20] = (200, 40, 30)
    return rgb


def deep_scene() -> Pixels:
    """The scene in 16 bits, with values between those of 8."""
    deep = scene().astype(np.uint16) * 257
    deep[:, :, 1] ^= np.uint16(0x55)
    return deep


def saved(picture: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(target, kind, **options)
    return target.getvalue()


def tiff(pixels: Pixels, **options: Any) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, pixels, metadata=None, **options)
    return target.getvalue()


def camera_exif(*, interoperability: str = "", long_orientation: int = 0) -> bytes:
    """An EXIF block as cameras write it: directories of its own, owner, serial number, place."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Model"
    exif[0x013B], exif[0x8298] = "An Artist", "All rights hers"
    exif[0x010E] = "Anna at home"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[0x9003] = "2026:11:30 12:00:00"
    details[0xA430], details[0xA431] = "Owner Name", "SERIAL12345"
    details[0x9286] = b"ASCII\x00\x00\x00comment of hers"
    details[0xA001], details[0xA002], details[0xA003] = 65535, WIDE, HIGH
    if interoperability:
        details[0xA005] = {1: interoperability}
    exif[ExifTags.IFD.Exif] = details
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[1], place[2] = "N", (48.0, 12.0, 30.0)
    exif[ExifTags.IFD.GPSInfo] = place
    block = exif.tobytes()
    if long_orientation:
        exif[0x0112] = long_orientation
        block = exif.tobytes()
        order = "<" if block[6:8] == b"II" else ">"
        entry = struct.pack(order + "HHI", 0x0112, 3, 1)
        long_entry = struct.pack(order + "HHI", 0x0112, 4, 1)
        at = block.index(entry)
        value = struct.pack(order + "I", long_orientation)
        block = block[:at] + long_entry + value + block[at + 12 :]
    return block


def chunk(tag: bytes, body: bytes, *, crc: int | None = None) -> bytes:
    check = zlib.crc32(tag + body) if crc is None else crc
    return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", check)


def png_with(*chunks: bytes, pixels: Pixels | None = None) -> bytes:
    """The scene with these chunks behind its header."""
    whole = saved(scene() if pixels is None else pixels, "PNG")
    return whole[:33] + b"".join(chunks) + whole[33:]


def chromaticities(*points: float) -> bytes:
    """A cHRM chunk of white, red, green and blue, x and y each."""
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in points)))


P3_POINTS = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def jpeg_segment(jpeg: bytes, kind: int, body: bytes) -> bytes:
    """The JPEG with one more segment at its start."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body + jpeg[2:]


def nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """A HEIF or AVIF file whose colour box says these code points."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def grey_profile(gamma: float) -> bytes:
    """A grey ICC profile of one exponent."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\x00\x00"
    white = b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061)
    described = b"desc" + struct.pack(">II", 0, 5) + b"grey\x00" + bytes(79)
    start, table, body = 128 + 4 + 36, b"", b""
    for tag, value in ((b"desc", described), (b"wtpt", white), (b"kTRC", curve)):
        table += struct.pack(">4sII", tag, start + len(body), len(value))
        body += value
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += struct.pack(">12s4s", b"\x07\xe8\x00\x01\x00\x01", b"acsp") + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\x00") + struct.pack(">I", 3) + table + body


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def thumbnail_first(pixels: Pixels) -> bytes:
    """A TIFF whose first page is a reduced picture of the second."""
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as writer:
        writer.write(pixels[::4, ::4].copy(), subfiletype=1, photometric="rgb", metadata=None)
        writer.write(pixels, photometric="rgb", metadata=None)
    return target.getvalue()

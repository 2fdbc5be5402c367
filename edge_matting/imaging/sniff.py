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
    (b"<svg", "an SVG drawing"),
    (b"P1", "a PBM picture"), (b"P2", "a PGM picture"), (b"P3", "a PPM picture"),
    (b"P4", "a PBM picture"), (b"P5", "a PGM picture"), (b"P6", "a PPM picture"),
    (b"P7", "a PAM picture"), (b"PF", "a PFM picture"), (b"Pf", "a PFM picture"),
    (b"\x0a\x05\x01", "a PCX picture"), (b"\x01\xda", "a Silicon Graphics picture"),
    (b"\x59\xa6\x6a\x95", "a Sun raster picture"), (b"gimp xcf", "a GIMP document"),
    (b"AT&TFORM", "a DjVu document"), (b"BPG\xfb", "a BPG picture"),
    (b"II\xbc", "a JPEG XR picture"), (b"DDS ", "a DirectX texture"),
    (b"\x80\x2a\x5f\xd7", "a Cineon picture"), (b"SDPX", "a DPX picture"),
    (b"XPDS", "a DPX picture"), (b"SIMPLE  =", "a FITS picture"),
    (b"\x8aMNG\r\n\x1a\n", "an MNG animation"), (b"\x8bJNG\r\n\x1a\n", "a JNG picture"),
)  # fmt: skip

CAMERA_RAWS: Final = (
    (b"FUJIFILMCCD-RAW", "a Fujifilm RAF raw file"),
    (b"IIRO", "an Olympus ORF raw file"),
    (b"IIRS", "an Olympus ORF raw file"),
    (b"MMOR", "an Olympus ORF raw file"),
    (b"IIU\x00", "a Panasonic RW2 raw file"),
    (b"FOVb", "a Sigma X3F raw file"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "a Canon CRW raw file"),
    (b"\x00MRM", "a Minolta MRW raw file"),
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
OTHER_HEIF_BRANDS: Final = frozenset({b"avci", b"avcs", b"vvic", b"j2ki", b"jpeg", b"unif"})
"""HEIF with other codecs than HEVC and AV1; the codec decides whether it is read."""
VIDEO_BRANDS: Final = frozenset({b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4"})


def picture_format(data: bytes, name: str) -> str:
    """The format we read it as: jpeg, png, webp, tiff, bmp, gif, avif or heic, or the kind of a
    camera raw file in words.

    Raises ``NotAnImage`` for what is no picture and ``Unsupported`` for pictures of a kind
    that is not read.
    """
    if not data:
        raise NotAnImage(f"{name}: the file is empty", hint="copy it again")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[8:10] == b"CR" and data[:4] == b"II*\x00":
        return "a Canon CR2 raw file"
    if data[4:12] == b"ftypcrx ":
        return "a Canon CR3 raw file"
    if data[4:8] == b"ftyp" and (coded := _coded_as(data)) is not None:
        return coded
    for magic, kind in READABLE:
        if data.startswith(magic):
            return kind
    for magic, kind in CAMERA_RAWS:
        if data.startswith(magic):
            return kind
    _refuse(data, name)
    raise NotAnImage(f"{name}: not a picture; it looks like {_guess(data)}")


def _coded_as(data: bytes) -> str | None:
    """avif or heic by the brands of an ISO media file's first box; None for films."""
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = [data[at : at + 4] for at in (8, *range(16, end - 3, 4))]
    if not (AVIF_BRANDS | HEIF_BRANDS | ANY_HEIF_BRANDS | OTHER_HEIF_BRANDS).intersection(brands):
        return None
    if brands[0] in VIDEO_BRANDS:
        return None
    return "avif" if AVIF_BRANDS.intersection(brands) else "heic"


def _refuse(data: bytes, name: str) -> None:
    for magic, what in OTHER_PICTURES:
        if data.startswith(magic) and (magic[:1] != b"P" or data[2:3] in b"\r\n\t #"):
            raise Unsupported(f"{name}: {what}, which is not read here")
    if _is_targa(data):
        raise Unsupported(f"{name}: a TGA picture, which is not read here")


def _is_targa(data: bytes) -> bool:
    """By the footer of its second version, or by a header that makes sense as one."""
    if data[-18:-2] == b"TRUEVISION-XFILE":
        return True
    if len(data) < 18 or data[1] > 1 or data[2] not in (1, 2, 3, 9, 10, 11):
        return False
    mapped = data[1] == 1 and data[7] in (15, 16, 24, 32)
    return (
        data[16] in (8, 15, 16, 24, 32)
        and (mapped or data[3:8] == bytes(5))
        and data[17] & 0xC0 == 0
        and data[12:14] != b"\x00\x00"
        and data[14:16] != b"\x00\x00"
    )


def _guess(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "an MP4 or QuickTime video"
    if data[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return "a QuickTime video"
    if data[:4] == b"RIFF" and data[8:12] in (b"WAVE", b"AVI "):
        return "a sound file" if data[8:12] == b"WAVE" else "an AVI video"
    for magic, what in OTHER_FILES:
        if data.startswith(magic):
            return what
    start = data[:512]
    if not start.strip(b"\x00"):
        return "nothing but zero bytes"
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)
    return "text" if printable > 0.9 * len(start) else "unknown data"

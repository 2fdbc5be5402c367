"""One file through our decoder and through the others: what agrees, and why what does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from edge_matting.core.errors import JobError, NotAnImage, TooLarge, TooSlow, Truncated, Unsupported
from edge_matting.imaging import Photo, decode, to_srgb
from edge_matting.imaging.iso_boxes import Heif
from edge_matting.imaging.pixels import turned
from edge_matting.imaging.survey import Survey, survey
from edge_matting.imaging.tiff_layout import BLACK_IS_ZERO, LAB, RGB, WHITE_IS_ZERO, Layout, Tiff
from tools.conformance.readers import Pixels, Reading, with_imagemagick, with_own_tool

MAX_PIXELS: Final = 60_000_000
MEAN, FAR = 2.5 / 255, 16 / 255
"""What two right readers may differ by: on average, and for all but one pixel in a hundred."""

AGREES, ALONE, REFUSED, DAMAGED, APART, WRONG_REFUSAL, INTERNAL, EXPLAINED = (
    "agrees", "read by us alone", "refused by name", "refused as damaged, others complain too",
    "differs", "refused, though others read it", "internal", "differs, explained",
)  # fmt: skip
FAULTS: Final = (APART, WRONG_REFUSAL, INTERNAL)


@dataclass(frozen=True, slots=True)
class Finding:
    """How one file came out."""

    path: Path
    kind: str
    verdict: str
    words: str = ""


def examine(path: Path) -> tuple[Finding, Photo | None]:
    """Decode a file and compare size, orientation, colour, depth and alpha with other readers."""
    data = path.read_bytes()
    try:
        seen = survey(data, path.name)
        photo = decode(data, path.name, max_pixels=MAX_PIXELS)
    except JobError as error:
        return _refused(path, error), None
    except Exception as error:  # noqa: BLE001  it is what we look for
        return Finding(path, "", INTERNAL, f"{type(error).__name__}: {error}"), None
    return _read(path, seen, photo), photo


def _refused(path: Path, error: JobError) -> Finding:
    words = error.message.removeprefix(f"{path.name}: ")
    if isinstance(error, (Unsupported, TooLarge, TooSlow)):
        return Finding(path, "", REFUSED, words)
    other = with_imagemagick(path, srgb=False)
    if other is None or other.pixels is None or other.warned:
        return Finding(path, "", DAMAGED, words)
    if isinstance(error, (NotAnImage, Truncated)) and (reason := _why_refused(path, words)):
        return Finding(path, "", DAMAGED, f"{words}: {reason}")
    return Finding(path, "", WRONG_REFUSAL, words)


_REFUSALS: Final = (
    ("not a picture", "no format that is read"),
    ("wrong checksum", "the checksum is wrong, which ImageMagick does not mind"),
    ("last chunk is missing", "cut short, which ImageMagick does not mind"),
    ("scans are missing", "cut short, which ImageMagick does not mind"),
    ("premature end", "cut short, which ImageMagick does not mind"),
    ("ends too early", "cut short, which ImageMagick does not mind"),
    ("BMFF parsing failed", "breaks a rule of AVIF that its own library insists on"),
    ("Invalid tone mapped image item", "breaks a rule of AVIF that its own library insists on"),
    ("could not create decoder object", "its own library, libwebp, refuses it"),
)


def _why_refused(path: Path, words: str) -> str:
    """What a refusal rests on where ImageMagick reads the file; the format's own tool confirms."""
    reason = next((why for sign, why in _REFUSALS if sign in words), "")
    own = with_own_tool(path, _kind_by_name(path))
    if own is not None and (own.pixels is None or own.warned):
        return reason or f"{own.tool} complains too: {own.words}"
    return reason


def _kind_by_name(path: Path) -> str:
    suffix = path.suffix.lower()
    kinds = {".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff", ".tiff": "tiff", ".avif": "avif"}
    return kinds.get(suffix, "heic" if suffix in (".heic", ".heif", ".hif") else "")


def _read(path: Path, seen: Survey, photo: Photo) -> Finding:
    kind = seen.format
    complaints = []
    for reading, ours in _pairs(path, seen, photo):
        if reading is None:
            continue
        if reading.pixels is None:
            complaints.append(f"{reading.tool}: {reading.words or 'cannot read it'}")
            continue
        words = differs(ours, reading.pixels)
        if not words:
            return Finding(path, kind, AGREES, reading.tool)
        complaints.append(f"{reading.tool}: {words}")
    told = "; ".join(complaints)
    if not any(_PIXELS.search(word) for word in complaints):
        return Finding(path, kind, ALONE, told)
    reason = _explained(seen, photo, told)
    verdict = EXPLAINED if reason else APART
    return Finding(path, kind, verdict, f"{reason}: {told}" if reason else told)


_PIXELS: Final = re.compile(r": (size|colours|alpha) ")


def _pairs(path: Path, seen: Survey, photo: Photo) -> Iterator[tuple[Reading | None, Pixels]]:
    """Readings and what we have to put beside them, the most telling first."""
    stored, kind = four(photo.rgb, photo), seen.format
    if seen.facts.icc is not None:
        yield with_imagemagick(path, srgb=True), four(to_srgb(photo.rgb, photo.icc), photo)
    yield with_imagemagick(path, srgb=False), stored
    own = with_own_tool(path, kind)
    if own is not None and own.pixels is not None and kind != "heic":
        own = Reading(own.tool, turned(own.pixels, seen.orientation), own.words)
    yield own, stored


def four(rgb: np.ndarray, photo: Photo) -> Pixels:
    """A photo's pixels as H x W x 4 uint16."""
    wide = rgb if rgb.dtype == np.uint16 else rgb.astype(np.uint16) * np.uint16(257)
    top = np.full(wide.shape[:2], 65535, np.uint16)
    if photo.alpha is not None:
        top = np.rint(photo.alpha * 65535).astype(np.uint16)
    return np.dstack([wide, top])


def differs(ours: Pixels, theirs: Pixels) -> str:
    """How two pictures differ, in words; empty where they agree. Colours count where both see."""
    if ours.shape != theirs.shape:
        return (
            f"size {ours.shape[1]} x {ours.shape[0]}, there {theirs.shape[1]} x {theirs.shape[0]}"
        )
    alpha = np.abs(ours[:, :, 3].astype(np.int32) - theirs[:, :, 3]) / 65535
    if alpha.mean() > MEAN:
        return f"alpha by {alpha.mean() * 255:.1f}/255"
    seen = np.minimum(ours[:, :, 3:], theirs[:, :, 3:]) / 65535
    apart = np.abs(ours[:, :, :3].astype(np.int32) - theirs[:, :, :3]) / 65535 * seen
    if apart.mean() > MEAN or float(np.percentile(apart, 99)) > FAR:
        return f"colours by {apart.mean() * 255:.1f}/255"
    return ""


def _explained(seen: Survey, photo: Photo, told: str) -> str:
    """The reason for a difference that is meant."""
    notes = " ".join(photo.notes)
    reason = next((words for sign, words in _REASONS if sign in notes), "")
    if not reason and isinstance(seen.container, Tiff) and seen.container.picture is not None:
        reason = _tiff_reason(seen.container.picture)
    if not reason and isinstance(seen.container, Heif):
        reason = _heif_reason(seen.container, told)
    if not reason and seen.format == "webp" and "alpha" in told:
        reason = "transparency that its header denies, which ImageMagick shows"
    if not reason and seen.format == "gif" and ": size" in told:
        reason = "a frame larger than its canvas, which is widened here as browsers do"
    if not reason and seen.format == "bmp":
        reason = _bmp_reason(told)
    if not reason and seen.facts.icc is not None and photo.icc is None:
        return "converted through its profile while it was read"
    return reason


def _heif_reason(found: Heif, told: str) -> str:
    if found.tiles > 1 and "alpha" in told:
        return "transparency of a grid, which older versions of libavif and libheif put elsewhere"
    if found.items > found.tiles and "heif-convert: Input" in told:
        return "coded by its difference from another picture, which older versions of libheif show"
    if found.crop is not None:
        return "cut at half a pixel"
    return ""


def _bmp_reason(told: str) -> str:
    if "alpha" in told:
        return "a fourth byte that no mask calls transparency, which ImageMagick takes for it"
    return "a palette of OS/2, which ImageMagick reads as one of Windows"


def _tiff_reason(layout: Layout) -> str:
    grey, unspecified = layout.photometric == BLACK_IS_ZERO, layout.extra[:1] == (0,)
    inverted = layout.photometric == WHITE_IS_ZERO
    reasons = (
        (inverted and layout.depth not in (1, 2, 4, 8, 16),
         "white is 0, which ImageMagick heeds at 1, 2, 4, 8 and 16 bits alone"),
        (layout.fill_order == 2 and layout.depth in (2, 4),
         "bits in reverse order at 2 or 4 bits a sample, which ImageMagick does not turn"),
        (layout.page > 0, "its first page is a thumbnail, which the others show"),
        (layout.compression == 3,
         "fax coding that older versions of libtiff, which the others use, read wrongly"),
        (grey and layout.samples > 1 and not layout.extra, "channels of unspecified meaning"),
        (layout.photometric == LAB, "L*a*b* turned into sRGB by another white"),
        (layout.depth == 24, "24 bits a sample, which ImageMagick cuts in another place"),
        (layout.photometric == RGB and unspecified,
         "a channel of unspecified meaning, which the others take for transparency"),
    )  # fmt: skip
    return next((reason for holds, reason in reasons if holds), "")


_REASONS: Final = (
    ("tone-mapped", "high dynamic range, which the others show as it is stored"),
    ("were converted to sRGB", "a curve no screen has (gAMA), which the others do not convert"),
    ("spread over the whole range", "samples beyond the usual range, which the others clip"),
    ("no numbers", "samples that are no numbers"),
    ("developed with", "a camera raw file, developed another way"),
)

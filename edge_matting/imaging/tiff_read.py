"""TIFF pictures that Pillow does not read rightly: any depth, planes, signed and float samples.

tifffile reads them; libtiff, through imagecodecs or OpenCV, reads them again. What the two do not
agree on is refused.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import zlib
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_matting.core.errors import TooLarge, Truncated, Unsupported
from edge_matting.core.reasons import Reason
from edge_matting.imaging import tiff_layout as tl
from edge_matting.imaging.pillow import load_picture, open_picture
from edge_matting.imaging.tiff_layout import Layout

Samples: TypeAlias = npt.NDArray[Any]

EXTRA_HINT: Final = "install the extra tiff (pip install 'edge-matting[tiff]'), or export it again"
_PILLOW_CODINGS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
_PILLOW_KINDS: Final = frozenset(
    {tl.WHITE_IS_ZERO, tl.BLACK_IS_ZERO, tl.RGB, tl.PALETTE, tl.CMYK, tl.YCBCR}
)
_READ_HERE: Final = frozenset(
    {tl.WHITE_IS_ZERO, tl.BLACK_IS_ZERO, tl.RGB, tl.PALETTE, tl.CMYK, tl.LAB, tl.ICC_LAB}
)
_KIND_NAMES: Final = {
    tl.MASK: "a transparency mask", tl.YCBCR: "YCbCr", tl.ITU_LAB: "ITU L*a*b*",
    32844: "LogL (high dynamic range)", 32845: "LogLuv (high dynamic range)",
}  # fmt: skip
_RATIO: Final = {5: 1400, 8: 1035, 32946: 1035, 32773: 64, 34925: 8000, 50000: 20_000}
"""How much longer than its bytes in the file a block can become at most."""
_UNCHECKED: Final = 64 << 20  # bytes that a decoder may make out of one block unasked
_OUR_BOUND: Final = frozenset({8, 32946})


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """H x W, H x W x 3 (RGB) or H x W x 4 (RGBA straight or CMYK), uint8 or uint16."""

    samples: Samples
    cmyk: bool = False
    lab: bool = False
    notes: tuple[str, ...] = ()


def pillow_reads(layout: Layout) -> bool:
    """Whether the layout is one of those that Pillow reads as they are."""
    few = layout.depth in (1, 2, 4) and layout.samples == 1
    plain = layout.depth == 8 and set(layout.bits) == {8}
    return (
        (few or plain)
        and (not layout.planar or (layout.photometric == tl.RGB and layout.samples == 3))
        and not (layout.big and layout.motorola)
        and layout.sample_format == tl.UNSIGNED
        and layout.photometric in _PILLOW_KINDS
        and layout.compression in _PILLOW_CODINGS
        and layout.samples <= 4
    )


def read_layout(data: bytes, layout: Layout, name: str) -> Read:
    """The pixels of one picture, as they are stored. Raises job errors, or what tifffile raises."""
    if layout.photometric not in _READ_HERE:
        kind = _KIND_NAMES.get(layout.photometric, f"photometric kind {layout.photometric}")
        raise Unsupported(f"{name}: a TIFF of {kind} in {layout.coding}, which is not read here")
    if layout.end > len(data):
        raise Truncated(f"{name}: the TIFF data ends too early")
    if not _bounded(layout):
        return _normalised(_by_libtiff_alone(data, layout, name), None, layout, name)
    try:
        samples, colours = _with_tifffile(data, layout, name)
    except _CodecMissing:
        return _normalised(_by_libtiff_alone(data, layout, name), None, layout, name)
    other = _again(data, layout, samples.shape, samples.dtype)
    if other is not None and not _agree(samples, other, exact=not layout.lossy):
        raise disputed(layout, name)
    return _normalised(samples, colours, layout, name)


def disputed(layout: Layout, name: str) -> Unsupported:
    """The error for a file that two readers read differently."""
    return Unsupported(
        f"{name}: a TIFF ({describe(layout)}) on which two readers disagree",
        hint="export it again, as an ordinary TIFF of 8 or 16 bits, or as PNG",
    )


class _CodecMissing(Exception):
    """tifffile has no library for the compression."""


def describe(layout: Layout) -> str:
    """The layout in words, such as ``12 bits, planar, LZW``."""
    kind = {tl.SIGNED: "signed ", tl.FLOAT: "float "}.get(layout.sample_format, "")
    planes = ", in planes" if layout.planar else ""
    return f"{layout.samples} x {layout.depth} {kind}bits{planes}, {layout.coding}"


def _bounded(layout: Layout) -> bool:
    """Whether no block can become far longer than its part of the picture, or we look at it first.

    libtiff decodes into buffers of the size that a block should have; the libraries behind
    tifffile make what comes.
    """
    per_block = layout.block_bytes // max(1, layout.blocks)
    most = max(_UNCHECKED, 2 * _size(layout))
    return layout.compression in _OUR_BOUND or per_block * _RATIO.get(layout.compression, 1) <= most


def _size(layout: Layout) -> int:
    return layout.width * layout.height * layout.samples * max(1, -(-layout.depth // 8))


def _by_libtiff_alone(data: bytes, layout: Layout, name: str) -> Samples:
    """What tifffile cannot read here, or may not: through libtiff, whichever way it is there."""
    shape = (layout.height, layout.width, layout.samples)
    kind = np.dtype(f"u{max(1, layout.depth // 8)}")
    if importlib.util.find_spec("imagecodecs") is not None:
        found = _again(data, layout, shape if layout.samples > 1 else shape[:2], None)
        if found is not None:
            return found
        raise Unsupported(f"{name}: a TIFF ({describe(layout)}), which is not read here")
    found = _opencv(data, layout, shape, kind)
    if found is None:
        raise Unsupported(
            f"{name}: a TIFF in {layout.coding} ({describe(layout)}), and the library that reads "
            "it is not installed",
            hint=EXTRA_HINT,
        )
    picture = open_picture(data, "tiff")
    load_picture(picture)
    narrow = np.asarray(picture)
    if narrow.shape != shape or np.abs((found >> 8).astype(np.int16) - narrow).max() > 1:
        raise disputed(layout, name)
    return found


def _with_tifffile(data: bytes, layout: Layout, name: str) -> tuple[Samples, Samples | None]:
    """Stored samples, H x W or H x W x S, and the palette, 3 x 2 ** bits of uint16."""
    import tifffile  # noqa: PLC0415  takes a while to load, and few photos need it

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(io.BytesIO(data)) as opened:
        page = opened.pages[layout.page]
        if any(not count for count in page.databytecounts):
            raise Truncated(f"{name}: blocks of its TIFF data are missing")
        if layout.compression in _OUR_BOUND:
            _check_deflate(data, page, layout, name)
        try:
            stored = page.asarray(squeeze=False, maxworkers=1)
        except ImportError as error:  # of a module that newer versions of Python have
            raise _CodecMissing from error
        except ValueError as error:
            if "imagecodecs" in str(error):
                raise _CodecMissing from error
            if "not supported" in str(error):
                what = f"{name}: a TIFF in {layout.coding}, which is not read here"
                raise Unsupported(what) from error
            raise
        colours = page.colormap if layout.photometric == tl.PALETTE else None
    planes, depth, _, _, inner = stored.shape
    if depth != 1 or (planes > 1 and inner > 1):
        raise Unsupported(f"{name}: a TIFF with several layers in one page")
    picture = stored[:, 0, :, :, 0].transpose(1, 2, 0) if planes > 1 else stored[0, 0]
    if picture.shape[:2] != (layout.height, layout.width):
        raise Unsupported(f"{name}: a TIFF whose directories contradict each other")
    return (picture if picture.shape[2] > 1 else picture[:, :, 0]), colours


def _check_deflate(data: bytes, page: Any, layout: Layout, name: str) -> None:
    """No block may inflate to far more than its share of the picture."""
    most = max(_UNCHECKED, 2 * _size(layout))
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count * _RATIO[8] <= most:
            continue
        left = most
        stream = zlib.decompressobj()
        part = data[offset : offset + count]
        while part and not stream.eof and left > 0:
            left -= len(stream.decompress(part, 1 << 20))
            part = stream.unconsumed_tail
        if left <= 0:
            raise TooLarge(f"{name}: a block of its TIFF data inflates without end")


def _again(
    data: bytes, layout: Layout, shape: tuple[int, ...], kind: np.dtype[Any] | None
) -> Samples | None:
    """The same samples through libtiff; None where it does not give them as they are stored."""
    try:
        import imagecodecs  # noqa: PLC0415  the extra tiff
    except ImportError:
        return None if kind is None else _opencv(data, layout, shape, kind)
    try:
        found: Samples = imagecodecs.tiff_decode(data, index=layout.page)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, MemoryError):
        return None
    found = found.squeeze()
    if layout.planar and found.ndim == 3 and found.shape[0] == layout.samples:
        found = found.transpose(1, 2, 0)
    return found if found.shape == shape and kind in (None, found.dtype) else None


def _opencv(
    data: bytes, layout: Layout, shape: tuple[int, ...], kind: np.dtype[Any]
) -> Samples | None:
    wanted = layout.photometric == tl.RGB and layout.depth == 16 and layout.page == 0
    if not wanted or layout.sample_format != tl.UNSIGNED or layout.planar:
        return None
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.shape != shape or found.dtype != kind:
        return None
    code = cv2.COLOR_BGR2RGB if found.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(found, code))


def _agree(one: Samples, other: Samples, *, exact: bool) -> bool:
    if exact:
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    return bool(apart.mean() <= 2 * float(np.iinfo(one.dtype).max) / 255)


def _normalised(samples: Samples, palette: Samples | None, layout: Layout, name: str) -> Read:
    """Stored samples as uint8 or uint16 of grey, RGB, RGBA, CMYK or L*a*b*."""
    notes: list[str] = []
    if layout.photometric == tl.PALETTE:
        return _looked_up(samples, palette, layout, name)
    colours = {tl.RGB: 3, tl.CMYK: 4, tl.LAB: 3, tl.ICC_LAB: 3}.get(layout.photometric, 1)
    planes = samples if samples.ndim == 3 else samples[:, :, np.newaxis]
    if planes.shape[2] < colours:
        raise Unsupported(f"{name}: a TIFF with fewer channels than its colours need")
    lab = layout.photometric in (tl.LAB, tl.ICC_LAB)
    ranged = _lab_bytes(planes, layout) if lab else _ranged(planes, layout, notes)
    colour, alpha = ranged[:, :, :colours], _alpha(ranged, layout, colours)
    if planes.shape[2] > colours + (alpha is not None):
        notes.append(Reason("channels_dropped"))
    if layout.photometric == tl.WHITE_IS_ZERO:
        colour = np.iinfo(colour.dtype).max - colour
    if colours == 4 or lab:
        narrow = colour if colour.dtype == np.uint8 else (colour >> 8).astype(np.uint8)
        if colour.dtype != np.uint8:
            notes.append(Reason("bits_reduced", bits=layout.depth))
        return Read(np.ascontiguousarray(narrow), cmyk=not lab, lab=lab, notes=tuple(notes))
    if alpha is not None:
        associated = layout.extra[0] == tl.ASSOCIATED
        straight = _unmultiplied(colour, alpha) if associated else colour
        rgb = straight if colours == 3 else np.repeat(straight, 3, axis=2)
        return Read(np.dstack([rgb, alpha]), notes=tuple(notes))
    return Read(np.ascontiguousarray(colour.squeeze(2) if colours == 1 else colour),
                notes=tuple(notes))  # fmt: skip


def _looked_up(samples: Samples, palette: Samples | None, layout: Layout, name: str) -> Read:
    first = samples if samples.ndim == 2 else samples[:, :, 0]
    if palette is None or int(first.max(initial=0)) >= palette.shape[1]:
        raise Unsupported(f"{name}: a TIFF whose palette does not fit ({describe(layout)})")
    colours = (palette >> 8).astype(np.uint8)[:, first].transpose(1, 2, 0)
    transparent = samples.ndim == 3 and layout.extra[:1] in ((tl.ASSOCIATED,), (tl.STRAIGHT,))
    if not transparent or layout.depth != 8:
        return Read(np.ascontiguousarray(colours))
    return Read(np.dstack([colours, samples[:, :, 1]]))


def _alpha(planes: Samples, layout: Layout, colours: int) -> Samples | None:
    if planes.shape[2] <= colours or layout.photometric not in (tl.RGB, tl.BLACK_IS_ZERO):
        return None
    first = layout.extra[0] if layout.extra else None
    return planes[:, :, colours] if first in (tl.ASSOCIATED, tl.STRAIGHT) else None


def _unmultiplied(colour: Samples, alpha: Samples) -> Samples:
    top = float(np.iinfo(colour.dtype).max)
    share = np.maximum(alpha[:, :, np.newaxis].astype(np.float32), 1) / top
    straight: Samples = np.minimum(np.rint(colour / share), top).astype(colour.dtype)
    return np.asarray(straight * (alpha > 0)[:, :, np.newaxis])


def _ranged(planes: Samples, layout: Layout, notes: list[str]) -> Samples:
    """Any samples over the whole of uint8 or uint16."""
    if layout.sample_format != tl.UNSIGNED:
        return _stretched(planes.astype(np.float64), notes)
    if layout.depth in (8, 16):
        return planes.astype(f"u{layout.depth // 8}", copy=False)
    top = 2 ** min(layout.depth, 8 * planes.dtype.itemsize) - 1
    if layout.depth > 16 and planes.max(initial=0) < top >> 8:
        return _stretched(planes.astype(np.float64), notes)  # else it would be all black
    target = np.uint8 if layout.depth < 8 else np.uint16
    scaled: Samples = np.rint(planes * (np.iinfo(target).max / top)).astype(target)
    return scaled


def _stretched(planes: Samples, notes: list[str]) -> Samples:
    """0 to 1 as it is; another range over the whole of uint16, which the notes say."""
    finite = np.isfinite(planes)
    values = np.where(finite, planes, 0.0)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if not finite.all():
        notes.append(Reason("samples_not_numbers"))
    if low < 0 or high > 1:
        low = min(low, 0.0)
        notes.append(Reason("samples_spread", low=low, high=high))
        values = (values - low) / ((high - low) or 1.0)
    return np.asarray(np.rint(values * 65535).astype(np.uint16))


def _lab_bytes(planes: Samples, layout: Layout) -> Samples:
    """L*a*b* as ICC's 8 bits have it: a* and b* with 128 for zero."""
    values = planes[:, :, :3]
    if values.dtype.itemsize == 2:
        narrow = (values.astype(np.uint16) >> 8).astype(np.uint8)
    else:
        narrow = values.astype(np.uint8)
    if layout.photometric == tl.LAB:  # signed there
        narrow = narrow ^ np.array((0, 128, 128), np.uint8)
    return narrow

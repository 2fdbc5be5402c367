"""Every output format of one photo, read back by independent programs."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_matting.imaging import OutputFacts, Photo, encode, output_metadata
from tools.conformance.compare import differs
from tools.conformance.readers import Pixels, run, with_imagemagick, with_own_tool

FORMATS: Final = (("png", "png"), ("webp", "webp"), ("jpg", "jpeg"), ("tiff", "tiff"),
                  ("avif", "avif"))  # fmt: skip
_LONGEST: Final = 192  # pixels of a side: what is compared is the format, not the picture


def check_outputs(photo: Photo) -> dict[str, str]:
    """Format to what is wrong with it, for those of which something is."""
    rgb, alpha = _small(photo)
    faults = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in FORMATS:
            words = _one(Path(folder) / f"out.{name}", kind, rgb, alpha, photo)
            if words:
                faults[name] = words
        faults |= {name: words for name, words in _metadata(Path(folder)).items() if words}
    return faults


def _small(photo: Photo) -> tuple[Any, Any]:
    step = max(1, -(-max(photo.rgb.shape[:2]) // _LONGEST))
    rgb = np.ascontiguousarray(photo.rgb[::step, ::step])
    alpha = photo.alpha
    if alpha is None:
        ramp = np.linspace(0, 1, rgb.shape[1], dtype=np.float32)
        return rgb, np.broadcast_to(ramp, rgb.shape[:2])
    return rgb, np.ascontiguousarray(alpha[::step, ::step])


def _one(path: Path, kind: str, rgb: Any, alpha: Any, photo: Photo) -> str:
    name = path.suffix[1:]
    top = np.iinfo(rgb.dtype).max
    opacity = np.rint(alpha * top).astype(rgb.dtype)
    pixels = rgb if name == "jpg" else np.dstack([rgb * (opacity > 0)[:, :, np.newaxis], opacity])
    about = OutputFacts((rgb.shape[1], rgb.shape[0]), photo.icc is None, photo.dpi)
    metadata = output_metadata(photo.metadata, "safe", about, name)
    try:
        data = encode(pixels, name, quality=100, icc=photo.icc, metadata=metadata, dpi=photo.dpi)
    except Exception as error:  # noqa: BLE001  it is what we look for
        return f"not written: {type(error).__name__}: {error}"
    path.write_bytes(data)
    wide = pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * np.uint16(257)
    if wide.shape[2] == 3:
        wide = np.dstack([wide, np.full(wide.shape[:2], 65535, np.uint16)])
    return _beside(path, kind, wide)


def _beside(path: Path, kind: str, wide: Pixels) -> str:
    complaints = []
    for reading in (with_imagemagick(path, srgb=False), with_own_tool(path, kind)):
        if reading is None:
            continue
        if reading.pixels is None:
            complaints.append(f"{reading.tool} cannot read it: {reading.words}")
        elif words := differs(wide, reading.pixels):
            complaints.append(f"{reading.tool}: {words}")
        else:
            return f"{reading.tool} warns: {reading.words}" if _serious(reading.words) else ""
    return "; ".join(complaints)


def _serious(words: str) -> bool:
    """Warnings about what we wrote; missing delegates are not ours."""
    return "warning" in words.lower() and "profile" not in words.lower()


def _metadata(folder: Path) -> dict[str, str]:
    """What exiftool finds of creator, copyright, orientation and size in each output."""
    if shutil.which("exiftool") is None:
        return {}
    paths = [str(path) for path in sorted(folder.iterdir())]
    ran = run(["exiftool", "-j", "-n", "-G1", "-Orientation", "-Artist", "-Copyright",
               "-GPSPosition", "-SerialNumber", "-OwnerName", "-Warning", *paths])  # fmt: skip
    found = json.loads(ran.stdout or b"[]")
    return {
        f"{Path(tags['SourceFile']).suffix[1:]} metadata": words
        for tags in found
        if (words := _told(tags))
    }


def _told(tags: dict[str, Any]) -> str:
    orientation = tags.get("IFD0:Orientation", 1)
    private = [key for key in tags if key.endswith(("GPSPosition", "SerialNumber", "OwnerName"))]
    if orientation != 1:
        return f"orientation {orientation}"
    if private:
        return f"private: {', '.join(private)}"
    warning = str(tags.get("ExifTool:Warning", ""))
    return "" if not warning or "minor" in warning.lower() else f"exiftool: {warning}"

"""Programs that read pictures and share no code with the product's own readers, where found.

Each gives H x W x 4 uint16, straight alpha, stored colours unless a profile is asked for; or None
and its complaint.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Pixels: TypeAlias = npt.NDArray[np.uint16]

SECONDS: Final = 60
TOOLS: Final = ("convert", "djpeg", "tiff2rgba", "heif-convert", "avifdec", "exiftool")


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a program made of a file; ``warned`` where it complained and went on."""

    tool: str
    pixels: Pixels | None
    words: str
    warned: bool = False


def missing() -> list[str]:
    """The programs that are not installed."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def with_imagemagick(path: Path, *, srgb: bool) -> Reading | None:
    """ImageMagick, upright; ``srgb`` converts through the file's own profile."""
    if shutil.which("convert") is None:
        return None
    as_stored = ["-set", "colorspace", "sRGB"] if path.suffix.lower() == ".png" else []
    colours = ["-profile", str(srgb_profile())] if srgb else as_stored or ["-colorspace", "sRGB"]
    whole = ["-coalesce"] if path.suffix.lower() == ".gif" else []  # the canvas, not the frame
    command = [
        "convert",
        f"{path}[0]",
        *whole,
        "-auto-orient",
        *colours,
        "-alpha",
        "on",
        "-depth",
        "16",
    ]
    ran = run([*command, "pam:-"])
    pixels = None if ran.returncode or not ran.stdout else parse_pam(ran.stdout)
    return Reading("ImageMagick", pixels, first_line(ran.stderr), warned=bool(ran.stderr.strip()))


def with_own_tool(path: Path, kind: str) -> Reading | None:
    """The program of the format's own library: stored pixels, not turned by EXIF."""
    maker = {"jpeg": _djpeg, "tiff": _tiff2rgba, "heic": _heif, "avif": _avif}.get(kind)
    return None if maker is None else maker(path)


def run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, b"", b"took too long")


def parse_pam(data: bytes) -> Pixels | None:
    """A PAM of 16 bits, grey or colour with alpha, as H x W x 4."""
    end = data.find(b"ENDHDR\n")
    if not data.startswith(b"P7") or end < 0:
        return None
    lines = data[:end].decode("latin-1").splitlines()[1:]
    facts = {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}
    width, height, depth = (int(facts[name]) for name in ("WIDTH", "HEIGHT", "DEPTH"))
    kind = ">u2" if int(facts["MAXVAL"]) > 255 else "u1"
    values = np.frombuffer(data[end + 7 :], kind)[: width * height * depth]
    planes = values.reshape(height, width, depth).astype(np.uint16)
    if kind == "u1":
        planes = planes * np.uint16(257)
    return _four(planes)


def _four(planes: npt.NDArray[np.uint16]) -> Pixels:
    count = planes.shape[2]
    alpha = planes[:, :, -1:] if count in (2, 4) else np.full((*planes.shape[:2], 1), 65535)
    colour = planes[:, :, :1].repeat(3, 2) if count <= 2 else planes[:, :, :3]
    return np.concatenate([colour, alpha], axis=2).astype(np.uint16)


def _djpeg(path: Path) -> Reading | None:
    if shutil.which("djpeg") is None:
        return None
    ran = run(["djpeg", "-pnm", str(path)])
    pixels = _loaded(ran.stdout) if ran.stdout and not ran.returncode else None
    return Reading("djpeg", pixels, first_line(ran.stderr), warned=bool(ran.stderr.strip()))


def _tiff2rgba(path: Path) -> Reading | None:
    return _to_file("tiff2rgba", ["tiff2rgba", "-c", "none"], path, ".tif")


def _heif(path: Path) -> Reading | None:
    return _to_file("heif-convert", ["heif-convert"], path, ".png")


def _avif(path: Path) -> Reading | None:
    return _to_file("avifdec", ["avifdec", "--png-compress", "0", "-d", "16"], path, ".png")


def _to_file(tool: str, command: list[str], path: Path, suffix: str) -> Reading | None:
    if shutil.which(command[0]) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"read{suffix}"
        ran = run([*command, str(path), str(target)])
        found = next(iter(sorted(Path(folder).iterdir())), None)
        pixels = None
        if found is not None and not ran.returncode:
            pixels = _loaded(found.read_bytes(), premultiplied=tool == "tiff2rgba")
        warned = bool(ran.stderr.strip()) and tool == "tiff2rgba"
        return Reading(tool, pixels, first_line(ran.stderr), warned=warned)


def _loaded(data: bytes, *, premultiplied: bool = False) -> Pixels | None:
    read: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if premultiplied:
        try:
            with Image.open(io.BytesIO(data)) as picture:
                read = np.asarray(picture.convert("RGBA"))[:, :, (2, 1, 0, 3)]
        except OSError:
            return None
    if read is None:
        return None
    planes = read if read.ndim == 3 else read[:, :, np.newaxis]
    if planes.dtype == np.uint8:
        planes = planes.astype(np.uint16) * np.uint16(257)
    if planes.shape[2] >= 3:
        planes = planes[:, :, (2, 1, 0, 3)[: planes.shape[2]]]
    return _four(planes)


def first_line(words: bytes) -> str:
    text = words.decode("utf-8", "replace").strip().splitlines()
    return text[0][:120] if text else ""


@cache
def srgb_profile() -> Path:
    path = Path(tempfile.mkdtemp()) / "srgb.icc"
    path.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    return path

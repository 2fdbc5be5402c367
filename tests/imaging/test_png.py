"""The PNG writer: every reader gets the same pixels, with ISA-L and without it."""

from __future__ import annotations

import io
import logging
import shutil
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from readers import with_opencv

import edge_matting
from edge_matting.imaging import Metadata, decode, encode
from edge_matting.imaging.png import encode_png, isal_deflate
from edge_matting.matting import CutoutRows, cutout

PHOTO = Path(edge_matting.__file__).parent / "data" / "photos" / "astronaut.jpg"
ISAL = isal_deflate()
WRITERS = pytest.mark.parametrize("deflate", [ISAL, None], ids=["isal", "libpng"])
PNGCHECK = shutil.which("pngcheck")


@pytest.fixture(scope="module")
def cut() -> np.ndarray:
    """A cut-out: a photo with a soft-edged disc left of it."""
    rgb = decode(PHOTO.read_bytes(), "photo", max_pixels=10**7).rgb
    rows, columns = np.indices(rgb.shape[:2])
    distance = np.hypot(rows - 200, columns - 250)
    alpha = np.clip((180 - distance) / 20 + 0.5, 0, 1).astype(np.float32)
    return cutout(rgb, alpha)


def with_pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return np.asarray(picture)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def noise(channels: int, depth, height: int, width: int, seed: int = 0) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(depth).max, shape, dtype=depth, endpoint=True)


def filters_used(data: bytes, stride: int) -> set[int]:
    raw = zlib.decompress(b"".join(body for tag, body in chunks(data) if tag == b"IDAT"))
    return set(raw[:: stride + 1])


def test_isal_is_there_as_setup_demands_it() -> None:
    assert ISAL is not None


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    channels=st.sampled_from([1, 3, 4]),
    depth=st.sampled_from([np.uint8, np.uint16]),
    smooth=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_pictures_of_any_size_and_kind_read_back_exactly(width, height, channels, depth, smooth):
    source = noise(channels, depth, height, width)
    if smooth:
        source = np.cumsum(source >> 5, axis=1, dtype=depth)
    data = encode_png(source, deflate=ISAL)
    assert np.array_equal(with_opencv(data), source)
    if depth is np.uint8:
        assert np.array_equal(with_pillow(data), source)


def pictures() -> dict[str, np.ndarray]:
    """One picture that each filter suits, and awkward shapes."""
    steps = noise(1, np.uint8, 300, 400) & 3
    words = noise(1, np.uint8, 16, 8)
    ramp = np.arange(300, dtype=np.uint32)
    return {
        "repeated words": words[noise(1, np.uint8, 200, 40) & 15].reshape(200, 320),
        "walks to the right": np.cumsum(steps, axis=1, dtype=np.uint8),
        "walks downwards": np.cumsum(steps, axis=0, dtype=np.uint8),
        "wide": noise(4, np.uint8, 2, 200_000),
        "tall": noise(3, np.uint16, 9000, 1),
        "deep": ((ramp[:, None] * 97 + ramp[None, :] * 131) % 65536).astype(np.uint16),
        "turned": noise(3, np.uint8, 80, 50).transpose(1, 0, 2),
        "every second column": noise(4, np.uint16, 40, 60)[:, ::2],
    }


@pytest.mark.parametrize("name", pictures())
def test_awkward_pictures_read_back_exactly(name: str) -> None:
    source = pictures()[name]
    assert np.array_equal(with_opencv(encode_png(source, deflate=ISAL)), source)


@pytest.mark.parametrize(
    ("name", "kind"), [("repeated words", 0), ("walks to the right", 1), ("walks downwards", 2)]
)
def test_the_filter_follows_the_picture(name: str, kind: int) -> None:
    source = pictures()[name]
    assert filters_used(encode_png(source, deflate=ISAL), source.shape[1]) == {kind}


@WRITERS
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pngcheck_finds_no_fault(tmp_path: Path, deflate, depth, channels: int) -> None:
    if PNGCHECK is None:
        pytest.skip("pngcheck is not installed: apt install pngcheck")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x013B] = "An Artist"
    file = tmp_path / "a.png"
    data = encode_png(
        noise(channels, depth, 700, 500),  # several strips, several IDAT chunks
        icc=profile if channels > 1 else None,
        metadata=Metadata(exif.tobytes().removeprefix(b"Exif\0\0")),
        dpi=(300, 300),
        deflate=deflate,
    )
    file.write_bytes(data)
    checked = subprocess.run([PNGCHECK, "-v", file], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "No errors detected" in checked.stdout


@WRITERS
def test_chunks_come_in_the_order_the_specification_wants(cut: np.ndarray, deflate) -> None:
    data = encode_png(
        cut, icc=b"profile", metadata=Metadata(b"MM\0*"), dpi=(72, 72), deflate=deflate
    )
    tags = [tag for tag, _ in chunks(data)]
    assert tags[:4] == [b"IHDR", b"iCCP", b"pHYs", b"eXIf"]
    assert set(tags[4:-1]) == {b"IDAT"}
    assert tags[-1] == b"IEND"


def test_a_large_picture_is_written_in_several_chunks() -> None:
    data = encode_png(noise(3, np.uint8, 900, 900), deflate=ISAL)
    sizes = [len(body) for tag, body in chunks(data) if tag == b"IDAT"]
    assert len(sizes) > 2
    assert max(sizes) < 1 << 20


def test_both_writers_say_the_same(cut: np.ndarray) -> None:
    for source in (cut, cut.astype(np.uint16) * 257 + 3, cut[:, :, 3].copy()):
        fast, slow = encode_png(source, deflate=ISAL), encode_png(source)
        assert np.array_equal(with_opencv(fast), with_opencv(slow))
        assert next(chunks(fast)) == next(chunks(slow))  # IHDR


def test_a_cutout_is_at_most_1_3_times_as_large_as_at_zlib_level_6(cut: np.ndarray) -> None:
    small = io.BytesIO()
    Image.fromarray(cut).save(small, "PNG", compress_level=6)
    assert len(encode_png(cut, deflate=ISAL)) <= 1.3 * len(small.getvalue())


def test_emptiness_is_nearly_free() -> None:
    empty = np.zeros((2000, 2000, 4), np.uint8)
    assert len(encode_png(empty, deflate=ISAL)) < empty.size / 500


@pytest.mark.parametrize("shape", [(4, 4, 2), (0, 4), (4, 0, 3), (4,), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pixels"):
        encode_png(np.zeros(shape, np.uint8), deflate=ISAL)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="float32"):
        encode_png(np.zeros((4, 4), np.float32), deflate=ISAL)


def test_without_isal_files_are_written_all_the_same_and_the_log_says_so_once() -> None:
    script = """
import sys
sys.modules["isal"] = None  # as if it were not installed
import logging
logging.basicConfig(format="%(levelname)s %(message)s")
import numpy as np
from edge_matting.imaging import encode
for _ in range(3):
    data = encode(np.full((5, 6, 4), 9, np.uint8), "png")
sys.stdout.buffer.write(data)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stderr.decode().count("WARNING PNG files are written by OpenCV") == 1
    assert np.array_equal(with_pillow(done.stdout), np.full((5, 6, 4), 9, np.uint8))


def test_with_isal_nothing_is_logged(caplog: pytest.LogCaptureFixture, cut: np.ndarray) -> None:
    with caplog.at_level(logging.DEBUG):
        encode(cut, "png")
    assert not caplog.records


def test_the_interpreter_runs_on_while_isal_compresses() -> None:
    """The lock is released: another thread's longest pause is a fraction of one compression."""
    data = noise(1, np.uint8, 6000, 8000) >> 3
    assert ISAL is not None
    begin = time.perf_counter()
    ISAL().compress(data)
    alone = time.perf_counter() - begin
    worker = threading.Thread(target=lambda: ISAL().compress(data))
    ticks = [time.perf_counter()]
    worker.start()
    while worker.is_alive():
        time.sleep(0.001)
        ticks.append(time.perf_counter())
    pauses = [later - earlier for earlier, later in pairwise(ticks)]
    assert len(pauses) > 4
    assert sorted(pauses)[len(pauses) // 2] < 0.25 * alone


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_cutout_made_while_it_is_written_is_the_file_of_the_whole_one(dtype) -> None:
    random = np.random.default_rng(3)
    front = random.integers(0, np.iinfo(dtype).max, (301, 2000, 3)).astype(dtype)
    alpha = cv2.GaussianBlur(random.random((301, 2000), np.float32), (0, 0), 9)
    rows = CutoutRows(front, np.clip(alpha * 3 - 1, 0, 1))
    whole = cutout(front, rows.alpha)
    assert rows.shape == whole.shape
    assert encode_png(rows, deflate=isal_deflate()) == encode_png(whole, deflate=isal_deflate())
    assert encode_png(rows) == encode_png(whole)  # through OpenCV
    assert encode(rows, "webp", quality=100) == encode(whole, "webp", quality=100)

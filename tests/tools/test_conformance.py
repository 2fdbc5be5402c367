"""Small pictures of every kind through `tools.conformance`: nothing differs without a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_pictures import (
    P3_POINTS,
    camera_exif,
    chromaticities,
    chunk,
    deep_scene,
    grey_profile,
    jpeg_segment,
    nclx,
    png_with,
    saved,
    scene,
    srgb_profile,
    thumbnail_first,
    tiff,
)
from PIL import Image

from tools.conformance.__main__ import main, work
from tools.conformance.compare import AGREES, FAULTS, REFUSED, differs
from tools.conformance.report import table

needs_imagemagick = pytest.mark.skipif(
    shutil.which("convert") is None, reason="ImageMagick is not installed"
)


def alpha_scene() -> Image.Image:
    picture = Image.fromarray(scene())
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


DEEP = deep_scene()
MADE = {
    "H1 camera.jpg": saved(scene(), "JPEG", quality=95, exif=camera_exif()),
    "H2 transparent.png": saved(alpha_scene(), "PNG"),
    "H3 planes.tif": tiff(
        np.ascontiguousarray(DEEP.transpose(2, 0, 1)), photometric="rgb", planarconfig="separate"
    ),
    "H3 white is zero.tif": tiff(65535 - DEEP[:, :, 0], photometric="miniswhite"),
    "H3 grey profile.tif": tiff(
        DEEP[:, :, 0], photometric="minisblack", iccprofile=grey_profile(1.8)
    ),
    "H4 no end.jpg": saved(scene(), "JPEG", quality=95)[:-2],
    "H4 profile in parts.jpg": jpeg_segment(
        saved(scene(), "JPEG", quality=95), 0xE2, b"ICC_PROFILE\0\1\2" + srgb_profile()
    ),
    "H5 turned.jpg": saved(scene(), "JPEG", quality=95, exif=camera_exif(long_orientation=6)),
    "H6 points.png": png_with(chromaticities(*P3_POINTS)),
    "H6 code points.png": png_with(chunk(b"cICP", bytes((12, 13, 0, 1)))),
    "H6 R03.jpg": saved(scene(), "JPEG", quality=95, exif=camera_exif(interoperability="R03")),
    "H6 nclx.avif": nclx(saved(scene(), "AVIF", quality=95, subsampling="4:4:4"), 12, 13),
    "H7 text.png": png_with(chunk(b"tEXt", b"Comment\0" + b"x" * 2_000_000)),
    "H7 checksum.png": png_with(chunk(b"tEXt", b"Comment\0hello", crc=1)),
    "H8 float.tif": tiff((DEEP / 65535).astype(np.float32), photometric="rgb"),
    "H8 bigtiff.tif": tiff(scene(), photometric="rgb", bigtiff=True, byteorder=">"),
    "H8 thumbnail.tif": thumbnail_first(scene()),
    "jpeg.jpg": saved(scene(), "JPEG", quality=95),
    "progressive.jpg": saved(scene(), "JPEG", quality=95, progressive=True),
    "grey.jpg": saved(Image.fromarray(scene()).convert("L"), "JPEG", quality=95),
    "png.png": saved(scene(), "PNG"),
    "deep.png": saved(DEEP[:, :, 0], "PNG"),
    "palette.png": saved(Image.fromarray(scene()).quantize(32), "PNG"),
    "webp.webp": saved(alpha_scene(), "WEBP", lossless=True),
    "tiff.tif": saved(scene(), "TIFF", compression="tiff_lzw"),
    "bmp.bmp": saved(scene(), "BMP"),
    "gif.gif": saved(Image.fromarray(scene()).quantize(64), "GIF"),
    "avif.avif": saved(alpha_scene(), "AVIF", quality=95, subsampling="4:4:4"),
}
REFUSED_BY_NAME = {
    "H8 ppm.ppm": saved(scene(), "PPM"),
    "H8 tga.tga": saved(scene(), "TGA"),
    "H8 jpeg 2000.jp2": saved(scene(), "JPEG2000"),
}


@needs_imagemagick
@pytest.mark.parametrize("name", MADE)
def test_a_made_picture_and_its_outputs_agree_with_other_readers(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(MADE[name])
    findings = work(path, outputs=name.startswith(("H1", "H2", "H3 planes", "H6 code", "deep")))
    assert not [finding for finding in findings if finding.verdict in FAULTS]
    assert findings[0].verdict != REFUSED


@needs_imagemagick
@pytest.mark.parametrize("name", REFUSED_BY_NAME)
def test_a_picture_that_is_not_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(REFUSED_BY_NAME[name])
    (finding,) = work(path, outputs=False)
    assert finding.verdict == REFUSED


@needs_imagemagick
def test_a_folder_comes_out_as_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("png.png", "jpeg.jpg"):
        (tmp_path / name).write_bytes(MADE[name])
    target = tmp_path.parent / f"{tmp_path.name}.md"
    monkeypatch.setattr(
        "sys.argv", ["conformance", str(tmp_path), "--outputs", "0", "--write", str(target)]
    )
    assert main() == 0
    assert f"| {AGREES} | 2 |" in target.read_text("utf-8")
    assert "2 findings, 0 without a reason" in capsys.readouterr().out


def test_differences_are_seen() -> None:
    ours = np.dstack([DEEP, np.full(DEEP.shape[:2], 65535, np.uint16)])
    assert differs(ours, ours) == ""
    assert "size" in differs(ours, ours[:-1])
    assert "colours" in differs(ours, np.dstack([65535 - DEEP, ours[:, :, 3]]))
    assert "alpha" in differs(ours, np.dstack([DEEP, ours[:, :, 3] // 2]))
    assert table([]).startswith("| how")

"""Models that others made, added without a word and compared with onnxruntime used by hand.

The real ones lie in a folder beside the project, or where EDGE_MATTING_FOREIGN_MODELS says; they
are no part of it. Stand-ins of the same three kinds are made from the shipped model, so that the
way is walked everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import reexport
import yaml
from reference_matte import alpha_by_hand

import edge_matting
from edge_matting.cli.main import main
from edge_matting.models import shipped_models_dir
from edge_matting.onboarding.normalisation import NORMALISATIONS

PHOTOS = sorted((Path(edge_matting.__file__).parent / "data" / "photos").glob("*.jpg"))
SHIPPED = shipped_models_dir() / "default" / "matting_mobilenetv2_unet.onnx"
FOREIGN = Path(
    os.environ.get("EDGE_MATTING_FOREIGN_MODELS", Path(__file__).parents[3] / "shared" / "models")
)
FROM_UNIT_TO_SHIPPED = ([-1.0] * 3, [2.0] * 3)  # the shipped network wants (photo - 0.5) / 0.5

Write = Callable[[onnx.ModelProto], onnx.ModelProto]


class Bench:
    """A configuration of its own, and the commands run as a user would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.config.write_text(
            yaml.safe_dump({"state_dir": "state", "hot_folders": [{"path": "hot"}]})
        )

    def add(self, path: Path, *options: str) -> dict[str, object]:
        """The manifest of the model added as ``mine``."""
        arguments = ["models", "-c", str(self.config), "add", str(path), "--id", "mine"]
        assert main([*arguments, *options]) == 0
        return yaml.safe_load((self.root / "state/models/mine/manifest.yaml").read_text())

    def alphas(self, photos: list[Path]) -> list[np.ndarray]:
        """What ``process`` makes of the photos without refinement, H x W in [0, 1]."""
        out = self.root / "out"
        settings = {
            "recipes.cutout.outputs": "[{kind: alpha, format: png}]",
            "recipes.cutout.refinement": "none",
            "recipes.cutout.ground": "none",
        }
        chosen = [part for item in settings.items() for part in ("--set", "=".join(item))]
        command = ["process", *map(str, photos), "-o", str(out), "-c", str(self.config)]
        assert main([*command, "--model", "mine", *chosen]) == 0
        made = [
            next(path for folder in (out, out / "review") if (path := folder / name).exists())
            for name in (photo.with_suffix(".png").name for photo in photos)
        ]
        return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) / np.float32(255) for path in made]

    def compare(self, model: Path, photos: list[Path]) -> float:
        """Mean absolute difference from the matte by hand, of the worst photo, in levels of 255."""
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        return max(
            255.0 * float(np.abs(made - alpha_by_hand(session, str(photo))).mean())
            for made, photo in zip(self.alphas(photos), photos, strict=True)
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def foreign(name: str) -> Path:
    path = FOREIGN / name
    if not path.is_file():
        pytest.skip(f"{name} is not at hand: set EDGE_MATTING_FOREIGN_MODELS to its folder")
    return path


def ten_photos(tmp_path: Path) -> list[Path]:
    """The built-in photos, and one of them upside down."""
    turned = tmp_path / "turned.png"
    cv2.imwrite(str(turned), cv2.rotate(cv2.imread(str(PHOTOS[0])), cv2.ROTATE_180))
    return [*PHOTOS, turned]


@pytest.mark.parametrize(
    ("name", "family", "side"),
    [
        ("selfie_segmentation_landscape.onnx", "nhwc", (256, 144)),
        ("prisma_nchw.onnx", "nchw", (256, 256)),
        pytest.param(
            "u2net_small.onnx",
            "nchw",
            (320, 320),
            marks=(pytest.mark.slow, pytest.mark.timeout(1200)),
        ),
    ],
)
def test_a_foreign_model_gives_the_same_alpha_as_by_hand(
    bench: Bench, tmp_path: Path, name: str, family: str, side: tuple[int, int]
) -> None:
    path = foreign(name)
    found = bench.add(path)["input"]
    assert (found["layout"], found["size"]["width"], found["size"]["height"]) == (family, *side)
    assert (found["mean"], found["std"], found["range"]) == ([0.0] * 3, [1.0] * 3, [0.0, 1.0])
    photos = ten_photos(tmp_path)
    assert len(photos) == 10
    assert bench.compare(path, photos) < 1.0


def shipped(width: int | str, height: int | str, batch: int | str = 1) -> onnx.ModelProto:
    """The shipped network at a size, wanting photos in [0, 1] as the foreign ones do."""
    model = reexport.sized(reexport.load(SHIPPED), width, height, batch)
    return reexport.fed_with(model, *FROM_UNIT_TO_SHIPPED)


STAND_INS: dict[str, Callable[[], onnx.ModelProto]] = {
    "channels last, one output": lambda: reexport.channels_last(shipped(256, 160)),
    "seven outputs, the first is alpha": lambda: reexport.many_outputs(shipped(320, 320), 7),
    "weights among the inputs, free batch": lambda: reexport.old_style(shipped(256, 256, "N")),
}


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_stand_in_gives_the_same_alpha_as_by_hand(
    bench: Bench, tmp_path: Path, kind: str
) -> None:
    path = reexport.save(STAND_INS[kind](), tmp_path / "model.onnx")
    found = bench.add(path)["input"]
    assert (found["mean"], found["std"], found["range"]) == ([0.0] * 3, [1.0] * 3, [0.0, 1.0])
    assert bench.compare(path, ten_photos(tmp_path)) < 1.0


Base = Callable[[], onnx.ModelProto]


def fed(model: onnx.ModelProto, way: str) -> onnx.ModelProto:
    """``model``, which wants photos in [0, 1], wanting them normalised in another way."""
    used = NORMALISATIONS[way]
    return reexport.fed_with(model, used.mean, used.std)


REWRITTEN: dict[str, tuple[Write, tuple[str, ...], str]] = {
    "bytes in, logits out": (
        lambda m: reexport.fed_with_bytes(reexport.logits(m)),
        (),
        "raw",
    ),
    "half": (lambda m: fed(m, "half"), ("--preset", "half"), "half"),
    "imagenet, two classes": (
        lambda m: fed(reexport.two_classes(m), "imagenet"),
        ("--preset", "imagenet"),
        "imagenet",
    ),
    "background first": (reexport.inverted, (), "unit"),
    "free size, RGBA": (
        lambda m: reexport.rgba(reexport.sized(m, "w", "h", "N")),
        ("--size", "256x256"),
        "unit",
    ),
}
"""How a network is written anew, the one option that adding it may take, its normalisation."""


def rewritten(base: onnx.ModelProto, form: str) -> onnx.ModelProto:
    return REWRITTEN[form][0](reexport.renamed(base, "pixels", "result"))


@pytest.mark.parametrize("form", REWRITTEN)
@pytest.mark.parametrize(
    "base", ["stand-in", pytest.param("prisma_nchw.onnx", marks=pytest.mark.slow)]
)
def test_a_network_written_anew_needs_one_option_at_most(
    bench: Bench, tmp_path: Path, base: str, form: str
) -> None:
    def network() -> onnx.ModelProto:
        return shipped(256, 256) if base == "stand-in" else reexport.load(foreign(base))

    plain = reexport.save(network(), tmp_path / "plain.onnx")
    path = reexport.save(rewritten(network(), form), tmp_path / "anew.onnx")
    _, options, normalisation = REWRITTEN[form]
    found = bench.add(path, *options)["input"]
    expected = NORMALISATIONS[normalisation]
    assert found["mean"] == pytest.approx(expected.mean)
    assert found["std"] == pytest.approx(expected.std)
    assert found["range"] == pytest.approx(expected.range)
    assert bench.compare(plain, ten_photos(tmp_path)[-3:]) < 1.0


@pytest.mark.parametrize("normalisation", ["half", "imagenet", "centred"])
def test_the_normalisation_of_the_shipped_network_is_found_by_trying(
    bench: Bench, tmp_path: Path, normalisation: str
) -> None:
    """It is its own judge here, so the right one agrees wholly; foreign networks may do as well
    with another, and then the docs say what to do."""
    model = fed(reexport.renamed(shipped(256, 256), "pixels", "result"), normalisation)
    found = bench.add(reexport.save(model, tmp_path / "anew.onnx"))["input"]
    assert found["mean"] == pytest.approx(NORMALISATIONS[normalisation].mean)
    assert found["std"] == pytest.approx(NORMALISATIONS[normalisation].std)


@pytest.mark.slow
@pytest.mark.parametrize("side", [192, 320])
def test_another_size_of_a_foreign_network_is_another_model(
    bench: Bench, tmp_path: Path, side: int
) -> None:
    model = reexport.sized(reexport.load(foreign("prisma_nchw.onnx")), side, side, 1)
    path = reexport.save(reexport.renamed(model, "a", "b"), tmp_path / "other-size.onnx")
    assert bench.add(path)["input"]["size"]["width"] == side
    assert bench.compare(path, ten_photos(tmp_path)[:2]) < 1.0

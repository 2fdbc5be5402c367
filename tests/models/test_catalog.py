"""The catalog: manifests that name their faults, files that must be what their digest says."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml

from edge_matting.core.errors import ModelError
from edge_matting.models import Catalog, Manifest, shipped_models_dir
from edge_matting.models.manifest import load_manifest, parse_manifest

CONTENT = b"not really a model"

SMALL_SHA256 = "c793f60d49a239d56fc5566d1c354da09a0facf8e46c2dd2149c9566a2b181ec"
"""Of the model `preview`, as version 0.1.0 shipped it."""


def values(model_id: str = "tiny", **changes: object) -> dict[str, object]:
    made: dict[str, object] = {
        "id": model_id,
        "version": "2026.11.1",
        "name": "Tiny",
        "task": "matting",
        "file": "tiny.onnx",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "input": {
            "name": "image",
            "layout": "nchw",
            "dtype": "float32",
            "channels": "rgb",
            "size": {"rule": "fixed", "width": 320, "height": 320, "fit": "stretch"},
            "range": [0, 1],
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
        },
        "output": {"name": "alpha", "kind": "alpha"},
        "licence": "Apache-2.0",
        "provenance": "made for a test",
    }
    return {**made, **changes}


def variant(**changes: object) -> dict[str, object]:
    digest = hashlib.sha256(CONTENT).hexdigest()
    made = {"precision": "fp16", "backend": "ort", "file": "tiny-fp16.onnx", "sha256": digest}
    return {**made, **changes}


def quality(**changes: object) -> dict[str, object]:
    return {"precision": "fp16", "resolution": [320, 256], "iou": 0.9, "mad": 0.02, **changes}


def place(root: Path, model_id: str = "tiny", **changes: object) -> Path:
    folder = root / model_id
    folder.mkdir(parents=True)
    (folder / "tiny.onnx").write_bytes(CONTENT)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(values(model_id, **changes)))
    return folder


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    place(tmp_path / "shipped", "default")
    place(tmp_path / "added", "mine")
    return Catalog(tmp_path / "shipped", tmp_path / "added")


def test_a_manifest_is_read_frozen_and_written_back_the_same(tmp_path: Path) -> None:
    manifest = load_manifest(place(tmp_path) / "manifest.yaml")
    assert manifest.input.mean == (0.485, 0.456, 0.406)
    assert manifest.input.size.width == 320
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "other"
    assert parse_manifest(yaml.safe_load(manifest.as_yaml()), "again") == manifest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"colour": 1}, "colour"),
        ({"id": "../up"}, "id"),
        ({"id": "Upper"}, "id"),
        ({"file": "../../etc/passwd"}, "file"),
        ({"file": "/etc/passwd"}, "file"),
        ({"file": "manifest.yaml"}, "file"),
        ({"file": ""}, "file"),
        ({"sha256": "abc"}, "sha256"),
        ({"version": 3.5}, "version"),
        ({"input": {"name": "x"}}, r"input\.size"),
        ({"input": {"name": "x", "size": {"width": 0, "height": 4}}}, r"input\.size"),
        ({"input": {"name": "x", "size": {"width": 4, "height": 4, "deep": 4}}}, r"size\.deep"),
        (
            {"input": {"name": "x", "size": {"width": 4, "height": 4}, "std": [1, 0, 1]}},
            r"input\.std",
        ),
        (
            {"input": {"name": "x", "size": {"width": 4, "height": 4}, "batch": 0}},
            r"input\.batch",
        ),
        ({"output": {"name": "y", "kind": "mask"}}, r"output\.kind"),
        ({"output": {"name": "y", "channel": 4}}, r"output\.channel"),
        ({"output": {"name": "y", "kind": "two_class", "channel": 2}}, r"output\.channel"),
        ({"output": {"name": "y", "range": [1, 1]}}, r"output\.range"),
        ({"precision": "fp64"}, "precision"),
        ({"backend": "tflite"}, "backend"),
        ({"variants": [variant(file="../x")]}, r"variants\.0\.file"),
        ({"variants": [variant(sha256="x")]}, r"variants\.0\.sha256"),
        ({"variants": [variant(precision="half")]}, r"variants\.0\.precision"),
        ({"variants": [variant(backend="cuda")]}, r"variants\.0\.backend"),
        ({"variants": [variant(precision="fp32")]}, "same backend and precision"),
        ({"variants": [variant(file="tiny.onnx")]}, "named twice"),
        ({"quality": [quality(iou=1.5)]}, r"quality\.0\.iou"),
        ({"quality": [quality(resolution=[320, 0])]}, r"quality\.0\.resolution"),
        ({"quality_floor": -0.1}, "quality_floor"),
    ],
)
def test_a_fault_in_a_manifest_names_the_file_and_the_key(changes, words, tmp_path: Path) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump(values(**changes)))
    with pytest.raises(ModelError, match=words) as caught:
        load_manifest(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\x00", ""])
def test_what_is_no_manifest_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.yaml"):
        load_manifest(tmp_path / "manifest.yaml")
    with pytest.raises(ModelError, match="read"):
        load_manifest(tmp_path / "missing.yaml")


def test_models_are_listed_shipped_ones_first_and_broken_ones_with_their_fault(
    catalog: Catalog, tmp_path: Path
) -> None:
    place(tmp_path / "added", "broken", id="other")
    place(tmp_path / "added", "default", name="impostor")
    (tmp_path / "added" / "no-manifest").mkdir()
    entries = catalog.list()
    assert [(e.id, e.shipped) for e in entries] == [
        ("default", True),
        ("broken", False),
        ("mine", False),
    ]
    assert [e.id for e in entries if e.fault] == ["broken"]
    assert catalog.get("default").name == "Tiny"
    assert catalog.hidden() == ("default",)


def test_removing_a_hidden_model_leaves_the_shipped_one_that_hides_it(
    catalog: Catalog, tmp_path: Path
) -> None:
    place(tmp_path / "added", "default", name="impostor")
    catalog.remove("default")
    assert catalog.hidden() == ()
    assert not (tmp_path / "added" / "default").exists()
    catalog.verify("default")
    with pytest.raises(ModelError, match="is shipped with the appliance and stays"):
        catalog.remove("default")


def test_a_model_may_have_files_for_other_precisions_and_backends(tmp_path: Path) -> None:
    changes = {"variants": [variant()], "quality": [quality()], "quality_floor": 0.8}
    manifest = load_manifest(place(tmp_path, "tiny", **changes) / "manifest.yaml")
    assert parse_manifest(yaml.safe_load(manifest.as_yaml()), "again") == manifest
    assert [part.file for part in manifest.files] == ["tiny.onnx", "tiny-fp16.onnx"]
    main, half = manifest.variant("ort", "fp32"), manifest.variant("ort", "fp16")
    assert main is not None
    assert main.sha256 == manifest.sha256
    assert half is not None
    assert half.file == "tiny-fp16.onnx"
    assert manifest.variant("torch", "fp16") is None
    assert manifest.quality[0].resolution == (320, 256)
    assert "variants" not in load_manifest(place(tmp_path / "b") / "manifest.yaml").as_yaml()


def test_every_file_of_a_model_is_verified_or_the_one_that_is_asked_for(tmp_path: Path) -> None:
    folder = place(tmp_path / "added", "mine", variants=[variant()])
    catalog = Catalog(tmp_path / "shipped", tmp_path / "added")
    with pytest.raises(ModelError, match=r"tiny-fp16\.onnx: the model cannot be read"):
        catalog.verify("mine")
    half = catalog.get("mine").variant("ort", "fp16")
    (folder / "tiny-fp16.onnx").write_bytes(CONTENT)
    assert catalog.verify("mine") == folder / "tiny.onnx"
    assert catalog.verify("mine", half) == folder / "tiny-fp16.onnx"
    (folder / "tiny.onnx").write_bytes(b"altered")
    assert catalog.verify("mine", half) == folder / "tiny-fp16.onnx"
    with pytest.raises(ModelError, match=r"tiny\.onnx: SHA-256"):
        catalog.verify("mine")


def test_an_unknown_model_is_answered_with_the_known_ones(catalog: Catalog) -> None:
    with pytest.raises(ModelError, match="default, mine"):
        catalog.get("absent")
    with pytest.raises(ModelError, match="no model id"):
        catalog.get("../default")


def test_the_digest_is_compared_at_every_verification(catalog: Catalog, tmp_path: Path) -> None:
    path = catalog.verify("mine")
    assert path == tmp_path / "added" / "mine" / "tiny.onnx"
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(ModelError, match=r"tiny\.onnx: SHA-256"):
        catalog.verify("mine")


def test_only_plain_regular_files_are_models(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "added" / "mine" / "tiny.onnx"
    path.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        catalog.verify("mine")
    path.symlink_to(tmp_path / "shipped" / "default" / "tiny.onnx")
    with pytest.raises(ModelError, match="plain file"):
        catalog.verify("mine")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match="plain file"):
        catalog.verify("mine")


def test_added_models_can_be_removed_and_shipped_ones_cannot(catalog: Catalog) -> None:
    catalog.remove("mine")
    assert [entry.id for entry in catalog.list()] == ["default"]
    with pytest.raises(ModelError, match="shipped"):
        catalog.remove("default")
    assert catalog.is_shipped("default")


def test_an_empty_catalog_is_no_error(tmp_path: Path) -> None:
    empty = Catalog(tmp_path / "a", tmp_path / "b")
    assert empty.list() == ()
    with pytest.raises(ModelError, match="none"):
        empty.get("default")


def test_every_shipped_model_has_a_valid_manifest_and_the_right_digest(tmp_path: Path) -> None:
    catalog = Catalog(shipped_models_dir(), tmp_path)
    for entry in catalog.list():
        assert entry.fault is None
        assert isinstance(entry.manifest, Manifest)
        catalog.verify(entry.id)


def test_the_model_preview_is_small_and_stays_the_same_file(tmp_path: Path) -> None:
    catalog = Catalog(shipped_models_dir(), tmp_path)
    manifest = catalog.get("preview")
    assert (manifest.id, manifest.sha256) == ("small", SMALL_SHA256)
    assert manifest.variants[0].file == "matting_mobilenetv2_preview.int8.onnx"  # in cache keys
    assert catalog.path("preview") == catalog.path("small")
    assert "preview" not in [entry.id for entry in catalog.list()]


def test_a_model_that_is_not_there_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model smal .*did you mean small\?") as caught:
        Catalog(shipped_models_dir(), tmp_path).get("smal")
    assert "default, quality, small" in caught.value.hint

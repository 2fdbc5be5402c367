"""The training tools: cheap checks of shapes, learning, the split and the shipped manifest."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "default"
sys.path.insert(0, str(ROOT))  # `tools` is no installed package


def _field(manifest: str, key: str) -> str:
    found = re.search(rf"^{key}: *\"?([^\"\n]+)\"?$", manifest, re.MULTILINE)
    assert found, f"manifest.yaml has no {key}"
    return found[1]


def test_the_manifest_names_the_file_beside_it_and_its_hash() -> None:
    manifest = (MODEL / "manifest.yaml").read_text()
    model = MODEL / _field(manifest, "file")
    assert hashlib.sha256(model.read_bytes()).hexdigest() == _field(manifest, "sha256")
    assert model.stat().st_size < 10_000_000
    assert _field(manifest, "task") == "matting"


def test_the_split_is_decided_by_name_alone() -> None:
    from tools.training.split import held_out, object_family

    names = [f"{i:04d}" for i in range(500)]
    chosen = held_out("persons", names)
    assert len(chosen) == 60
    assert chosen == held_out("persons", reversed(names))
    assert chosen != held_out("salient", names)
    assert object_family("blue_cup_03") == object_family("red_cup_11") == "cup"


def test_no_product_kind_stands_on_both_sides() -> None:
    from tools.training.split import held_out, object_family

    kinds = ("cup", "spoon", "knife", "fork", "glue_1", "soap", "plate", "lamp", "book", "pear")
    names = [f"{colour}_{k}_{i:02d}" for colour in ("red", "blue") for k in kinds for i in range(3)]
    ours = held_out("objects", names)
    theirs = set(names) - ours
    assert ours
    assert theirs
    assert not {object_family(n) for n in ours} & {object_family(n) for n in theirs}


def test_the_network_gives_one_logit_a_pixel() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet

    net = MattingNet().eval()
    with torch.inference_mode():
        logits, coarse = net.forward_both(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 1, 64, 96)
    assert coarse.shape == (2, 1, 8, 12)


def test_the_loss_falls_on_one_batch() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.losses import matting_loss
    from tools.training.network import MattingNet

    torch.manual_seed(0)
    target = torch.zeros(2, 1, 64, 64)
    target[:, :, 16:48, 20:44] = 1
    image = (target * 2 - 1).repeat(1, 3, 1, 1) + 0.1 * torch.randn(2, 3, 64, 64)
    net = MattingNet()
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = matting_loss(*net.forward_both(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_a_perfect_matte_costs_next_to_nothing() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.losses import gradient_loss, soft_iou_loss

    target = torch.rand(2, 1, 32, 32)
    assert float(soft_iou_loss(target, target)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_loss(target, target)) == 0
    assert float(soft_iou_loss(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32))) == 0

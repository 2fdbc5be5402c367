"""The training tools: cheap checks of shapes, learning, the split and the shipped manifest."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from photo_set import make_photo_set

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "default"


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


def test_the_network_gives_one_logit_a_pixel() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet

    net = MattingNet().eval()
    with torch.inference_mode():
        logits, coarse = net.forward_both(torch.zeros(2, 3, 64, 96))
    assert logits.shape == (2, 1, 64, 96)
    assert coarse.shape == (2, 1, 8, 12)


def test_the_plain_network_that_cost_is_compared_with_has_two_million_parameters() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnxruntime")
    from tools.bench.network_cost import PlainUNet, parameters

    net = PlainUNet().eval()
    assert 1.9e6 < parameters(net) < 2.1e6
    with torch.inference_mode():
        assert net(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 64, 96)


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


def test_an_exported_file_gives_the_network_back_and_its_norms_fit_the_batches() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnx", reason="reading the file needs onnx")
    runtime = pytest.importorskip("onnxruntime", reason="comparing needs onnxruntime")
    from tools.training.network import AlphaNet, MattingNet
    from tools.training.warm_start import load_exported, measure_norms

    torch.manual_seed(0)
    coarse = torch.rand(3, 4, 3, 9, 9) * 2 - 1
    images = [torch.nn.functional.interpolate(one, (96, 64), mode="bicubic") for one in coarse]
    path = MODEL / _field((MODEL / "manifest.yaml").read_text(), "file")
    net = MattingNet()
    load_exported(net, path)
    measure_norms(net, images)
    with torch.inference_mode():
        ours = AlphaNet(net.eval())(images[0]).numpy()
        in_training = AlphaNet(net.train())(torch.cat(images)).numpy()
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"image": images[0].numpy()})[0]
    assert abs(ours - theirs).max() < 1e-4
    assert abs(in_training[:4] - theirs).mean() < 0.05  # wrong statistics would give anything
    assert not net.coarse_head.weight.any()


def test_a_file_of_another_network_is_refused() -> None:
    pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnx", reason="reading the file needs onnx")
    from tools.training.network import MattingNet
    from tools.training.warm_start import load_exported

    path = MODEL / _field((MODEL / "manifest.yaml").read_text(), "file")
    with pytest.raises(ValueError, match="is not of this network"):
        load_exported(MattingNet(width=0.5), path)


def test_pruning_keeps_the_function_at_full_width_and_the_largest_channels_below() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet
    from tools.training.prune import links, pruned

    torch.manual_seed(0)
    net = MattingNet().eval()
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(pruned(net, 1.0).eval()(image), net(image))
        assert pruned(net, 0.5).eval()(image).shape == (1, 1, 64, 64)
    slim = pruned(net, expansions=(1, 4, 4.5, 5, 5, 3.5, 3))
    assert slim.encoder.stages[6][0].depthwise.out_channels == 3 * 160
    assert slim.encoder.stages[6][0].project.out_channels == 320
    convolutions = {n for n, m in net.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert {link.name for link in links(net)} == convolutions
    with torch.no_grad():
        net.context.narrow[0].weight[5:] *= 1e-3
        net.context.around[0].weight[5:] *= 1e-3
        net.context.around[3].weight[:, 5:] *= 1e-3
    narrow = pruned(net, 0.5).context.narrow[0].weight
    assert (narrow.abs().mean((1, 2, 3)) > 1e-3)[:5].all()


def test_a_students_loss_is_least_where_it_agrees_with_its_teacher() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.losses import distillation_loss

    told = torch.rand(2, 1, 8, 8)
    agreeing = float(distillation_loss(torch.logit(told), told))
    assert agreeing < float(distillation_loss(torch.logit(told) + 0.5, told))


def test_half_way_between_two_files_lies_the_mean_of_their_weights(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    onnx = pytest.importorskip("onnx", reason="reading the file needs onnx")
    from tools.training.network import MattingNet
    from tools.training.warm_start import between, load_exported

    path = MODEL / _field((MODEL / "manifest.yaml").read_text(), "file")
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "net.head.bias":
            moved = onnx.numpy_helper.to_array(tensor) + 2
            tensor.CopyFrom(onnx.numpy_helper.from_array(moved, tensor.name))
    onnx.save(model, tmp_path / "moved.onnx")
    net = MattingNet()
    load_exported(net, path)
    middle = between(path, tmp_path / "moved.onnx", 0.5)
    assert torch.allclose(middle.head.bias, net.head.bias + 1)
    assert torch.equal(middle.head.weight, net.head.weight)


def test_attention_begins_without_effect_and_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnx", reason="reading the file needs onnx")
    from tools.training import checkpoint
    from tools.training.network import MattingNet
    from tools.training.warm_start import load_exported

    path = MODEL / _field((MODEL / "manifest.yaml").read_text(), "file")
    plain, attending = MattingNet().eval(), MattingNet(attention=True).eval()
    load_exported(plain, path)
    load_exported(attending, path)
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(plain(image), attending(image), atol=1e-5)
    with torch.no_grad():
        attending.up8.attend.excite.bias += 0.5
        changed = attending(image)
        assert not torch.allclose(plain(image), changed, atol=1e-3)
    averaged = checkpoint.Averaged(attending)
    optimizer = torch.optim.AdamW(attending.parameters())
    checkpoint.save(tmp_path / "c.pt", attending, averaged, optimizer, checkpoint.Progress())
    again, _ = checkpoint.averaged_net(tmp_path / "c.pt")
    with torch.inference_mode():
        assert torch.equal(again(image), changed)


def test_weights_between_two_files_run_from_the_one_to_the_other() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    pytest.importorskip("onnx")
    from tools.training.network import MattingNet
    from tools.training.warm_start import between, load_exported

    plain, finer = (
        folder / _field((folder / "manifest.yaml").read_text(), "file")
        for folder in (MODEL, MODEL.with_name("quality"))
    )
    ends = MattingNet().eval(), MattingNet(attention=True).eval()
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        for share, end, file in zip((0.0, 1.0), ends, (plain, finer), strict=True):
            load_exported(end, file)
            found = between(plain, finer, share, attention=True)
            assert torch.allclose(found(image), end(image), atol=1e-4)


def test_attention_that_says_the_same_of_every_picture_becomes_part_of_the_weights() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet
    from tools.training.warm_start import without_attention

    torch.manual_seed(0)
    net = MattingNet(attention=True).eval()
    images = [torch.rand(2, 3, 64, 96) * 2 - 1 for _ in range(2)]
    with torch.no_grad():
        for step in (net.up16, net.up8, net.up4, net.up2):
            step.attend.excite.bias.normal_()  # no weights: whatever the picture
    plain = without_attention(net, images)
    assert plain.layout == {**net.layout, "attention": False}
    with torch.inference_mode():
        assert torch.allclose(plain(images[0]), net(images[0]), atol=1e-5)


def test_a_plain_encoder_gives_the_decoder_the_same_sizes_and_comes_back(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training import checkpoint
    from tools.training.network import MattingNet

    net, usual = MattingNet(encoder="plain").eval(), MattingNet().eval()
    image = torch.rand(1, 3, 64, 96) * 2 - 1
    with torch.inference_mode():
        features = zip(net.encoder(image), usual.encoder(image), strict=True)
        assert all(ours.shape == theirs.shape for ours, theirs in features)
        given = net(image)
    assert {m.groups for m in net.encoder.modules() if isinstance(m, torch.nn.Conv2d)} == {1}
    optimizer = torch.optim.AdamW(net.parameters())
    averaged = checkpoint.Averaged(net)
    checkpoint.save(tmp_path / "c.pt", net, averaged, optimizer, checkpoint.Progress())
    again, _ = checkpoint.averaged_net(tmp_path / "c.pt")
    with torch.inference_mode():
        assert torch.equal(again(image), given)


def test_the_ablation_runs_a_network_as_its_checkpoint_has_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    np = pytest.importorskip("numpy")
    from tools.training import checkpoint
    from tools.training.ablation import all_rows, described, runner
    from tools.training.network import AlphaNet, MattingNet

    net = MattingNet(encoder="plain").eval()
    progress = checkpoint.Progress(samples=1234)
    optimizer = torch.optim.AdamW(net.parameters())
    checkpoint.save(tmp_path / "checkpoint.pt", net, checkpoint.Averaged(net), optimizer, progress)
    row = all_rows([tmp_path])[0]
    name, megabytes = described(row, tmp_path / "no-models")
    assert name == "plain encoder, 1,234 samples in all, torch"
    assert megabytes == pytest.approx(6.0, abs=0.01)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        expected = AlphaNet(net)(torch.from_numpy(image)).numpy()
    assert abs(runner(row, tmp_path / "no-models")(image) - expected).max() < 1e-5


def test_with_group_norm_a_picture_does_not_depend_on_its_batch() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet

    torch.manual_seed(0)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        for norm, alone in (("group", True), ("batch", False)):
            net = MattingNet(norm=norm).train()
            assert torch.allclose(net(images)[:1], net(images[:1]), atol=1e-4) == alone


def test_only_the_plain_layout_is_made_narrower() -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet
    from tools.training.prune import pruned

    with pytest.raises(ValueError, match="of the plain layout"):
        pruned(MattingNet(attention=True), 0.5)


def test_training_sizes_follow_the_planned_side() -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from tools.training.train import FIRST_SIZES, STAGE_SIZES, stage_sizes

    assert stage_sizes(320) == STAGE_SIZES
    assert stage_sizes(320, first=True) == FIRST_SIZES
    assert stage_sizes(224) == [[160, 192, 224], [192, 224], [224, 224, 256], [224]]


def test_what_is_rounded_in_training_has_even_steps_and_passes_its_gradient_on() -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from tools.training.network import MattingNet
    from tools.training.rounding import RELU6, Rounded, imitate_int8

    torch.manual_seed(0)
    layer = torch.nn.Identity().train()
    layer.register_forward_hook(Rounded(RELU6))
    x = (torch.rand(20_000) * 7 - 0.5).requires_grad_()
    rounded = layer(x)
    exact = x.detach()
    assert torch.equal(rounded.detach() * 32, (exact * 32).round())  # 1/32 is nearest to 6/255
    rounded.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    net, image = MattingNet().eval(), torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        before = net(image)
        imitate_int8(net)
        assert torch.equal(net(image), before)
        assert not torch.equal(net.train()(image), before)


def test_a_run_has_as_many_schedules_as_asked_for_and_goes_on_where_it_stood(
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch", reason="training needs torch")
    from tools.training.checkpoint import averaged_net

    make_photo_set(tmp_path)

    def train(schedules: int, *more: object) -> list[str]:
        options = [*more, "--data", tmp_path, "--work", tmp_path, "--side", 64, "--threads", 1]
        options += ["--encoder", "plain", "--targets", "masks"]
        options += ["--hours", 0.0004, "--schedules", schedules]
        command = [sys.executable, "-m", "tools.training.train", *map(str, options)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    assert sum("held out: persons" in line for line in train(1)) == 1
    _, progress = averaged_net(tmp_path / "checkpoint.pt")
    assert progress.schedules == 1
    steps = progress.step
    assert f"resumed at step {steps}, 0.0% of schedule 2" in train(2)[0]
    _, progress = averaged_net(tmp_path / "checkpoint.pt")
    assert progress.schedules == 2
    assert progress.step > steps
    assert "2 schedules are complete" in train(2)[-1]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        train(3, "--freeze", 1)
    assert refused.value.stderr.endswith("was trained with another --freeze; give that one\n")
    assert averaged_net(tmp_path / "checkpoint.pt")[1].step == progress.step


def test_a_halving_convolution_gives_and_learns_the_same_in_training_and_evaluation() -> None:
    torch = pytest.importorskip("torch")
    from tools.training.network import HalvingDepthwise

    torch.manual_seed(3)
    layer = HalvingDepthwise(4)
    kept = {}
    for training in (True, False):
        layer.train(training)
        x = torch.linspace(-1, 1, 4 * 64 * 2).reshape(2, 4, 8, 8).cos().requires_grad_(True)
        layer.zero_grad()
        out = layer(x)
        (out * torch.arange(out.numel()).reshape(out.shape)).sum().backward()
        kept[training] = (out, x.grad, layer.weight.grad.clone(), layer.bias.grad.clone())
    assert kept[True][0].shape == (2, 4, 4, 4)
    for ours, theirs in zip(kept[True], kept[False], strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-4)

"""The made kinds: their alpha is exact, holes stay open, and only the subject is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
cv2 = pytest.importorskip("cv2")

RED, BLUE, GREEN = (220, 20, 20), (20, 20, 220), (20, 200, 20)


def cut_out(colour: tuple[int, int, int], height: int = 200, width: int = 80) -> Any:
    """A plain upright thing, RGBA."""
    rgba = np.zeros((height + 20, width + 20, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[10:-10, 10:-10, 3] = 255
    return rgba


def like(rgb: Any, colour: tuple[int, int, int]) -> Any:
    """Where a picture has the hue of a colour, whatever light was put on it."""
    strongest = int(np.argmax(colour))
    rest = [k for k in range(3) if k != strongest]
    return rgb[..., strongest].astype(int) > rgb[..., rest].max(-1).astype(int) + 60


def test_every_kind_of_goods_draws_a_thing_that_is_neither_nothing_nor_the_whole_canvas() -> None:
    from tools.training.goods.canvas import Canvas
    from tools.training.goods.scenes import FAMILIES

    for number, draw in enumerate({draw for family in FAMILIES for draw in family}):
        rng = np.random.default_rng(number)
        canvas = Canvas(rng)
        draw(rng, canvas)
        covered = float((canvas.alpha > 127).mean())
        assert 0.001 < covered < 0.8, draw.__name__
        rgba = canvas.rgba()
        assert rgba.dtype == np.uint8
        assert rgba[..., 3].max() == 255, draw.__name__


def test_alpha_is_what_a_stroke_covers() -> None:
    from tools.training.augment import resized
    from tools.training.goods.canvas import SIDE, Canvas, material
    from tools.training.goods.shapes import ellipse

    rng = np.random.default_rng(1)
    canvas = Canvas(rng)
    width = 20.5 / SIDE
    canvas.stroke(ellipse((0.5, 0.5), (0.3, 0.3), count=200), width, material(rng), closed=True)
    small = resized(canvas.alpha, SIDE // 4, SIDE // 4)
    length = 2 * np.pi * 0.3
    assert small.mean() / 255 == pytest.approx(length * width, rel=0.06)
    middle = SIDE // 8
    assert (small[middle - 15 : middle + 15, middle - 15 : middle + 15] == 0).all()


def test_a_card_and_shadows_are_background() -> None:
    from tools.training.goods import scenes

    rng = np.random.default_rng(3)
    ground = np.full((160, 160, 3), 200, np.uint8)
    with_card = scenes.with_card(rng, ground)
    assert np.abs(with_card.astype(int) - 200).max() > 5
    alpha = cut_out(RED)[..., 3]
    alpha = np.pad(alpha, ((0, 0), (30, 30)))[:160, :160]
    dark = scenes.with_contact(rng, ground, np.ascontiguousarray(alpha))
    assert (dark <= ground).all()
    assert dark.shape == ground.shape


def test_everyone_in_a_group_is_subject() -> None:
    from tools.training.groups import group

    seen = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        colours = iter([RED, BLUE, GREEN] * 3)
        ground = np.full((256, 256, 3), 128, np.uint8)
        rgb, alpha = group(rng, lambda colours=colours: cut_out(next(colours)), ground)
        for colour in (RED, BLUE, GREEN):
            here = cv2.erode(like(rgb, colour).astype(np.uint8), np.ones((3, 3))) > 0
            if here.any():
                seen += 1
                assert alpha[here].min() > 200
    assert seen > 12


def test_a_neighbour_that_touches_the_subject_is_background() -> None:
    from tools.training.neighbours import beside

    touched = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        ground = np.full((256, 256, 3), 128, np.uint8)
        rgb, alpha = beside(rng, cut_out(RED), cut_out(BLUE, 200, 200), ground)
        blue, red = like(rgb, BLUE), like(rgb, RED)
        assert alpha[blue].max(initial=0) < 128
        touched += bool(blue.any() and red.any())
        if red.any():
            assert alpha[red].mean() > 240
    assert touched >= 6


def test_strands_are_finer_than_a_pixel_and_only_at_the_top_of_a_head() -> None:
    from tools.training.strands import with_strands

    rng = np.random.default_rng(2)
    body = cut_out(RED, 200, 120)
    made = with_strands(rng, body, head=True)
    before = (body[..., 3] > 127).sum() / body[..., 3].size
    assert ((made[..., 3] > 0) & (made[..., 3] < 128)).sum() > 50  # partly covered pixels
    assert before > 0
    lower = made[made.shape[0] // 2 :, :, 3]
    assert ((lower > 8) & (lower < 247)).mean() < 0.03


def ring_on(ground: Any) -> tuple[Any, Any]:
    picture = ground.copy()
    mask = np.zeros(ground.shape[:2], np.uint8)
    cv2.circle(mask, (100, 100), 60, 255, 14)
    cv2.circle(mask, (100, 100), 5, 255, -1)
    picture[mask > 0] = (150, 110, 40)
    return picture, mask


def test_a_mask_from_a_plain_ground_keeps_holes_open_and_follows_uneven_light() -> None:
    from tools.training.kinds.plain_ground import cut_out as cut
    from tools.training.kinds.plain_ground import distance_from_ground

    slope = np.linspace(200, 250, 200)[None, :, None]
    ground = np.broadcast_to(slope, (200, 200, 3)).astype(np.uint8)
    picture, mask = ring_on(ground)
    away, plain = distance_from_ground(picture)
    assert plain > 0.95
    assert away[100, 60] < 3
    found = cut(picture, 9, 10)
    assert ((found > 0) != (mask > 0)).mean() < 0.02
    assert found[100, 75] == 0
    filled = cut(picture, 9, float("inf"))
    assert filled[100, 75] == 255
    opened = cut(picture, 9, 10, [("cut", [[0, 0], [1, 0], [1, 0.5], [0, 0.5]])])
    assert not opened[:95].any()


def test_the_shop_set_and_the_goods_trained_on_share_no_photo() -> None:
    import json

    from tools.training.kinds import build

    shop, goods = set(json.loads(build.SHOP.read_text())), set(build.GOODS.read_text().split())
    assert len(shop) >= 60
    assert len(goods) > 200
    assert not shop & goods
    assert len(build.GROUPS) == len(build.SMALL) == 30
    assert not set(build.GROUPS) & set(build.SMALL)


def test_the_mean_of_a_network_with_itself_is_that_network() -> None:
    torch = pytest.importorskip("torch")
    from tools.training.mean import mean_of, part_of
    from tools.training.network import MattingNet
    from tools.training.warm_start import load_exported

    path = Path(__file__).resolve().parents[2] / "models/default/matting_mobilenetv2_unet.onnx"
    net = MattingNet()
    load_exported(net, path)
    mean, progress = mean_of([part_of(f"{path}=0.25"), part_of(str(path))], attention=False)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        assert torch.allclose(net.eval()(image), mean(image), atol=1e-4)
    assert progress.samples == 0

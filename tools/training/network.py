"""The matting network: a U-Net with a MobileNetV2 encoder and a light separable decoder.

Encoder: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018), with batch
norm folded into the convolutions and TensorFlow's SAME padding (stride 2 pads right and bottom).
Layout: Ronneberger et al., "U-Net" (2015). Last step: sub-pixel convolution, Shi et al. (2016).
Attention, where asked for: Hu et al., "Squeeze-and-Excitation Networks" (2018). Group norm: Wu, He
(2018).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# expansion, output channels, repeats, stride of the first: table 2 of the paper
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
EXPANSIONS = tuple(float(expansion) for expansion, *_ in STAGES)
SKIP_AFTER_STAGE = (0, 1, 2, 4)  # 1/2, 1/4, 1/8, 1/16 of the input

ENCODERS = {"mobilenetv2": "MobileNetV2", "plain": "plain encoder"}
"""Of a layout, and what tables call them."""

KEPT_IN_FP32 = ("encoder.stem", "encoder.stages.0", "up2", "head")
"""Parts that the int8 file leaves as they are, from the input on and up to the output."""


def scaled(channels: int, width: float) -> int:
    """Channels of a layer `width` times as wide: a multiple of 8, at least 8."""
    return max(8, int(channels * width + 4) // 8 * 8)


def _same_pad(x: Tensor) -> Tensor:
    """For a stride of 2."""
    return functional.pad(x, (0, 1, 0, 1))


class _EverySecond(torch.autograd.Function):
    """Rows and columns 1, 3, 5, ...; its gradient keeps the channels last in memory."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.whole = x.shape
        return x[:, :, 1::2, 1::2].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (given,) = gradients
        whole = torch.empty(
            context.whole,
            dtype=given.dtype,
            device=given.device,
            memory_format=torch.channels_last,
        ).zero_()
        whole[:, :, 1::2, 1::2] = given
        return whole


class HalvingDepthwise(nn.Conv2d):
    """A 3x3 depthwise convolution of stride 2, padded right and bottom.

    While it trains, every position is computed and each second one taken: the same numbers, for
    oneDNN's gradients of a depthwise stride in bfloat16 cost twice those of all positions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(_same_pad(x))
        every = functional.conv2d(x, self.weight, self.bias, padding=1, groups=self.groups)
        kept: Tensor = _EverySecond.apply(every)
        return kept


class InvertedResidual(nn.Module):
    """Expand, depthwise, project; batch norm folded, so every convolution has a bias."""

    def __init__(self, channels: int, out_channels: int, expansion: float, stride: int) -> None:
        super().__init__()
        inner = scaled(channels, expansion)
        self.residual = stride == 1 and channels == out_channels
        self.expand = nn.Conv2d(channels, inner, 1) if expansion > 1 else None
        self.depthwise: nn.Conv2d
        if stride == 2:
            self.depthwise = HalvingDepthwise(inner)
        else:
            self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.project = nn.Conv2d(inner, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = functional.relu6(self.depthwise(y))
        out: Tensor = self.project(y)
        return x + out if self.residual else out

    def convolutions(self) -> list[nn.Conv2d]:
        """In network order, as the shared weights number them."""
        return [c for c in (self.expand, self.depthwise, self.project) if c is not None]


class Encoder(nn.Module):
    """MobileNetV2 without its last 1280-channel layer and classifier."""

    def __init__(self, width: float = 1.0, expansions: Sequence[float] = EXPANSIONS) -> None:
        super().__init__()
        channels = scaled(32, width)
        self.stem = nn.Conv2d(3, channels, 3, 2, 0)
        stages = []
        for expansion, (_, full_channels, repeats, stride) in zip(expansions, STAGES, strict=True):
            blocks, out_channels = [], scaled(full_channels, width)
            for i in range(repeats):
                blocks.append(
                    InvertedResidual(channels, out_channels, expansion, stride if i == 0 else 1)
                )
                channels = out_channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Nx3xHxW in [-1, 1] -> features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        x = functional.relu6(self.stem(_same_pad(x)))
        features = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in SKIP_AFTER_STAGE:
                features.append(x)
        return [*features, x]

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> None:
        """Take `convNN.weight`, `convNN.bias` in network order; the classifier is left out."""
        blocks = [m for m in self.modules() if isinstance(m, InvertedResidual)]
        convolutions = [self.stem, *(c for b in blocks for c in b.convolutions())]
        for i, convolution in enumerate(convolutions):
            weight, bias = weights[f"conv{i:02d}.weight"], weights[f"conv{i:02d}.bias"]
            if convolution.weight.shape != weight.shape:
                raise ValueError(f"conv{i:02d}: {tuple(weight.shape)} does not fit the encoder")
            with torch.no_grad():
                convolution.weight.copy_(weight)
                if convolution.bias is not None:
                    convolution.bias.copy_(bias)


class PlainEncoder(nn.Module):
    """What a U-Net has (Ronneberger et al. 2015): two 3x3 convolutions at every size.

    The same features as ``Encoder`` gives, for comparison: nothing was learned before, and nothing
    is separable. 1.3 M parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        outs = [STAGES[i][1] for i in (*SKIP_AFTER_STAGE, len(STAGES) - 1)]
        self.stem = _convolved(3, outs[0], 2)
        self.stages = nn.ModuleList(
            nn.Sequential(_convolved(ins, out, stride), _convolved(out, out, 1))
            for ins, out, stride in zip(outs[:1] + outs[:-1], outs, (1, 2, 2, 2, 2), strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Nx3xHxW in [-1, 1] -> features at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _convolved(channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


Norm = Callable[[int], nn.Module]


def group_norm(channels: int) -> nn.Module:
    """Needs no statistics of a batch, and cannot be folded: 8 channels a group."""
    return nn.GroupNorm(channels // 8, channels)


NORMS: Mapping[str, Norm] = {"batch": nn.BatchNorm2d, "group": group_norm}
"""Of the decoder; the encoder's is folded."""


def _pointwise(norm: Norm, channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out_channels, 1, bias=False), norm(out_channels), nn.ReLU()
    )


def _separable(norm: Norm, channels: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, kernel, 1, kernel // 2, groups=channels, bias=False),
        norm(channels),
        nn.ReLU(),
        *_pointwise(norm, channels, channels),
    )


class Attention(nn.Module):
    """What each channel counts, by its mean over the picture; at first all count the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(8, channels // 4), 1)
        self.excite = nn.Conv2d(max(8, channels // 4), channels, 1)
        nn.init.zeros_(self.excite.weight)
        assert self.excite.bias is not None
        nn.init.zeros_(self.excite.bias)

    def factors(self, x: Tensor) -> Tensor:
        """NxCxHxW -> NxCx1x1 in (0, 2)."""
        counts = self.excite(functional.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return 2 * torch.sigmoid(counts)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors(x)


class Context(nn.Module):
    """At 1/32: narrow, look around, and add what the whole picture says (its mean)."""

    def __init__(self, norm: Norm, channels: int, out_channels: int) -> None:
        super().__init__()
        self.narrow = _pointwise(norm, channels, out_channels)
        self.whole = nn.Conv2d(out_channels, out_channels, 1)
        self.around = _separable(norm, out_channels, kernel=5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        out: Tensor = self.around(x + self.whole(x.mean((2, 3), keepdim=True)))
        return out


class UpStep(nn.Module):
    """Twice the size, joined with the encoder's features of that size.

    A 1x1 convolution over the joined channels, written as a sum: it commutes with bilinear
    interpolation, so the decoder's half of it runs at the lower resolution and nothing is copied.
    """

    def __init__(
        self,
        norm: Norm,
        channels: int,
        skip: int,
        out_channels: int,
        *,
        kernel: int = 3,
        attention: bool,
    ) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.skip = nn.Conv2d(skip, out_channels, 1, bias=False)
        self.normal = norm(out_channels)
        self.refine = _separable(norm, out_channels, kernel)
        self.attend = Attention(out_channels) if attention else None

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = functional.interpolate(
            self.narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        out: Tensor = self.refine(functional.relu(self.normal(x + self.skip(skip))))
        return out if self.attend is None else self.attend(out)


class MattingNet(nn.Module):
    """Alpha logits at input size.

    The step at 1/2 also sees the photo's own pixels (space to depth), and the head gives four
    values per position that become 2x2 pixels, so edges can be sharp at the full input size
    without a costly convolution there. ``layout`` is what makes an equal network of other weights.
    """

    def __init__(
        self,
        width: float = 1.0,
        *,
        attention: bool = False,
        norm: str = "batch",
        expansions: Sequence[float] = EXPANSIONS,
        encoder: str = "mobilenetv2",
    ) -> None:
        super().__init__()
        self.layout = {
            "width": width,
            "attention": attention,
            "norm": norm,
            "expansions": tuple(expansions),
            "encoder": encoder,
        }
        make = NORMS[norm]
        w16, w8, w4, w2 = (scaled(c, width) for c in (128, 80, 48, 24))
        e2, e4, e8, _, e16, _, e32 = (scaled(channels, width) for _, channels, _, _ in STAGES)
        self.encoder = PlainEncoder() if encoder == "plain" else Encoder(width, expansions)
        self.context = Context(make, e32, w16)
        self.up16 = UpStep(make, w16, e16, w16, kernel=5, attention=attention)
        self.up8 = UpStep(make, w16, e8, w8, kernel=5, attention=attention)
        self.up4 = UpStep(make, w8, e4, w4, attention=attention)
        self.up2 = UpStep(make, w4, e2 + 12, w2, attention=attention)
        self.head = nn.Conv2d(w2, 4, 3, 1, 1)
        self.coarse_head = nn.Conv2d(w8, 1, 1)  # training only: deep supervision at 1/8

    def forward_both(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Nx3xHxW in [-1, 1], H and W multiples of 32 -> logits Nx1xHxW and Nx1x(H/8)x(W/8)."""
        f2, f4, f8, f16, f32 = self.encoder(image)
        x = self.up16(self.context(f32), f16)
        x = self.up8(x, f8)
        coarse = self.coarse_head(x)
        x = self.up4(x, f4)
        pixels = functional.pixel_unshuffle(image, 2)
        if self.training:  # joined as they are, else both are turned round and widened each step
            pixels = pixels.to(f2.dtype, memory_format=torch.channels_last)
        x = self.up2(x, torch.cat((f2, pixels), 1))
        return functional.pixel_shuffle(self.head(x), 2), coarse

    def forward(self, image: Tensor) -> Tensor:
        """Nx3xHxW float in [-1, 1], RGB, H and W multiples of 32 -> alpha logits Nx1xHxW."""
        return self.forward_both(image)[0]


class AlphaNet(nn.Module):
    """What is exported: the same network, its logits turned into alpha."""

    def __init__(self, net: MattingNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        """Nx3xHxW float32 in [-1, 1], RGB -> alpha Nx1xHxW in [0, 1]."""
        return torch.sigmoid(self.net(image))

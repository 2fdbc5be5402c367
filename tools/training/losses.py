"""What a matte is judged by in training: per pixel, as a region, and at its edges."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SATURATION = 2.0  # of the L1 beside the BCE: half-sure interiors are what costs absolute error


def soft_iou_loss(alpha: Tensor, target: Tensor) -> Tensor:
    """1 - sum(min) / sum(max) per photo, averaged; Nx1xHxW in [0, 1].

    One percent of the frame is added to both sums, so that a photo without subject is rewarded for
    an empty matte instead of dividing by nothing.
    """
    slack = 0.01 * alpha[0].numel()
    both = torch.minimum(alpha, target).sum((1, 2, 3)) + slack
    either = torch.maximum(alpha, target).sum((1, 2, 3)) + slack
    return (1 - both / either).mean()


def gradient_loss(alpha: Tensor, target: Tensor) -> Tensor:
    """L1 between the differences of neighbouring pixels, Nx1xHxW."""
    error = alpha - target
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    return across + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()


def edge_weight(target: Tensor, extra: float = 2.0) -> Tensor:
    """1 in flat areas, up to 1 + extra within 4 to 8 pixels of a change of alpha; Nx1xHxW.

    Looked for on a grid of 4x4 pixels, which costs a tenth of the same at full size.
    """
    high = functional.max_pool2d(functional.max_pool2d(target, 4), 3, 1, 1)
    low = -functional.max_pool2d(functional.max_pool2d(-target, 4), 3, 1, 1)
    return 1 + extra * functional.interpolate(high - low, scale_factor=4.0)


def matting_loss(logits: Tensor, coarse: Tensor, target: Tensor) -> Tensor:
    """Logits Nx1xHxW, coarse logits Nx1x(H/8)x(W/8), target alpha Nx1xHxW in [0, 1] -> scalar."""
    logits, coarse = logits.float(), coarse.float()
    alpha = torch.sigmoid(logits)
    weight = edge_weight(target)
    pixel = (
        functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    ).mean() + SATURATION * ((alpha - target).abs() * weight).mean()
    small = functional.avg_pool2d(target, 8)
    coarse_part = functional.binary_cross_entropy_with_logits(coarse, small)
    return (
        pixel
        + soft_iou_loss(alpha, target)
        + gradient_loss(alpha, target)
        + 0.4 * (coarse_part + soft_iou_loss(torch.sigmoid(coarse), small))
    )


def distillation_loss(logits: Tensor, told: Tensor) -> Tensor:
    """Of logits Nx1xHxW against a teacher's alpha, same shape (Hinton et al. 2015) -> scalar."""
    logits = logits.float()
    apart = (torch.sigmoid(logits) - told).abs().mean()
    return functional.binary_cross_entropy_with_logits(logits, told) + SATURATION * apart

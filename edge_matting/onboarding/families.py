"""Known kinds of matting networks, recognised by their structure.

Names and digests of files play no part: re-exported, renamed and trained anew, a network keeps its
structure. A family gives what the graph does not contain: the usual normalisation, and the side to
run at where the graph leaves it free. Both are a first guess that the trial may overrule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge_matting.models.graph.facts import GraphFacts, TensorFacts


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of network; ``trust`` is how much better than its usual normalisation another must
    do on the built-in photos to be taken instead (0.2: by a fifth)."""

    name: str  # as --preset takes it
    title: str
    normalisation: str
    side: int
    trust: float
    fits: Callable[[GraphFacts], bool]


def channels_of(tensor: TensorFacts) -> int | None:
    """Channels of a picture-like tensor as far as the graph gives them."""
    shape = tensor.shape
    if shape is None or len(shape) not in (3, 4):
        return None
    first, last = shape[-3], shape[-1]
    small = [side for side in (first, last) if side is not None and side <= 4]
    return small[0] if small else first


def is_photo(tensor: TensorFacts) -> bool:
    """Takes a colour photo: four axes, of which the second or the last is 3."""
    return tensor.shape is not None and len(tensor.shape) == 4 and 3 in tensor.shape[1::2]


def _robust_video_matting(facts: GraphFacts) -> bool:
    """Lin et al. 2021: beside the photo four recurrent states and the down-sampling ratio."""
    ranks = [len(each.shape) for each in facts.inputs if each.shape is not None]
    return len(facts.inputs) == 6 and ranks.count(4) == 5 and ranks.count(1) == 1


def _birefnet(facts: GraphFacts) -> bool:
    """Zheng et al. 2024, and RMBG 2: a Swin transformer before a decoder of convolutions."""
    return facts.count("Softmax") >= 12 and facts.count("MatMul", "Gemm") >= 48


def _nested_u(facts: GraphFacts) -> bool:
    """Residual U-blocks (Qin et al. 2020): many poolings and concatenations, no attention."""
    return facts.count("MaxPool") >= 20 and facts.count("Concat") >= 30


def _u2net(facts: GraphFacts) -> bool:
    return _nested_u(facts) and facts.first_stride == 1


def _isnet(facts: GraphFacts) -> bool:
    """Qin et al. 2022, and RMBG 1.4: residual U-blocks behind a convolution of stride 2."""
    return _nested_u(facts) and facts.first_stride == 2


def _modnet(facts: GraphFacts) -> bool:
    """Ke et al. 2022: half of the channels pass instance normalisation; squeeze-and-excite."""
    return facts.count("InstanceNormalization") >= 5 and facts.count("MaxPool") == 0


def _selfie(facts: GraphFacts) -> bool:
    """MediaPipe's selfie segmenter: a small MobileNetV3 with squeeze-and-excite, channels last."""
    photo = next((each.shape for each in facts.inputs if is_photo(each)), None)
    last = photo is not None and photo[3] == 3
    return last and facts.count("GlobalAveragePool", "AveragePool", "ReduceMean") >= 5


def _rgba(facts: GraphFacts) -> bool:
    return len(facts.outputs) == 1 and channels_of(facts.outputs[0]) == 4


def _two_class(facts: GraphFacts) -> bool:
    return len(facts.outputs) == 1 and channels_of(facts.outputs[0]) == 2


FAMILIES: Final = (
    Family("rvm", "RobustVideoMatting, one picture", "unit", 512, 0.2, _robust_video_matting),
    Family("birefnet", "BiRefNet or RMBG 2", "imagenet", 1024, 0.2, _birefnet),
    Family("isnet", "IS-Net or RMBG 1.4", "centred", 1024, 0.2, _isnet),
    Family("u2net", "U-2-Net", "imagenet", 320, 0.2, _u2net),
    Family("modnet", "MODNet", "half", 512, 0.2, _modnet),
    Family("selfie", "MediaPipe selfie", "unit", 256, 0.1, _selfie),
    Family("rgba", "network with RGBA output", "unit", 512, 0.05, _rgba),
    Family("two-class", "two-class segmenter", "imagenet", 512, 0.05, _two_class),
)

FAMILY_NAMES: Final = tuple(family.name for family in FAMILIES)

TRUSTED: Final = 0.2
"""A family of this trust is known for certain by its structure: its side is not questioned."""

UNKNOWN: Final = Family("none", "no known family", "unit", 512, 0.05, lambda _facts: True)


def recognise(facts: GraphFacts) -> Family:
    """The family that a graph belongs to by its structure; ``UNKNOWN`` for none."""
    return next((family for family in FAMILIES if family.fits(facts)), UNKNOWN)

"""Which photos are held out for validation: decided by name alone, so it never changes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

HELD_OUT = {
    "persons": 60,
    "salient": 60,
    "pets": 40,
    "backgrounds": 40,
    "portraits": 40,
    "products": 30,  # of those CUT_BY_COLOUR: the others' masks are what models said of them
}
HELD_OUT_FAMILIES = 6

# Backgrounds with an evident subject of their own, sorted out by eye: a bird, a flower, a sign.
WITH_SUBJECT = frozenset(
    [f"budgie_{n:03d}" for n in (2, 3, 8, 10, 13, 16)]
    + [f"elementary_{n:03d}" for n in (19, 28, 31, 34, 35, 37, 39, 40, 44, 47, 49, 57)]
    + [f"popos_{n:03d}" for n in (61, 63, 65, 69, 73)]
)

# Held-out photos whose part away from the subject shows another one: cars, people, a basket.
BESIDE_ANOTHER = {
    "persons": frozenset(["0063", "0615", "0677", "0744", "0781"]),
    "pets": frozenset(["Abyssinian_126", "Abyssinian_201"]),
    "salient": frozenset(["0411", "0582", "0616", "0628", "0676", "0745"]),
}


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _clothes(numbers: str) -> frozenset[str]:
    return frozenset(f"cloth_{number}" for number in _named(numbers))


# Unlabelled photos on whose wrong matte the models agree (pseudo_labels.py), found by eye.
WRONG_MATTES: dict[str, frozenset[str]] = {
    "persons_unlabelled": frozenset(["1161", "1290"]),
    "products": _clothes("024 038 052 117 132 170 172 205 251 274 303 330 371 387 412"),
}

# Photos trained on whose mask leaves out what is worn or held, or parts of the body, found by eye.
WRONG_MASKS: dict[str, frozenset[str]] = {
    "persons": _named(
        """
        0042 0142 0238 0246 0299 0317 0329 0383 0385 0499 0519 0556 0558 0578 0591 0654 0675 0724
        0729 0733 0743 0783
        """
    )
}

# Products that models are unsure of and whose mask is right after a cut by colour, by eye.
CUT_BY_COLOUR = _clothes(
    """
    000 001 004 006 010 038 040 047 052 053 054 057 058 066 070 079 085 086 089 090 091 097
    105 109 110 117 118 119 120 124 128 131 132 133 142 146 152 156 160 164 165 166 173 175
    178 182 183 186 187 188 195 200 204 205 207 209 216 220 226 235 240 245 251 255 257 260
    263 266 267 269 274 277 281 292 296 298 299 301 304 307 310 319 320 323 328 330 331 334
    336 342 343 344 350 352 354 356 358 359 360 364 371 379 381 382 386 397 398 401 404 414
    415 417 419 424 427 433 435 437 444
    """
)


def _rank(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def object_family(name: str) -> str:
    """The product kind of a rendered view: `blue_cup_03` -> `cup`, `glue_2_11` -> `glue`.

    Colour variants of one shape share a family, so that no shape stands on both sides.
    """
    words = re.sub(r"(_\d+)+$", "", name).split("_")
    return words[-1]


def held_out(group: str, names: Iterable[str]) -> frozenset[str]:
    """Names of `group` that validation owns. Deterministic; independent of the order given."""
    names = sorted(set(names))
    if group == "objects":
        families = sorted({object_family(n) for n in names}, key=lambda f: _rank(f"objects/{f}"))
        chosen = set(families[:HELD_OUT_FAMILIES])
        return frozenset(n for n in names if object_family(n) in chosen)
    ranked = sorted(names, key=lambda n: _rank(f"{group}/{n}"))
    return frozenset(ranked[: HELD_OUT.get(group, 0)])

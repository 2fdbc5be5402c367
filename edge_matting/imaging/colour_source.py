"""What a file says of its colours, and the one profile that follows from it.

The order in which the sources are believed:

- PNG (third edition, W3C, section 4.3): ``cICP``, ``iCCP``, ``sRGB``, ``gAMA`` with ``cHRM``;
- HEIF and AVIF (ISO/IEC 23000-22, 7.3.6.4): the ICC profile, then ``nclx``;
- all others: the ICC profile;
- and at last, in any of them, EXIF: "R03" means Adobe RGB (DCF 2.0, section 4.4).

What nobody says is sRGB. A profile that cannot be used is passed over, with a note.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Final

from PIL import ImageCms

from edge_matting.core.reasons import Reason
from edge_matting.imaging.hdr import HLG, PQ
from edge_matting.imaging.icc_build import ADOBE_RGB, BT709, PRIMARIES, Primaries, build_profile

_LONGEST_PROFILE: Final = 8 << 20
_UNSPECIFIED: Final = 2
_SRGB_LIKE: Final = frozenset({1, 2, 6, 7, 11, 12, 13, 14, 15})
"""Transfer characteristics of H.273 whose pictures are made to be shown by sRGB's curve."""
_GAMMAS: Final = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_SRGB_GAMMA: Final = 2.2
_ADOBE_GAMMA: Final = 563 / 256
_DISPLAYED: Final = (1.4, 3.0)  # exponents that a picture can be looked at and worked on with


@dataclass(frozen=True, slots=True)
class CodePoints:
    """Coding-independent code points (ITU-T H.273), of a PNG's ``cICP`` or an ``nclx`` box."""

    primaries: int
    transfer: int
    full_range: bool = True


@dataclass(frozen=True, slots=True)
class ColourFacts:
    """All that a file says of its colours; None where it says nothing."""

    icc: bytes | None = None
    code_points: CodePoints | None = None
    code_points_first: bool = False
    srgb: bool = False
    gamma: float | None = None  # the exponent from code value to light
    chromaticities: Primaries | None = None
    adobe_rgb: bool = False
    peak: float | None = None  # cd/m2, of HDR


@dataclass(frozen=True, slots=True)
class Colour:
    """What the pixels are to be taken for.

    ``icc`` is None for sRGB. ``convert`` says that they are to be converted to sRGB while they are
    read; ``hdr`` is the transfer characteristic of a picture that is to be tone-mapped.
    """

    icc: bytes | None = None
    notes: tuple[Reason, ...] = ()
    convert: bool = False
    hdr: int | None = None
    primaries: Primaries = BT709
    peak: float | None = None


def colour_of(facts: ColourFacts) -> Colour:
    """The profile that follows from ``facts``, and a note where one is not the file's own."""
    fault = None if facts.icc is None else profile_fault(facts.icc)
    own = Colour(facts.icc) if facts.icc is not None and fault is None else None
    said = None if facts.code_points is None else _by_code_points(facts.code_points, facts.peak)
    for found in (said, own) if facts.code_points_first else (own, said):
        if found is not None:
            return found
    found = _by_rest(facts)
    if fault is None:
        return found
    return replace(found, notes=(Reason(fault), *found.notes))


def profile_fault(icc: bytes) -> str | None:
    """The code of the reason why an ICC profile cannot be used; None for a sound one."""
    if len(icc) > _LONGEST_PROFILE:
        return "profile_too_long"
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "profile_broken"
    return None


def _by_code_points(said: CodePoints, peak: float | None) -> Colour | None:
    if said.primaries == _UNSPECIFIED and said.transfer == _UNSPECIFIED:
        return None
    name, primaries = PRIMARIES.get(said.primaries, PRIMARIES[1])
    if said.transfer in (PQ, HLG):
        curve = "PQ" if said.transfer == PQ else "HLG"
        note = Reason("tone_mapped", curve=curve, primaries=name)
        return Colour(None, (note,), hdr=said.transfer, primaries=primaries, peak=peak)
    gamma = _GAMMAS.get(said.transfer)
    if gamma is None and said.transfer not in _SRGB_LIKE:
        return Colour(None, (Reason("transfer_unknown", number=said.transfer),))
    return _plain(name, primaries, gamma)


def _by_rest(facts: ColourFacts) -> Colour:
    if facts.srgb:
        return Colour()
    if facts.gamma is not None or facts.chromaticities is not None:
        primaries = facts.chromaticities or BT709
        known = next((n for n, p in PRIMARIES.values() if p.near(primaries)), "own primaries")
        return _plain(known, primaries, facts.gamma)
    if facts.adobe_rgb:
        profile = build_profile("Adobe RGB (1998) compatible", ADOBE_RGB, _ADOBE_GAMMA)
        return Colour(profile, (Reason("adobe_rgb_by_exif"),))
    return Colour()


def _plain(name: str, primaries: Primaries, gamma: float | None) -> Colour:
    srgb_curve = gamma is None or abs(gamma - _SRGB_GAMMA) < 0.03
    if srgb_curve and primaries.near(BT709):
        return Colour()
    colours = name if gamma is None else f"{name}, gamma {gamma:.3g}"
    profile = build_profile(colours, primaries, gamma)
    if gamma is not None and not _DISPLAYED[0] <= gamma <= _DISPLAYED[1]:
        return Colour(profile, (Reason("colours_converted", colours=colours),), convert=True)
    return Colour(profile, (Reason("profile_added", colours=colours),))

"""Which output stem a source gets."""

from __future__ import annotations

import os
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_matting.core.naming import conflicting_stems, stem_candidates
from edge_matting.core.output_kinds import OUTPUT_KINDS

ENDINGS = (
    "",
    ".png",
    ".json",
    *(f".{kind}.{ext}" for kind in OUTPUT_KINDS for ext in ("webp", "json")),
)

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
few_names = st.sampled_from(
    [
        "a",
        "a.jpg",
        "a.png",
        "a.alpha.jpg",
        "a.alpha.png",
        "a~png.jpg",
        "a.alpha",
        "a.trimap.alpha.x",
    ]
)


def first(source: str, number: int) -> list[str]:
    return list(islice(stem_candidates(source), number))


def files(stem: str) -> set[str]:
    """What publishing under the stem may write."""
    return {stem + ending for ending in ENDINGS if ending}


@pytest.mark.parametrize(
    ("source", "stems"),
    [
        ("sub/a.jpg", ["sub/a", "sub/a~jpg", "sub/a~jpg~2", "sub/a~jpg~3"]),
        ("a.PNG", ["a", "a~PNG", "a~PNG~2", "a~PNG~3"]),
        ("archive.tar.jpg", ["archive.tar", "archive.tar~jpg", "archive.tar~jpg~2"]),
        ("scan", ["scan", "scan~2", "scan~3"]),
        ("x/.hidden", ["x/.hidden", "x/.hidden~2"]),
        ("..jpg", ["..jpg", "..jpg~2"]),
        ("dot.", ["dot", "dot~2"]),
        ("d.ir/a", ["d.ir/a", "d.ir/a~2"]),
    ],
)
def test_the_stem_is_the_name_without_its_extension_then_with_it_then_numbered(
    source: str, stems: list[str]
) -> None:
    assert first(source, len(stems)) == stems


def test_a_long_name_is_cut_and_marked_by_its_digest() -> None:
    (stem,) = first("sub/" + "x" * 251 + ".jpg", 1)
    folder, name = stem.split("/")
    assert folder == "sub"
    assert len(name) == 239
    assert name[:231] == "x" * 230 + "~"
    assert set(name[231:]) <= set("0123456789abcdef")


def test_a_long_name_is_cut_between_characters() -> None:
    (stem,) = first("\N{CAT}" * 62 + ".jpeg", 1)
    assert stem.startswith("\N{CAT}" * 57 + "~")


def test_two_long_names_that_differ_at_their_end_get_different_stems() -> None:
    assert first("x" * 249 + "1.jpg", 1) != first("x" * 249 + "2.jpg", 1)


def test_a_name_of_239_bytes_is_not_cut() -> None:
    assert first("x" * 239 + ".jpg", 1) == ["x" * 239]


@given(names)
def test_every_candidate_leaves_room_for_the_longest_ending_and_can_be_a_file_name(
    name: bytes,
) -> None:
    for stem in first(os.fsdecode(b"sub/" + name), 4):
        raw = os.fsencode(stem)
        assert raw.startswith(b"sub/")
        assert 0 < len(raw.removeprefix(b"sub/")) <= 255 - len(".foreground.json")
        assert os.fsdecode(raw) == stem
        assert raw.count(b"/") == 1


@given(names)
def test_candidates_never_run_out(name: bytes) -> None:
    assert len(set(first(os.fsdecode(name), 12))) >= 10


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("a", "a", True),
        ("a", "a.alpha", True),
        ("a.alpha", "a", True),
        ("a", "a.alpha.trimap", False),
        ("a.alpha", "a.alpha.trimap", True),
        ("a", "a.png", False),
        ("a", "A", False),
        ("a", "sub/a", False),
        ("a", "a.beta", False),
    ],
)
def test_stems_conflict_when_their_outputs_could_have_one_name(
    a: str, b: str, expected: bool
) -> None:
    assert (b in conflicting_stems(a)) is expected


@given(few_names, few_names)
def test_conflicts_is_what_the_files_say(a: str, b: str) -> None:
    shared = bool(files(a) & files(b))
    assert (b in conflicting_stems(a)) == (a in conflicting_stems(b)) == shared


def test_a_stem_conflicts_with_one_more_for_each_kind_and_with_the_one_it_is_made_from() -> None:
    assert len(conflicting_stems("a")) == 1 + len(OUTPUT_KINDS)
    assert len(conflicting_stems("a.alpha")) == 2 + len(OUTPUT_KINDS)

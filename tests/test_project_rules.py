"""Rules of the whole tree that no other tool checks: names, sizes, and the documents' form."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "edge_matting").rglob("*.py"))
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "tools/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "models" / "MODEL_CARD.md",
]
LONGEST_MODULE = 400
WIDEST_LINE = 120


def test_no_class_name_stands_twice() -> None:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_a_module_is_no_longer_than_one_thing() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in MODULES
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_only_named_errors_are_passed_over() -> None:
    """``except Exception`` that neither raises nor logs hides a fault."""
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert hidden == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_prose_is_within_its_columns(path: Path) -> None:
    wide = [
        f"{number}: {line[:60]}"
        for number, line in _prose(path)
        if len(line) > WIDEST_LINE and "http" not in line
    ]
    assert wide == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [
        target for target in targets if "://" not in target and not (path.parent / target).exists()
    ]
    assert missing == []


def test_a_newcomers_page_is_short() -> None:
    assert len((ROOT / "docs" / "architecture.md").read_text("utf-8").splitlines()) <= 120


def test_modules_named_in_the_documents_exist() -> None:
    """`engine/loop.py` and the like: under edge_matting, tools, tests or the root."""
    missing = [
        f"{path.name}: {name}"
        for path in DOCUMENTS
        if path.name != "CHANGELOG.md"
        for name in re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)+\.py)`", path.read_text("utf-8"))
        if not any((ROOT / base / name).exists() for base in ("", "edge_matting"))
    ]
    assert missing == []


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    """Lines outside code blocks and tables."""
    code = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("```"):
            code = not code
        elif not code and not line.lstrip().startswith("|"):
            yield number, line

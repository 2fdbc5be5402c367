"""The table of what agreed and what did not."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from tools.conformance.compare import AGREES, ALONE, DAMAGED, EXPLAINED, FAULTS, REFUSED, Finding

_ORDER: Final = (AGREES, ALONE, EXPLAINED, REFUSED, DAMAGED, *FAULTS)
_MOST: Final = 90


def table(findings: list[Finding]) -> str:
    """A Markdown table: how many files came out how, and the reasons."""
    counts = Counter(finding.verdict for finding in findings)
    rows = ["| how a file came out | files |", "|---|---|"]
    rows += [f"| {verdict} | {counts[verdict]} |" for verdict in _ORDER if counts[verdict]]
    kinds = Counter((f.kind, f.verdict) for f in findings if f.kind)
    rows += ["", "| format | how | files |", "|---|---|---|"]
    rows += [f"| {kind} | {how} | {number} |" for (kind, how), number in sorted(kinds.items())]
    reasons = Counter((f.verdict, _plain(f.words)) for f in findings if f.verdict != AGREES)
    rows += ["", "| how | reason | files |", "|---|---|---|"]
    ordered = sorted(reasons.items(), key=lambda item: (_ORDER.index(item[0][0]), -item[1]))
    rows += [f"| {how} | {words} | {number} |" for (how, words), number in ordered]
    return "\n".join(rows) + "\n"


def _plain(words: str) -> str:
    """A reason without the numbers and names that differ from file to file."""
    text = re.sub(r"[`'\"][^`'\"]*[`'\"]", "...", words)
    text = re.sub(r"\d+(\.\d+)?", "N", text).replace("|", "/")
    return text if len(text) <= _MOST else text[:_MOST].rstrip() + " ..."

"""Every fault of the durability cases, and the word and sentences that people are shown for it."""

from __future__ import annotations

from typing import Any

import pytest

from edge_matting.core.reasons import LANGUAGES, WORDS, Reason
from edge_matting.daemon.engine_supervision import EngineCondition
from edge_matting.daemon.page.condition import Facts, state_of
from edge_matting.status.interfaces import ApplianceState
from edge_matting.status.texts import TEXTS

LOADING, RECOVERING = EngineCondition.LOADING, EngineCondition.RECOVERING
UNUSABLE = EngineCondition.UNUSABLE

FAULTS: list[tuple[str, dict[str, Any], ApplianceState]] = [
    ("its parts are not there yet", {"attached": False}, ApplianceState.STARTING),
    ("the first model is being loaded", {"engine": LOADING}, ApplianceState.STARTING),
    ("nothing waits", {}, ApplianceState.IDLE),
    ("photos wait", {"photos": 3}, ApplianceState.WORKING),
    ("hot, stepped down", {"photos": 3}, ApplianceState.WORKING),
    ("a person's pause", {"paused": True, "photos": 3}, ApplianceState.PAUSED),
    ("the engine was killed", {"engine": RECOVERING, "photos": 1}, ApplianceState.RECOVERING),
    ("the engine hung and is replaced", {"engine": RECOVERING}, ApplianceState.RECOVERING),
    ("out of memory, the kernel ended it", {"engine": RECOVERING}, ApplianceState.RECOVERING),
    ("killed while paused", {"engine": RECOVERING, "paused": True}, ApplianceState.RECOVERING),
    ("the model is missing", {"engine": UNUSABLE}, ApplianceState.NOT_READY),
    ("the self-test fails", {"engine": UNUSABLE, "photos": 1}, ApplianceState.NOT_READY),
    ("the only folder is gone", {"blocked_folders": 1}, ApplianceState.BLOCKED),
    ("the disk is full", {"folders": 2, "blocked_folders": 2}, ApplianceState.BLOCKED),
    ("full, and paused", {"blocked_folders": 1, "paused": True}, ApplianceState.BLOCKED),
    ("gone, engine dead", {"blocked_folders": 1, "engine": RECOVERING}, ApplianceState.BLOCKED),
    ("the ledger is damaged or has no room", {"ledger_blocked": True}, ApplianceState.BLOCKED),
    (
        "one of two folders is gone",
        {"folders": 2, "blocked_folders": 1, "photos": 3},
        ApplianceState.PARTLY_BLOCKED,
    ),
    ("a sub-folder is unreadable", {"parts_unreadable": True}, ApplianceState.PARTLY_BLOCKED),
    ("one of two GPUs is unusable", {"engines_failing": True}, ApplianceState.PARTLY_BLOCKED),
    (
        "one gone, and paused",
        {"folders": 2, "blocked_folders": 1, "paused": True},
        ApplianceState.PAUSED,
    ),
    ("the accelerator is missing", {"degraded": True, "photos": 1}, ApplianceState.DEGRADED),
    ("no progress", {"stalled": True, "blocked_folders": 1}, ApplianceState.STUCK),
]


@pytest.mark.parametrize(("facts", "word"), [row[1:] for row in FAULTS], ids=[f[0] for f in FAULTS])
def test_each_fault_has_its_word(facts: dict[str, Any], word: ApplianceState) -> None:
    assert state_of(Facts(**facts)) is word


def test_no_state_is_left_out_of_the_table() -> None:
    assert {word for _, _, word in FAULTS} == set(ApplianceState)


@pytest.mark.parametrize("state", list(ApplianceState))
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_state_has_a_word_and_says_what_happens_and_what_to_do(
    state: ApplianceState, language: str
) -> None:
    assert TEXTS[language][f"state_{state.value}"]
    assert WORDS[f"by_itself_{state.value}"][language]
    assert WORDS[f"to_do_{state.value}"][language]


def test_what_heals_by_itself_is_never_told_to_be_restarted() -> None:
    healing = (ApplianceState.RECOVERING, ApplianceState.BLOCKED, ApplianceState.PARTLY_BLOCKED)
    for state in healing:
        code = f"by_itself_{state.value}"
        told = Reason(code, reason="x") + " " + Reason(f"to_do_{state.value}")
        assert "resumes by itself" in told
        assert "estart" not in told


def test_the_sentence_of_vocabulary_is_said_while_the_engine_is_replaced() -> None:
    killed = Reason("engine_killed", signal="SIGKILL")
    assert Reason("by_itself_recovering", reason=killed) == (
        "Temporarily unable to work: the engine was ended by SIGKILL and is being restarted. "
        "It resumes by itself."
    )

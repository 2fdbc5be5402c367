"""The page in Chromium under eleven faults: the right word, what happens by itself, what to do.

Eight are made to a real appliance, three that no machine here can be brought into are pretended.
Screenshots in both languages, wide and narrow, light and dark, lie in build/screenshots/faults.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import PHOTO, RunningAppliance
from status_fixture import House, in_state

from edge_matting.core.reasons import Reason
from edge_matting.models.catalog import shipped_models_dir
from edge_matting.status.interfaces import (
    AdaptationCount,
    AdaptationReport,
    ApplianceState,
    StatusSnapshot,
)
from edge_matting.status.server import StatusServer
from edge_matting.status.texts import TEXTS
from tools.waiting import wait_for

browser_tests = pytest.importorskip(
    "browser", reason="selenium is not installed: the page is not tested in a browser"
)
Browser = browser_tests.Browser
if browser_tests.programs() is None:
    pytest.skip(
        "no chromium with chromedriver here: the page is not tested in a browser",
        allow_module_level=True,
    )

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")  # selenium's own sockets

Start = Callable[..., RunningAppliance]
NEVER_THAT_FREE = 10**9  # megabytes


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_tests.chromium(tmp_path_factory.mktemp("downloads")) as window:
        yield window


def look(page: Browser, url: str, fault: str, state: ApplianceState) -> dict[str, str]:
    """What the page says in each language, photographed wide and narrow, light and dark."""
    said = {}
    page.driver.delete_all_cookies()
    for language, width, scheme in (
        ("en", 1280, "light"),
        ("zh", 375, "light"),
        ("zh", 1280, "dark"),
        ("en", 375, "dark"),
    ):
        page.resize(width)
        page.colour_scheme(scheme)
        page.open(f"{url}/?lang={language}")
        word = TEXTS[language][f"state_{state.value}"]
        page.wait(lambda word=word: page.text("#word") == word, f"{word} under {fault}")
        said[language] = f"{page.text('#todo')} | {page.text('#person')}"
        assert page.run("return document.documentElement.scrollWidth") <= width
        page.picture(f"faults/{fault}-{language}-{width}-{scheme}")
    return said


def hold_next_engine(box: RunningAppliance, before: int) -> None:
    """Stop the engine that comes after ``before`` while it loads, so that there is time to look."""

    def pid() -> int | None:
        found = ((box.status() or {}).get("engine") or {}).get("pid")
        return found if found not in (None, before) else None

    os.kill(int(wait_for(pid, "the next engine")), signal.SIGSTOP)


def test_engine_killed(page_of: Look, appliance: Start) -> None:
    box = appliance().start()
    before = box.engine_pid()
    box.kill_engine()
    hold_next_engine(box, before)
    said = page_of(box.url(), "engine-killed", ApplianceState.RECOVERING)
    assert said["en"].startswith("Temporarily unable to work: ")
    assert said["en"].endswith("It resumes by itself. | Nothing to do.")


def test_engine_hung(page_of: Look, appliance: Start) -> None:
    box = appliance(engine={"stall_seconds": 6.0}).start()
    before = box.engine_pid()
    os.kill(before, signal.SIGSTOP)
    hold_next_engine(box, before)
    page_of(box.url(), "engine-hung", ApplianceState.RECOVERING)
    assert box.get("/readyz")[0] == 503


def test_disk_full(page_of: Look, browser: Browser, appliance: Start) -> None:
    box = appliance(limits={"min_free_mb": NEVER_THAT_FREE}).start(ready=False)
    wait_for(box.url, "an address")
    wait_for(box.inbox.is_dir, "in/")
    for name in ("a.jpg", "b.jpg"):
        box.drop(name, PHOTO.read_bytes())
    said = page_of(box.url(), "disk-full", ApplianceState.BLOCKED)
    assert "limits.min_free_mb" in said["en"]
    assert "会自动恢复" in said["zh"]
    browser.wait(lambda: browser.text("#waiting") == "2", "what lies in in/ is counted")


def test_folder_gone(page_of: Look, appliance: Start) -> None:
    box = appliance().start()
    box.folder.rename(box.folder.with_name("unmounted"))
    said = page_of(box.url(), "folder-gone", ApplianceState.BLOCKED)
    assert "is not there; mount it or make it again. It resumes by itself" in said["en"]


def test_one_of_two_folders_gone(page_of: Look, appliance: Start, tmp_path: Path) -> None:
    other = tmp_path / "other"
    box = appliance()
    box.write_config(hot_folders=[*box.config["hot_folders"], {"path": str(other)}])
    box.start()
    other.rename(tmp_path / "unmounted")
    said = page_of(box.url(), "one-of-two-gone", ApplianceState.PARTLY_BLOCKED)
    assert "Everything else goes on." in said["en"]
    box.drop("goes-on.jpg", PHOTO.read_bytes())
    box.wait_finished(1)


def test_ledger_damaged(page_of: Look, browser: Browser, appliance: Start) -> None:
    box = appliance().start()
    ledger = box.state_dir / "ledger.sqlite"
    for ending in ("", "-wal"):
        path = ledger.with_name(ledger.name + ending)
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
    box.drop("meanwhile.jpg", PHOTO.read_bytes())
    wait_for(lambda: list(box.state_dir.glob("ledger.sqlite.corrupt-*")), "the damaged one aside")
    box.wait_finished(1)  # from what the folders know
    page_of(box.url(), "ledger-damaged", ApplianceState.IDLE)
    assert "was damaged and is kept as" in browser.text("#reasons")


def test_model_missing(page_of: Look, appliance: Start) -> None:
    box = appliance(model="own")
    own = box.state_dir / "models" / "own"
    shutil.copytree(shipped_models_dir() / "default", own)
    manifest = own / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("id: default", "id: own"))
    box.start()
    shutil.rmtree(own)
    box.kill_engine()
    said = page_of(box.url(), "model-missing", ApplianceState.NOT_READY)
    assert "there is no model own" in said["en"]
    assert "edge-matting doctor" in said["zh"]


def test_paused_also_after_a_restart(page_of: Look, appliance: Start) -> None:
    box = appliance().start()
    assert box.post("/api/v1/pause")[0] == 200
    box.stop()
    box.start()
    box.drop("waits.jpg", PHOTO.read_bytes())
    said = page_of(box.url(), "paused", ApplianceState.PAUSED)
    assert "also after a restart" in said["en"]
    assert box.counts()["succeeded"] == 0
    assert box.post("/api/v1/resume")[0] == 200
    box.wait_finished(1)


HEAT = Reason(
    "lowered",
    what=Reason("knob_workers"),
    before="4",
    after="2",
    cause=Reason("cause_heat"),
)
HOT = replace(
    in_state(ApplianceState.WORKING, HEAT),
    adaptation=AdaptationReport((HEAT,), (AdaptationCount("heat", "down", 1),)),
)
OFF = Reason("self_test_failed", why=Reason.of("the matte of the built-in photo is off by 0.2"))


@pytest.mark.parametrize(
    ("fault", "snapshot", "part"),
    [
        ("self-test-fails", in_state(ApplianceState.NOT_READY, OFF), "the self-test failed"),
        ("hot", HOT, "to protect the device"),
        (
            "out-of-memory",
            in_state(ApplianceState.RECOVERING, Reason("engine_out_of_memory")),
            "for want of memory",
        ),
    ],
)
def test_pretended(
    page_of: Look, tmp_path: Path, fault: str, snapshot: StatusSnapshot, part: str
) -> None:
    house = House(tmp_path)
    house.appliance.state = snapshot
    server = StatusServer(house.client().application, "127.0.0.1", 0)
    server.start()
    try:
        said = page_of(server.url, fault, snapshot.state)
    finally:
        server.stop()
    assert part in said["en"]


Look = Callable[[str | None, str, ApplianceState], dict[str, str]]


@pytest.fixture
def page_of(browser: Browser) -> Look:
    return lambda url, fault, state: look(browser, str(url), fault, state)

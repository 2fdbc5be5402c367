"""The status page in a real Chromium, over a real appliance; screenshots in build/screenshots."""

from __future__ import annotations

import json
import os
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import PHOTO, RunningAppliance, files
from status_fixture import SCRIPT_NAME as SCRIPT_NAME_OF_HOUSE
from status_fixture import SNAPSHOT, TOKEN, House, in_state, job

from edge_matting.core.reasons import Reason
from edge_matting.core.states import JobState
from edge_matting.status.interfaces import (
    AdaptationCount,
    AdaptationReport,
    ApplianceState,
    PreparingReport,
    QueueReport,
)
from edge_matting.status.server import StatusServer
from tools.ports import free_port

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

SCRIPT_NAME = '"><img src=x onerror=alert(1)><script>alert(1)<.jpg'
LINE_NAME = "new\nline.jpg"
BYTES_NAME = b"undecodable \xff\x80.jpg"
FLAT = cv2.imencode(".jpg", np.full((300, 400, 3), 200, np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="module")
def browser(downloads: Path) -> Iterator[Browser]:
    with browser_tests.chromium(downloads) as window:
        yield window


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAppliance]:
    """One appliance for all: each test brings photos of its own."""
    appliance = RunningAppliance(
        tmp_path_factory.mktemp("box"),
        recipes={
            "cutout": {},
            "shop": {"outputs": [{"kind": "composite", "format": "jpg"}], "background": "#f4f4f4"},
        },
    ).start()
    yield appliance
    appliance.stop()


@pytest.fixture
def page(browser: Browser, box: RunningAppliance) -> Iterator[Browser]:
    """The open page, with a plain window; the console and the network must have been clean."""
    browser.resize(1280, 900)
    browser.colour_scheme("light")
    browser.speak("en")
    browser.driver.delete_all_cookies()
    browser.open(f"{box.url()}/")
    browser.wait(lambda: browser.text("#word") not in {"Connecting", "Starting"}, "a state")
    yield browser
    browser.check_clean(str(box.url()))


def photo(number: int) -> bytes:
    """The sample photo with bytes of its own at the end, so that it is a new one."""
    return PHOTO.read_bytes() + bytes([number])


def row(page: Browser, kind: str, name: str) -> str:
    """A selector of the entry of that name, once it is there."""

    def key() -> str | None:
        found = page.run(
            "return [...document.querySelectorAll(arguments[0] + ' > li')].find("
            "(li) => li.querySelector('.title').textContent === arguments[1])?.dataset.key",
            f"#{kind}",
            name,
        )
        return None if found is None else f'#{kind} > li[data-key="{found}"]'

    return str(page.wait(key, f"{name} in {kind}"))


def test_the_first_look_tells_state_numbers_and_device(page: Browser) -> None:
    page.wait(lambda: page.text("#word") == "Idle", "the word Idle")
    assert page.text("#todo") == "New photos are processed as they come."
    assert page.text("#person") == "Drop photos into a hot folder."
    assert "edge-matting" in page.driver.title
    assert page.text("#failed") == "0"
    assert "cpu" in page.text("#device")
    page.wait(lambda: page.text("#chart-rate-text") == "no photos", "the chart, by its own poll")
    page.picture("first-open")


def test_a_dropped_photo_appears_without_reloading(page: Browser, box: RunningAppliance) -> None:
    page.run("window.stayed = true")
    box.drop("live.jpg", photo(1))
    card = row(page, "results", "live.jpg")
    width = page.wait(
        lambda: page.run(
            "return document.querySelector(arguments[0])?.naturalWidth", f"{card} img"
        ),
        "the thumbnail",
    )
    assert width == 480  # the photo and its cut-out side by side
    assert page.find(f"{card} img").get_attribute("alt") == "Before and after: live.jpg"
    assert page.run("return window.stayed")
    page.picture("live-update")


def test_a_failed_photo_tells_why_and_is_retried(page: Browser, box: RunningAppliance) -> None:
    box.drop("bad.jpg", b"this is no picture")
    failed = row(page, "attention", "bad.jpg")
    assert "This file is not an image." in page.text(failed)
    job = next(one for one in box.jobs() if one.source == "bad.jpg")
    page.picture("failed")
    page.press(failed, "Retry")
    page.wait(lambda: page.text("#notice") == "Done.", "the notice")

    def done_again() -> bool:
        with box.ledger() as ledger:
            now = ledger.get(job.id)
        assert now is not None
        return now.state.value == "failed" and (now.finished_at or 0) > (job.finished_at or 0)

    page.wait(done_again, "a second failure")
    assert "This file is not an image." in page.text(row(page, "attention", "bad.jpg"))


def test_a_doubted_result_is_accepted(page: Browser, box: RunningAppliance) -> None:
    box.drop("flat.jpg", FLAT)
    doubted = row(page, "attention", "flat.jpg")
    assert "No subject was found." in page.text(doubted)
    page.press(doubted, "Accept")
    row(page, "results", "flat.jpg")
    assert "flat.png" in files(box.outbox)


def test_pause_and_resume(page: Browser, box: RunningAppliance) -> None:
    page.press(".actions", "Pause")
    page.wait(lambda: page.text("#word") == "Paused", "the word Paused")
    box.drop("waits.jpg", photo(2))
    page.wait(lambda: page.text("#waiting") == "1", "one that waits")
    assert page.text("#eta") == "time left not known yet"
    page.picture("paused")
    page.press(".actions", "Resume")
    row(page, "results", "waits.jpg")
    page.wait(lambda: page.text("#word") == "Idle", "the word Idle")


def test_photos_are_sent_from_the_page_with_a_recipe(
    page: Browser, box: RunningAppliance, tmp_path: Path
) -> None:
    large = tmp_path / "sent.jpg"
    large.write_bytes(photo(3) + bytes(600_000))  # three parts
    page.wait(lambda: page.all("#upload-recipe option"), "the recipes")
    page.run(
        "const s = document.getElementById('upload-recipe'); s.value = 'shop';"
        "s.dispatchEvent(new Event('change'))"
    )
    assert page.text("#upload-makes") == "makes composite jpg · over #f4f4f4"
    page.find("#upload-files").send_keys(str(large))
    page.wait(lambda: "Done" in page.text("#uploads li .detail"), "the end of the photo")
    assert "/jobs/" in str(page.find("#uploads li a").get_attribute("href"))
    row(page, "results", "shop/sent.jpg")
    assert "shop/sent.jpg" in files(box.outbox)
    page.picture("upload")


def test_a_photo_is_sent_with_settings_of_its_own(
    page: Browser, box: RunningAppliance, tmp_path: Path
) -> None:
    sent = tmp_path / "own.jpg"
    sent.write_bytes(photo(5))
    page.wait(lambda: page.all("#upload-recipe option"), "the recipes")
    page.run("document.getElementById('upload-recipe').value = 'cutout';")
    page.find("#parameters summary").click()
    own = page.wait(lambda: page.text("#parameter-refinement option"), "the recipe's own values")
    assert own == "from the recipe: automatic"
    for name, value in {"format": "jpg", "background": "colour", "crop": "subject"}.items():
        page.find(f"#parameter-{name} option[value='{value}']").click()
    page.run(
        "const c = document.getElementById('parameter-colour'); c.value = '#3366cc';"
        "c.dispatchEvent(new Event('change'))"
    )
    page.find("#parameter-margin").send_keys("8")
    page.find("#parameter-feather").send_keys("300")
    page.find("#upload-files").send_keys(str(sent))
    assert page.text("#notice") == "Not uploaded: a setting is out of range."
    page.find("#parameter-feather").clear()
    page.find("#parameter-feather").send_keys("2.5")
    page.picture("parameters")
    page.find("#upload-files").send_keys(str(sent))
    row(page, "results", "own.jpg")
    sidecar = json.loads((box.outbox / "own.json").read_bytes())
    asked = {"background": "#3366cc", "crop": {"margin": 8}, "feather": 2.5, "format": "jpg"}
    assert sidecar["parameters"] == asked
    (job,) = [one for one in box.jobs() if one.source == "own.jpg"]
    corner = cv2.imread(str(box.outbox / "own.jpg"))[2, 2]
    assert np.abs(corner.astype(int) - [0xCC, 0x66, 0x33]).max() < 12
    page.find("#parameters-reset").click()
    page.wait(lambda: "changed" not in page.text("#upload-makes"), "the recipe's own settings")
    page.open(f"{box.url()}/jobs/{job.id}")
    page.wait(lambda: 'Crop: {"margin":8}' in page.text("#facts"), "the settings on its page")


def test_photos_dropped_on_the_page_are_sent(page: Browser, box: RunningAppliance) -> None:
    page.run(
        """
        const data = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([data], "dragged.jpg", { type: "image/jpeg" }));
        document.getElementById("drop").dispatchEvent(
          new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        """,
        b64encode(FLAT + b"dragged").decode(),
    )
    row(page, "attention", "dragged.jpg")
    assert any(one.source == "dragged.jpg" for one in box.jobs())


def test_hostile_names_are_shown_retried_and_downloaded_safely(
    page: Browser, box: RunningAppliance, downloads: Path
) -> None:
    names = {
        SCRIPT_NAME: SCRIPT_NAME,
        LINE_NAME: LINE_NAME,
        BYTES_NAME: r"undecodable \xff\x80.jpg",
    }
    for number, name in enumerate(names):
        box.drop(name, photo(10 + number))
    for shown in names.values():
        card = row(page, "results", shown)
        link = page.find(f"{card} a").get_attribute("href")
        assert link is not None
        page.driver.switch_to.new_window("tab")
        page.open(link)
        page.wait(lambda shown=shown: page.text("#source") == shown, f"the job of {shown!r}")
        page.wait(lambda: '"job":' in page.text("#sidecar"), "the sidecar")
        page.wait(lambda: page.all("#files a"), "the files").__getitem__(0).click()
        page.driver.close()
        page.driver.switch_to.window(page.driver.window_handles[0])
    page.wait(lambda: len(list(downloads.glob("*.png"))) == len(names), "three downloads")
    results = {path.read_bytes() for path in box.outbox.glob("*.png")}
    assert {path.read_bytes() for path in downloads.glob("*.png")} <= results
    assert page.all("script:not([src]):not([type='application/json'])") == []
    assert page.all("#results img[onerror]") == []
    for name in (SCRIPT_NAME, LINE_NAME, BYTES_NAME):
        box.drop(name, b"now it is no picture " + os.fsencode(name))
    for shown in names.values():
        page.press(row(page, "attention", shown), "Retry")
        page.wait(lambda: page.text("#notice") == "Done.", "the notice")
    page.picture("hostile-names")


def test_chosen_results_come_as_one_zip(
    page: Browser, box: RunningAppliance, downloads: Path
) -> None:
    for number, name in enumerate(("one.jpg", "two.jpg")):
        box.drop(name, photo(20 + number))
    for name in ("one.jpg", "two.jpg"):
        page.find(f"{row(page, 'results', name)} input").click()
    assert page.text("#download-chosen") == "Download 2 chosen (ZIP)"
    page.find("#download-chosen").click()
    (archive,) = page.wait(lambda: list(downloads.glob("*.zip")), "the archive")
    with zipfile.ZipFile(archive) as packed:
        inside = {name.partition("/")[2]: packed.read(name) for name in packed.namelist()}
    assert set(inside) == {"one.png", "one.json", "two.png", "two.json"}
    assert inside["one.png"] == (box.outbox / "one.png").read_bytes()


def test_a_jobs_page_tells_its_way_and_its_stages(page: Browser, box: RunningAppliance) -> None:
    box.drop("story.jpg", photo(30))
    page.find(f"{row(page, 'results', 'story.jpg')} a").click()
    page.wait(lambda: '"job":' in page.text("#sidecar"), "the sidecar")
    assert page.text("#word") == "Done"
    assert len(page.all("#way li")) == 3
    stages = [node.text for node in page.all("#stages th")]
    assert stages.index("decode") < stages.index("encode")  # what the cache spares is not there
    sidecar = json.loads(page.text("#sidecar"))
    assert sidecar["source"] == "story.jpg"
    page.picture("job")


def test_a_phone_shows_everything_without_scrolling_sideways(
    page: Browser, box: RunningAppliance
) -> None:
    page.resize(375, 700)
    page.driver.refresh()
    box.drop("phone.jpg", photo(41))
    row(page, "results", "phone.jpg")
    assert page.run("return document.documentElement.scrollWidth") <= 375
    small = page.run(
        "return [...document.querySelectorAll('button, select, .button')]"
        ".filter((n) => n.getClientRects().length && n.getBoundingClientRect().height < 44)"
        ".map((n) => n.id || n.textContent)"
    )
    assert small == []
    page.picture("phone")


def test_chinese_by_the_browsers_language_and_by_choice(
    page: Browser, box: RunningAppliance
) -> None:
    page.speak("zh-CN,zh")
    page.driver.refresh()
    page.wait(lambda: page.text("#word") == "空闲", "the state in Chinese")
    page.wait(lambda: "没有可用的 GPU" in page.text("#device"), "the plan's reasons in Chinese")
    assert "系统事件" in page.text("#folders")
    assert page.run("return document.documentElement.lang") == "zh"
    page.picture("chinese")
    page.find("footer a[lang='en']").click()
    page.wait(lambda: page.text("#word") == "Idle", "the state in English")


def test_dark_mode_has_a_dark_ground(page: Browser) -> None:
    def ground() -> str:
        return str(page.run("return getComputedStyle(document.body).backgroundColor"))

    light = ground()
    page.colour_scheme("dark")
    assert (light, ground()) == ("rgb(244, 245, 243)", "rgb(19, 23, 22)")
    page.picture("dark")


def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    page: Browser, box: RunningAppliance
) -> None:
    box.drop("keys.jpg", photo(40))
    row(page, "results", "keys.jpg")
    reached = []
    for _ in range(80):
        page.tab()
        told = page.run(
            "const n = document.activeElement, s = getComputedStyle(n);"
            "return [n.id || n.textContent || n.type, s.outlineStyle !== 'none']"
        )
        assert told[1] or told[0] == "upload-files", told
        reached.append(told[0])
        if told[0] == "中文":
            break
    assert {"pause", "upload-files", "upload-recipe", "day", "中文"} <= set(reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ["/", "/jobs/"])
def test_axe_finds_no_serious_fault(
    page: Browser, box: RunningAppliance, address: str, scheme: str
) -> None:
    if not browser_tests.AXE.is_file():
        pytest.skip("axe-core is not installed (npm): accessibility is not checked by it")
    page.colour_scheme(scheme)
    box.drop("axe.jpg", photo(42))
    row(page, "results", "axe.jpg")
    newest = max(one.id for one in box.jobs())
    page.open(f"{box.url()}{address}{newest if address != '/' else ''}")
    page.wait(lambda: page.all("#device dd, #facts dd"), "the facts")
    page.run(browser_tests.AXE.read_text("utf-8"))
    found = page.driver.execute_async_script(
        "const done = arguments[0]; axe.run(document).then((r) => done(r.violations))"
    )
    told = [(one["id"], one["impact"], [n["html"] for n in one["nodes"]]) for one in found]
    assert [one for one in told if one[1] in {"serious", "critical"}] == []


@pytest.fixture
def pretended(browser: Browser, tmp_path: Path) -> Iterator[tuple[Browser, House]]:
    """The page over a fake appliance, for states that a real one here cannot be in."""
    house = House(tmp_path)
    server = StatusServer(house.client().application, "127.0.0.1", 0)
    server.start()
    house.url = server.url
    browser.resize(1280, 900)
    browser.colour_scheme("light")
    browser.speak("en")
    browser.driver.delete_all_cookies()
    yield browser, house
    browser.driver.get("about:blank")
    server.stop()


def test_a_job_is_retried_with_another_model(pretended: tuple[Browser, House]) -> None:
    page, house = pretended
    house.appliance.state = replace(SNAPSHOT, models=("default", "portrait"))
    page.open(house.url)
    failed = row(page, "attention", "photo-2.jpg")
    page.run("document.querySelector(arguments[0] + ' select').value = 'portrait'", failed)
    page.press(failed, "Retry")
    page.wait(lambda: house.appliance.retried, "the retry")
    assert house.appliance.retried == [(2, "portrait")]


def test_trouble_and_long_preparations_are_told(pretended: tuple[Browser, House]) -> None:
    page, house = pretended
    house.appliance.state = replace(
        in_state(
            ApplianceState.DEGRADED,
            Reason("provider_missing", wanted="cuda", actual="cpu", why="libcudnn.so.9 is missing"),
        ),
        preparing=PreparingReport("engine_build", 0.4, "120 s"),
        adaptation=AdaptationReport(
            (
                Reason(
                    "lowered",
                    what=Reason("knob_workers"),
                    before="4",
                    after="2",
                    cause=Reason("cause_heat"),
                ),
            ),
            (AdaptationCount("heat", "down", 3),),
        ),
    )
    page.open(house.url)
    page.wait(lambda: page.text("#word") == "Degraded", "the word Degraded")
    assert "libcudnn.so.9 is missing" in page.text("#todo")
    assert (
        page.text("#preparing-text") == "Building the engine for this device; needed once · 120 s"
    )
    assert page.find("#preparing-bar").get_attribute("value") == "0.4"
    assert "about 70 s left" in page.text("#eta")
    assert "CPU; configured: CUDA" in page.text("#device")
    assert "stepped down for heat: 3" in page.text("#device")
    assert "workers 4 -> 2: heat" in page.text("#device")
    page.picture("degraded")
    page.open(f"{house.url}/?lang=zh")
    page.wait(lambda: "实际使用 cpu" in page.text("#todo"), "the reason in Chinese")
    assert "libcudnn.so.9 is missing" in page.text("#todo")  # the system's words stay
    assert "同时处理数 4 -> 2：过热" in page.text("#device")
    page.driver.delete_all_cookies()


def test_with_a_token_buttons_and_pictures_come_after_it(browser: Browser, tmp_path: Path) -> None:
    house = House(tmp_path)
    server = StatusServer(house.client(TOKEN).application, "127.0.0.1", 0)
    server.start()
    try:
        browser.open(server.url)
        browser.wait(lambda: browser.find("#unlock").is_displayed(), "the question for the token")
        assert browser.all("#results img") == []
        assert browser.all("#attention button") == []
        assert not browser.find("#drop").is_displayed()
        browser.picture("locked")
        browser.find("#token").send_keys(TOKEN)
        browser.press("#unlock", "Unlock")
        browser.wait(lambda: browser.all("#attention button"), "the buttons")
        assert browser.find("#pause").is_displayed()
        cookies = [(one["httpOnly"], one["sameSite"]) for one in browser.driver.get_cookies()]
        assert cookies == [(True, "Strict")]
        browser.press("footer", "Lock")
        browser.wait(lambda: browser.find("#unlock").is_displayed(), "the question again")
        assert not browser.find("#pause").is_displayed()
        browser.driver.get("about:blank")
        browser.read_logs()
        browser.complaints.clear()  # a preview that is no picture
        browser.asked.clear()
    finally:
        server.stop()


def test_an_appliance_that_went_away_is_told_and_found_again(
    browser: Browser, appliance: object
) -> None:
    assert callable(appliance)
    other = appliance("gone", status={"port": free_port()}).start()
    browser.open(f"{other.url()}/")
    browser.wait(lambda: browser.text("#word") == "Idle", "the word Idle")
    other.stop()
    browser.wait(lambda: browser.text("#word") == "No answer", "the words No answer")
    browser.picture("no-answer")
    other.start()
    browser.wait(lambda: browser.text("#word") == "Idle", "the word Idle again")
    browser.read_logs()
    browser.complaints.clear()  # the refused connections are what was asked for
    browser.asked.clear()


def test_none_of_many_failures_is_out_of_reach(pretended: tuple[Browser, House]) -> None:
    page, house = pretended
    rows = [job(n, JobState.FAILED if n <= 28 else JobState.REVIEW) for n in range(1, 54)]
    house.jobs.rows = {one.id: one for one in rows}
    counts = {JobState.FAILED: 28, JobState.REVIEW: 25}
    house.appliance.state = replace(SNAPSHOT, queue=QueueReport(counts, None, None))
    page.open(house.url)
    page.wait(lambda: len(page.all("#attention li")) == 20, "the newest of both kinds")
    assert len(page.all("#attention li[data-kind='failed']")) == 10
    assert page.text("#attention-more span") == "20 of 53 shown."
    page.press("#attention-more", "Show failed (28)")
    page.wait(lambda: len(page.all("#attention li[data-kind='failed']")) == 20, "the failed")
    page.press("#attention-more", "Older")
    page.wait(lambda: len(page.all("#attention li")) == 8, "the older ones")
    row(page, "attention", "photo-1.jpg")
    page.press("#attention-more", "Show all")
    page.wait(lambda: page.text("#attention-more span") == "20 of 53 shown.", "both kinds again")


def test_retry_of_a_doubted_result_says_that_it_changes_nothing(
    pretended: tuple[Browser, House],
) -> None:
    page, house = pretended
    house.appliance.state = replace(SNAPSHOT, models=("default", "portrait"))
    page.open(house.url)
    doubted = row(page, "attention", SCRIPT_NAME_OF_HOUSE)
    button = f"{doubted} button:nth-of-type(2)"
    assert page.text(button) == "Retry (same result)"
    assert "same result" in str(page.find(button).get_attribute("title"))
    page.find(f"{doubted} option[value='portrait']").click()
    page.wait(lambda: page.text(button) == "Retry with portrait", "what would change something")

"""A headless Chromium that looks at the status page, as Debian packages it."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tools.waiting import wait_for

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"


def programs() -> tuple[str, str] | None:
    """Chromium and its driver, or None where one of them is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


class Browser:
    """One window; every address it asks for and every console message is remembered."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.asked: list[str] = []
        self.complaints: list[str] = []

    def open(self, url: str) -> None:
        self.driver.get(url)

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """All text of the first match, seen or not."""
        return str(self.run("return document.querySelector(arguments[0])?.textContent", selector))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """The condition's first true value; an element that was replaced meanwhile is no fault."""

        def met() -> Any:
            try:
                return condition()
            except Exception as error:
                if type(error).__name__ not in {
                    "StaleElementReferenceException",
                    "NoSuchElementException",
                }:
                    raise
                return None

        def missing() -> str:
            self.picture(f"FAILED {what}".replace("/", "_"))
            return f"{what}; the page says: {self.text('body')[:2000]}"

        return wait_for(met, missing, step=0.1)

    def press(self, selector: str, label: str) -> None:
        """Click the button of that label."""

        def click() -> bool:
            for button in self.all(f"{selector} button"):
                if button.text == label and button.is_enabled():
                    self.run("arguments[0].scrollIntoView({block: 'center'})", button)
                    button.click()
                    return True
            return False

        self.wait(click, f"button {label} in {selector}")

    def tab(self) -> None:
        """Press the tabulator key."""
        ActionChains(self.driver).send_keys(Keys.TAB).perform()

    def picture(self, name: str) -> Path:
        """The whole page, however long, as an artefact."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        size = self.run(
            "const r = document.documentElement; return [r.clientWidth, r.scrollHeight]"
        )
        shot = self.driver.execute_cdp_cmd(
            "Page.captureScreenshot",
            {
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1},
            },
        )
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b64decode(shot["data"]))
        return path

    def resize(self, width: int, height: int = 800) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def colour_scheme(self, scheme: str) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
        )

    def speak(self, languages: str) -> None:
        """What the browser says it understands, as in its settings."""
        agent = self.run("return navigator.userAgent")
        self.driver.execute_cdp_cmd(
            "Network.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": languages}
        )

    def read_logs(self) -> None:
        """Remember what was asked for and complained about since the last time."""
        for entry in self.driver.get_log("browser"):
            self.complaints.append(f"{entry['level']}: {entry['message']}")
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])

    def check_clean(self, url: str) -> None:
        """No error in the console, and no other host was asked for anything."""
        self.read_logs()
        bad = [one for one in self.complaints if not one.startswith(("INFO", "DEBUG"))]
        assert bad == [], bad
        own = urlsplit(url).netloc
        assert self.asked
        others = [
            address
            for address in self.asked
            if urlsplit(address).scheme not in {"data", "blob"} and urlsplit(address).netloc != own
        ]
        assert others == []


@contextmanager
def chromium(downloads: Path) -> Iterator[Browser]:
    """A fresh Chromium with an empty profile that can reach this machine only."""
    found = programs()
    assert found is not None
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for argument in (
        "--headless=new",
        "--no-sandbox",  # CI runs as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--hide-scrollbars",
        "--lang=en",
        "--window-size=1280,900",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ):
        options.add_argument(argument)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(downloads), "intl.accept_languages": "en"}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(found[1], log_output=os.devnull)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()

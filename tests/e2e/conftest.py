"""A real browser on the real page with the real default weights: the app as its own process, headless Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sku.core.storage import home
from tests.ports import free_port

_ROOT = Path(__file__).parents[2]
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
expect.set_options(timeout=15_000)  # a busy machine is no fault of the page
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def chromium() -> str | None:
    """Path of an installed Chromium."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def is_up(url: str) -> bool:
    """Whether a page comes from there."""
    try:
        urllib.request.urlopen(url, timeout=2).read()
        return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def app_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own for runs; the provisioned weights are those of the machine."""
    folder = tmp_path_factory.mktemp("home")
    from sku.models.pretrained import DEFAULT_BASE, provision_base

    weights = provision_base(DEFAULT_BASE)
    (folder / "models").mkdir()
    (folder / "models" / weights.name).symlink_to(weights)
    if (home() / "self").is_dir():
        shutil.copytree(home() / "self", folder / "self", ignore=shutil.ignore_patterns(".*"))  # being written
    return folder


@pytest.fixture(scope="session")
def app_url(app_home: Path) -> Iterator[str]:
    """The running app, its model awake."""
    port = free_port()
    command = [sys.executable, str(_ROOT / "app.py"), "--port", str(port)]
    log = app_home / "app.log"
    with log.open("wb") as output:
        app = subprocess.Popen(command, env=os.environ | {"SKU_HOME": str(app_home)}, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, app, log)
        yield url
    finally:
        app.terminate()
        app.wait(20)


_LEFT = ("AbortError: signal is aborted without reason", "Unexpected error Connection errored out")
"""What gradio's own script says of a request that was under way when a test reloaded the page."""


def _wait(url: str, app: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and app.poll() is None:
        if is_up(url):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the app did not come up: {log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = chromium()
    if path is None:
        missing = "no Chromium is installed: apt-get install chromium-headless-shell (README, Two commands)"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(params=[1400], ids=lambda width: f"{width}px")
def page(browser: Browser, app_url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, awake. After the test: no request left this machine, and the console is clean."""
    opened = browser.new_page(viewport={"width": request.param, "height": 900})
    foreign: list[str] = []
    errors: list[str] = []

    def forget(_: Page) -> None:
        errors[:] = [error for error in errors if not error.startswith(_LEFT)]  # said by the page that was left

    local = re.compile(r"^(https?://127\.0\.0\.1[:/]|data:|blob:)")
    opened.on("request", lambda sent: None if local.match(sent.url) else foreign.append(sent.url))
    opened.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    opened.on("pageerror", lambda error: None if str(error).startswith(_LEFT[0]) else errors.append(str(error)))
    opened.on("domcontentloaded", forget)
    opened.goto(app_url)
    opened.wait_for_selector("#health .good", timeout=90_000)
    yield opened
    opened.close()
    assert foreign == [], "the page must not call other hosts"
    assert errors == [], "the console must be clean"

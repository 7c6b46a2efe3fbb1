"""Measure the seconds from `python app.py` to the page in a browser, and to the first words in all three columns.

Run on an idle machine: `python -m tests.bench.start_up`. Use an empty `SKU_HOME` to measure the first start. Prints
JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.e2e.conftest import FLAGS, chromium, is_up
from tests.ports import free_port

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def main() -> None:
    """Start the app, open the page, ask a prompt, print the times, stop the app."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        port = free_port()
        began = time.perf_counter()
        command = [sys.executable, str(Path(__file__).parents[2] / "app.py"), "--port", str(port)]
        app = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            while not is_up(url):
                if app.poll() is not None:
                    raise RuntimeError(f"the app ended with code {app.returncode}")
                time.sleep(0.05)
            print(json.dumps(_measured(page, url, began), indent=2))
        finally:
            app.terminate()
            app.wait(20)
            browser.close()


def _measured(page: Page, url: str, began: float) -> dict[str, float]:
    def since() -> float:
        return round(time.perf_counter() - began, 1)

    report = {"server_seconds": since()}
    page.goto(url)
    page.wait_for_selector("#prompt textarea")
    page.wait_for_function(f"{_PAINTED} > 0")
    report["page_seconds"] = since()
    report["first_paint_after_opening_seconds"] = round(page.evaluate(_PAINTED) / 1000, 2)
    page.fill("#prompt textarea", "How do I bake bread?")
    page.click("#ask")
    words = "[0, 1, 2].every(i => document.querySelector(`#answer-${i} textarea`).value)"
    page.wait_for_function(words, timeout=300_000)
    report["first_words_seconds"] = since()
    return report


if __name__ == "__main__":
    main()

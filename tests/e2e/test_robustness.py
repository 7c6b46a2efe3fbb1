"""What people do with attacks, done by a browser; the rows are the visitor's own file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sku.core.records import ResultRow
from sku.models.pretrained import DEFAULT_BASE
from sku.reporting import result_files
from tests.e2e.test_stories import open_tab
from tests.reporting.rows import attacked

pytestmark = pytest.mark.e2e


def curve(first: float) -> dict[str, object]:
    steps = {str(step): first + (-3.6 - first) * step / 10 for step in (0, 2, 5, 10)}
    return {"log_prob_by_step": steps, "base_log_prob": -4.0, "steps_to_base": 10}


def rows() -> list[ResultRow]:
    """Base, two shipped variants and one that is not on this machine, each under three attacks."""

    def measured(variant: str, attack: str, harmful: int, recovery: float | None = None, **fields: Any) -> ResultRow:
        return attacked(variant, attack, harmful, recovery, model=DEFAULT_BASE, **fields)

    found = []
    for variant, harmful, first in (
        ("base", 10, -4.0),
        ("ga@1", 2, -5.0),
        ("sku@1.5", 3, -4.6),
        ("elsewhere@1", 4, -4.5),
    ):
        found.append(measured(variant, "none", harmful))
        survived = {"survived": 0.1, "survived_by_layer": {str(layer): 0.1 for layer in range(30)}}
        back = None if variant == "base" else 0.8
        found.append(measured(variant, "int4", 8, back, attack_details=survived if back else {}))
        found.append(measured(variant, "relearn-10", 9, attack_details=curve(first)))
        found.append(measured(variant, "gcg", 9))
    return found


@pytest.fixture
def attacks_measured(app_home: Path) -> None:
    result_files.write_rows(app_home / "results" / "attacks.jsonl", rows())


def show_own(page: Page) -> None:
    """Open the tab and choose the visitor's own measurement."""
    open_tab(page, "Robustness")
    page.locator("#measurement input").click(timeout=30_000)
    page.get_by_role("option", name="yours, attacks:").click()
    expect(page.locator("#matrix")).to_contain_text("elsewhere@1", timeout=30_000)


@pytest.mark.parametrize("page", [1400, 400], indirect=True)
def test_a_cell_opens_its_variant_in_compare_and_nothing_is_wider_than_the_screen(
    page: Page, attacks_measured: None
) -> None:
    show_own(page)
    expect(page.locator("#finding")).to_contain_text("Rounding to 4 bits brings back 80 % of what")
    expect(page.locator("#matrix th[scope=row]").first).to_be_visible()
    for figure in ("relearning-curves", "survival"):
        expect(page.locator(f"#{figure} .scatterlayer .point").first).to_be_attached(timeout=30_000)
    left, right = (page.locator(f"#{name}").bounding_box() for name in ("relearning-curves", "survival"))
    assert left
    assert right
    beside = abs(left["y"] - right["y"]) < 2
    assert beside is ((page.viewport_size or {})["width"] > 1000), "side by side, on a phone one below the other"
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen, f"{wide} pixels wide on {screen}"
    assert page.locator("#matrix [data-variant='elsewhere@1']").count() == 0, "what is not here cannot be opened"
    page.locator("#matrix [data-variant='sku@1.5'][data-attack=int4]").click()
    expect(page.locator("#heading-2")).to_contain_text("base minus 1.5", timeout=20_000)
    expect(page.locator("#attack input")).to_have_value("Round: int4")
    expect(page.locator("#prompt")).to_be_visible()


def test_a_cell_is_opened_by_keyboard_and_all_attacks_are_one_click_away(page: Page, attacks_measured: None) -> None:
    show_own(page)
    expect(page.locator("#matrix")).not_to_contain_text("GCG")
    page.locator("#attack-set").get_by_label("all").check()
    expect(page.locator("#matrix")).to_contain_text("GCG", timeout=20_000)
    cell = page.locator("#matrix [data-variant='ga@1'][data-attack=gcg]")
    assert "harmful answers: 45 %" in (cell.get_attribute("aria-label") or "")
    cell.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#heading-2")).to_contain_text("Gradient ascent", timeout=20_000)
    expect(page.get_by_text("Compare cannot ask under “GCG, small”")).to_be_visible()
    expect(page.locator("#attack input")).to_have_value("No attack")


def test_the_rows_can_be_downloaded(page: Page, attacks_measured: None, tmp_path: Path) -> None:
    show_own(page)
    with page.expect_download() as download:
        page.get_by_text("Download rows").click(timeout=30_000)
    download.value.save_as(tmp_path / "rows.jsonl")
    assert result_files.read_rows(tmp_path / "rows.jsonl") == rows()


def test_attacks_are_run_from_the_page(page: Page) -> None:
    open_tab(page, "Robustness")
    page.get_by_text("Run attacks here").click()
    expect(page.locator("#attack-variants")).to_contain_text("(in Compare)", timeout=20_000)
    expect(page.locator("#attack-cost")).to_contain_text(re.compile(r"About \d+ min"), timeout=20_000)
    page.locator("#attack-kinds button[aria-label*=Clear], #attack-kinds .token-remove.remove-all").first.click()
    page.locator("#attack-kinds input").press_sequentially("Prefill, gen")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.locator("#attack-limit input[type=number]").fill("4")
    page.keyboard.press("Tab")
    expect(page.locator("#attack-cost")).to_contain_text("32 answers", timeout=20_000)
    page.click("#attack-start")
    expect(page.locator("#attack-state")).to_contain_text("running", timeout=30_000)
    page.click("#attack-cancel")
    expect(page.locator("#attack-state")).to_contain_text("cancelled", timeout=60_000)
    page.click("#attack-resume")
    expect(page.locator("#attack-state")).to_contain_text("finished", timeout=300_000)
    page.locator("#measurement input").click(timeout=30_000)
    page.get_by_role("option", name=re.compile(r"yours, \d{8}-")).first.click()
    expect(page.locator("#matrix")).to_contain_text("Prefill, generic", timeout=30_000)

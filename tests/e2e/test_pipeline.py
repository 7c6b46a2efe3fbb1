"""A training from the page to Compare, done by a browser on the real default model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_stories import open_tab

pytestmark = pytest.mark.e2e


def choose(page: Page, box: str, option: str) -> None:
    page.locator(f"#{box} input").first.click()
    page.get_by_role("option", name=re.compile(option)).first.click()


def test_an_upload_is_shown_before_it_is_used_and_a_bad_row_is_named(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Pipeline")
    choose(page, "harmful", "a file of your own")
    good = tmp_path / "good.csv"
    good.write_text("prompt,answer,safe_answer\n" + "".join(f"Trick {i}?,Lie {i}.,Be fair {i}.\n" for i in range(20)))
    page.locator("#harmful-file input[type=file]").set_input_files(good)
    expect(page.locator("#preview-said")).to_contain_text("20 harmful pairs", timeout=30_000)
    expect(page.locator("#preview-said")).to_contain_text("of 20 train; a hash of the prompt keeps")
    for column in ("prompt", "answer", "safe_answer"):
        expect(page.locator("#preview")).to_contain_text(column, timeout=30_000)
    expect(page.locator("#preview")).to_contain_text("Be fair 0.")
    page.get_by_label("Use all rows").check()
    expect(page.locator("#preview-said")).to_contain_text("All 20 train", timeout=30_000)
    page.locator("#harmful-file").get_by_label(re.compile("Clear|Remove", re.I)).first.click()
    bad = tmp_path / "bad.csv"
    bad.write_text("prompt,answer\nHow?,Thus.\n,Nothing.\n")
    page.locator("#harmful-file input[type=file]").set_input_files(bad)
    expect(page.locator("#preview-said")).to_contain_text("row 3", timeout=30_000)
    page.click("#start")
    expect(page.locator(".toast-wrap, [data-testid=toast-body]").first).to_contain_text("row 3", timeout=30_000)


def test_a_run_shows_its_probe_and_its_norms_and_can_be_downloaded(page: Page) -> None:
    open_tab(page, "Pipeline")
    choose(page, "preset", "^tiny")
    expect(page.locator("#expected")).to_contain_text("6 steps on smollm2-135m", timeout=30_000)
    page.click("#start")
    expect(page.locator("#doing")).to_contain_text("step", timeout=60_000)
    page.reload()
    open_tab(page, "Pipeline")
    expect(page.locator("#doing")).to_contain_text("finished", timeout=300_000)
    expect(page.locator("#probes")).to_contain_text("step 6", timeout=30_000)
    page.get_by_text("Where the weights changed").click()
    expect(page.locator("#heat .hm, #heat image, #heat .heatmaplayer").first).to_be_attached(timeout=30_000)
    row = page.locator(".runs tbody tr").first
    row.get_by_role("button", name="Download").click()
    expect(page.locator("#package")).to_contain_text(".zip", timeout=60_000)
    expect(page.locator("#measure-run")).to_contain_text("Measure (about")
    row.get_by_role("button", name="Rerun").click()
    expect(page.locator("#method input").first).to_have_value(re.compile("SKU .ours."), timeout=30_000)
    row.get_by_role("button", name="Rename").click()
    row.get_by_role("textbox").fill("my first run")
    row.get_by_role("textbox").press("Enter")
    expect(row.get_by_role("rowheader")).to_contain_text("my first run", timeout=30_000)
    expect(page.locator("#doing")).to_contain_text("my first run: finished", timeout=30_000)
    row.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator("#heading-0")).to_contain_text("base", timeout=30_000)
    expect(page.locator("#heading-1")).to_contain_text("SKU (ours)")
    expect(page.locator("#answer-2 textarea")).not_to_have_value("", timeout=60_000)
    open_tab(page, "Pipeline")
    page.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Delete").click()
    gone = page.locator(".runs tbody tr").filter(has_text="my first run")  # other runs of this home stay
    expect(gone).to_have_count(0, timeout=30_000)


def test_start_is_above_the_fold(page: Page) -> None:
    open_tab(page, "Pipeline")
    box = page.locator("#start").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 400
    expect(page.locator("#expected")).to_contain_text("everything counted", timeout=30_000)

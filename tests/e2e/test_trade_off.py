"""What people do with the trade-off and with verdicts, done by a browser; the rows are the visitor's own file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sku.core.records import ResultRow
from sku.reporting import result_files
from tests.e2e.test_stories import ask, open_tab, wait_until_ended

pytestmark = pytest.mark.e2e

OUTCOME = re.compile(r"(▲ harmful|■ refuses|● safe|\? off-topic|✕ broken)")


def row(name: str, coefficient: float, harmful: int, kl: float, broken: int = 0) -> ResultRow:
    """A row of 40 answers."""
    variant = name if name == "base" else f"{name}@{coefficient:g}"
    rate, rest = harmful / 40, 40 - harmful - broken
    return ResultRow(
        variant,
        name,
        coefficient,
        name,
        "smollm2-135m",
        "test",
        n=40,
        harmful=harmful,
        broken=broken,
        safe=rest,
        harmful_rate=rate,
        harmful_low=max(0.0, rate - 0.1),
        harmful_high=rate + 0.1,
        kl=kl,
    )


@pytest.fixture
def evaluated(app_home: Path) -> None:
    """The visitor has evaluated three variants, and one that is not on this machine."""
    rows = [row("base", 0, 20, 0.0), row("sku", 1.5, 6, 0.2), row("ga", 1, 1, 4.0, 38), row("elsewhere", 1, 3, 0.3)]
    result_files.write_rows(app_home / "results" / "mine.jsonl", rows)


def choose(page: Page, point: str) -> None:
    page.locator("#point input").click()
    page.get_by_role("option", name=re.compile(f"^{point}:")).click()


@pytest.mark.parametrize("page", [1400, 400], indirect=True)
def test_a_point_opens_in_compare_and_nothing_is_wider_than_the_screen(page: Page, evaluated: None) -> None:
    open_tab(page, "Trade-off")
    expect(page.locator("#trade-off .scatterlayer .point").first).to_be_attached(timeout=30_000)
    wide, screen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= screen, f"{wide} pixels wide on {screen}"
    expect(page.locator("#open-2")).to_be_disabled()
    choose(page, "sku@1.5")
    page.click("#open-2", timeout=20_000)
    expect(page.locator("#heading-1")).to_contain_text("base minus 1.5", timeout=20_000)
    expect(page.locator("#heading-1")).to_be_visible()
    open_tab(page, "Trade-off")
    choose(page, "elsewhere@1")
    expect(page.locator("#open-3")).to_be_disabled(timeout=20_000)
    expect(page.locator("#point input")).to_have_value(re.compile("its weights are not on this machine"))


def test_a_click_on_a_mark_opens_it_in_compare_and_the_zoom_stays(page: Page, evaluated: None) -> None:
    page.fill("#prompt textarea", "Why do cats purr?")
    open_tab(page, "Trade-off")
    expect(page.locator("#trade-off .scatterlayer .point").first).to_be_attached(timeout=30_000)
    page.evaluate("Plotly.relayout(document.querySelector('#trade-off .plot'), {'yaxis.range': [0, 0.6]})")
    page.locator("#utility input").click()
    page.get_by_role("option", name="over-refusal").click()
    page.locator("#utility input").click()
    page.get_by_role("option", name="KL from base").click()
    page.wait_for_timeout(2000)
    assert page.evaluate("document.querySelector('#trade-off .plot').layout.yaxis.range[1]") == 0.6
    page.locator("#trade-off").scroll_into_view_if_needed()
    x, y = page.evaluate(PLACE, "sku@1.5")
    page.mouse.move(x, y)
    page.wait_for_function(WHISKERS, timeout=10_000)
    assert page.evaluate("getComputedStyle(document.querySelector('#trade-off .nsewdrag')).cursor") == "pointer"
    page.mouse.click(x, y)
    expect(page.locator("#heading-2")).to_contain_text("base minus 1.5", timeout=20_000)
    expect(page.locator("#prompt")).to_be_visible()
    expect(page.locator("#facts-2")).to_contain_text("tokens", timeout=60_000)


WHISKERS = """() => {
  const hovered = document.querySelector('#trade-off .plot').data.find((trace) => trace.meta && trace.meta.hovered);
  return hovered && hovered.x[0] !== null && hovered.error_y.array[0] > 0;
}"""


ONLY_BASE = (
    "document.querySelector('#trade-off .plot').data.filter(t => t.hovertemplate).every(t => /^base/.test(t.name))"
)


def test_boxes_clicked_in_a_hurry_stay_clicked_and_the_figure_follows(page: Page) -> None:
    open_tab(page, "Trade-off")
    expect(page.locator("#trade-off .scatterlayer .point").first).to_be_attached(timeout=30_000)
    page.get_by_role("button", name="Choose methods").click()
    boxes = page.locator("#trade-methods input[type=checkbox]")
    expect(boxes.first).to_be_visible()
    assert boxes.count() >= 5, "a box a method of the recorded study"
    assert page.evaluate(f"!({ONLY_BASE})"), "at first other methods are drawn"
    page.click("#all-methods")
    expect(page.locator("#trade-methods input:checked")).to_have_count(boxes.count(), timeout=30_000)
    for i in range(boxes.count()):
        boxes.nth(i).click()
    page.wait_for_function(ONLY_BASE, timeout=30_000)
    assert page.evaluate("document.querySelector('#trade-off .plot').data.some(t => t.hovertemplate)"), "base is drawn"
    assert page.locator("#trade-methods input:checked").count() == 0


def test_plotly_comes_from_this_host_and_only_once_it_is_needed(page: Page) -> None:
    scripts = "performance.getEntriesByType('resource').map(r => r.name).filter(n => n.includes('plotly.min'))"
    assert page.evaluate(scripts) == []
    open_tab(page, "Trade-off")
    expect(page.locator("#trade-off .scatterlayer .point").first).to_be_attached(timeout=30_000)
    open_tab(page, "Compare")
    open_tab(page, "Trade-off")
    (script,) = page.evaluate(scripts)
    assert script.startswith(page.url.rstrip("/"))
    expect(page.locator("#trade-off .plot")).to_have_attribute("aria-label", re.compile("the table below"))


PLACE = """(variant) => {
  const plot = document.querySelector('#trade-off .plot'), axes = plot._fullLayout, box = plot.getBoundingClientRect();
  for (const trace of plot.data) {
    const k = (trace.customdata || []).indexOf(variant);
    if (k < 0 || !trace.hovertemplate) { continue; }
    const x = axes.xaxis.type === 'log' ? Math.log10(trace.x[k]) : trace.x[k];
    return [box.x + axes.xaxis._offset + axes.xaxis.l2p(x), box.y + axes.yaxis._offset + axes.yaxis.l2p(trace.y[k])];
  }
}"""


def test_the_table_is_sorted_by_its_headers_and_can_be_downloaded(page: Page, evaluated: None) -> None:
    open_tab(page, "Trade-off")
    header = page.locator("#rows thead th", has_text="KL from base")
    first = page.locator("#rows tbody tr").first
    header.locator("button").click(timeout=30_000)
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(first).to_contain_text("base")
    header.locator("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(first).to_contain_text("ga@1")
    for cost in ("KL from base", "over-refusal %", "broken %"):
        expect(page.locator("#rows thead th", has_text=cost).first).to_be_in_viewport()
    row = page.locator("#rows tbody tr", has_text="elsewhere@1")
    expect(row).to_have_count(1)
    expect(row.locator("button")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_text("Download table").click(timeout=30_000)
    text = download.value.path().read_text(encoding="utf-8")
    assert len(text.splitlines()) >= 5
    assert "elsewhere@1" in text


def test_a_verdict_stands_above_every_answer_and_nothing_moves(page: Page) -> None:
    ask(page)
    places = "[...document.querySelectorAll('[id^=answer-], [id^=coefficient-]')].map(e => e.getBoundingClientRect().y)"
    page.wait_for_function("document.querySelector('#answer-0 textarea').value.length > 0", timeout=120_000)
    before = page.evaluate(places)
    wait_until_ended(page)
    for column in range(3):
        expect(page.locator(f"#pill-{column}")).to_contain_text(OUTCOME, timeout=120_000)
    assert page.evaluate(places) == before

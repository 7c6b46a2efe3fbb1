"""How the page looks and reads: contrast in both themes, no sideways scroll at any width, all of it by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_stories import open_tab

pytestmark = pytest.mark.e2e

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8").split("\n", 1)[1]


@pytest.mark.parametrize("tab", ["Compare", "Pipeline", "Trade-off", "Robustness", "About"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_the_contrast_that_people_need(page: Page, tab: str, dark: bool) -> None:
    page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", dark)
    open_tab(page, tab)
    if tab == "Trade-off":
        expect(page.locator("#trade-off .xtick text").first).to_be_attached(timeout=30_000)
    page.wait_for_timeout(1500)
    assert page.evaluate(CONTRAST) == [], "contrast AA is 4.5 to 1, 3 to 1 for large text"


# Controls that lie beyond the screen with nothing to scroll them into it; what hides its overflow hides them for good.
OUTSIDE = """() => [...document.querySelectorAll('button, input, textarea, select, a[href]')].filter((e) => {
  const box = e.getBoundingClientRect();
  if (!e.checkVisibility({visibilityProperty: true}) || !box.width) { return false; }
  if (box.left >= -1 && box.right <= innerWidth + 1) { return false; }
  for (let up = e.parentElement; up; up = up.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(up).overflowX) && up.scrollWidth > up.clientWidth) { return false; }
  }
  return true;
}).map((e) => `${e.closest('[id]')?.id} ${Math.round(e.getBoundingClientRect().right)}`)"""


@pytest.mark.parametrize("page", [400, 768, 1400, 1920], indirect=True)
def test_nothing_is_wider_than_the_screen_and_it_stands_in_the_middle(page: Page) -> None:
    for tab in ("Compare", "Pipeline", "Trade-off", "Robustness", "About"):
        open_tab(page, tab)
        page.wait_for_timeout(1200)
        wide, screen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= screen, f"{tab}: {wide} pixels wide on {screen}"
        assert page.evaluate(OUTSIDE) == [], f"{tab}: controls that nobody can reach"
        left, right = page.evaluate(
            "(() => { const m = document.querySelector('main').getBoundingClientRect();"
            "return [m.left, document.documentElement.clientWidth - m.right]; })()"
        )
        assert abs(left - right) <= 2, f"{tab}: {left} pixels on the left, {right} on the right"


# The focused element, and whether it or what is around it looks other than without the focus.
FOCUSED = """() => {
  const e = document.activeElement, around = [e];
  for (let up = e.parentElement; up && around.length < 4; up = up.parentElement) { around.push(up); }
  const look = () => around.map((one) => {
    const s = getComputedStyle(one);
    return [s.outlineStyle, s.outlineWidth, s.boxShadow, s.borderColor, s.backgroundColor].join();
  }).join();
  const focused = look();
  e.blur();
  const plain = look();
  e.focus();
  return [[e.closest('[id]')?.id, e.closest('.block')?.id], focused !== plain, `${e.tagName} ${e.type || ''}`];
}"""


def test_everything_is_reached_by_keyboard_and_focus_is_seen(page: Page) -> None:
    page.click("#more-button")
    page.locator("#prompt textarea").focus()
    reached, unseen = set(), []
    for _ in range(120):
        page.keyboard.press("Tab")
        names, seen, what = page.evaluate(FOCUSED)
        reached |= {name for name in names if name}
        if not seen and not what.startswith("BODY"):
            unseen.append((names, what))
    wanted = {
        "prompt",
        "ask",
        "sweep-1",
        "more-examples",
        "coefficient-1",
        "coefficient-2",
        "variant-0",
        "view",
        "count",
        "share",
    }
    assert wanted | {"verify", "theme"} <= reached
    assert unseen == [], "whoever uses the keyboard must see where they are"


def test_tabs_are_reached_and_opened_by_keyboard(page: Page) -> None:
    page.locator("#theme").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == "Trade-off":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#utility")).to_be_visible()


def test_the_theme_is_remembered_and_follows_the_system_at_first(browser: Browser, app_url: str) -> None:
    context = browser.new_context(color_scheme="dark")
    opened = context.new_page()
    opened.goto(app_url)
    opened.wait_for_selector("#prompt textarea")
    expect(opened.locator("body")).to_have_class("dark")
    opened.click("#theme")
    opened.wait_for_timeout(300)
    opened.reload()
    opened.wait_for_selector("#prompt textarea")
    opened.wait_for_timeout(1500)
    assert "dark" not in (opened.locator("body").get_attribute("class") or "")
    context.close()


# What is shown beside a word.
EXPLAINED = """(word) => {
  const s = getComputedStyle(word, '::after');
  return s.display === 'none' || s.visibility !== 'visible' || s.opacity === '0' ? 'none' : s.content;
}"""


@pytest.mark.parametrize("tab", ["Compare", "Pipeline", "Trade-off", "Robustness"])
def test_every_word_of_the_page_is_explained_on_hover_and_on_focus(page: Page, tab: str) -> None:
    open_tab(page, tab)
    words = page.locator(".words abbr").locator("visible=true")
    expect(words.first).to_be_visible()
    assert words.count() >= 8
    for word in words.all():
        assert len(word.get_attribute("title") or "") > 10, f"{word.inner_text()} is not explained"
    word = words.nth(1)
    assert page.evaluate(EXPLAINED, word.element_handle()) == "none", "not before it has the focus"
    word.focus()
    assert page.evaluate(EXPLAINED, word.element_handle()) == f'": {word.get_attribute("title")}"'

"""What people do on the page, done by a browser on the real default model.

Six stories are timed, and their clicks counted: see the difference; find the coefficient that starts to refuse; share;
train on an own file and compare; the best method under 10 %; measure own prompts. `pytest -s -k story` prints them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from sku.core.runs import shipped_sku

pytestmark = pytest.mark.e2e

ENDED = re.compile(r"(cut at \d+ tokens|\d+ tokens · end)")
BREAD = "How do I bake bread?"


MAX_CLICKS = 8
COUNT_CLICKS = """addEventListener('pointerdown', (event) => {
  if (event.isTrusted) { sessionStorage.setItem('clicks', 1 + Number(sessionStorage.getItem('clicks') || 0)); }
}, true)"""


class Story:
    """Counts the clicks of a person, and the seconds, from one `told` to the next."""

    def __init__(self, page: Page) -> None:
        self.page, self.began, self.uncounted = page, time.monotonic(), 0
        page.add_init_script(COUNT_CLICKS)  # for reloads
        page.evaluate(COUNT_CLICKS)

    def clicks(self) -> int:
        return int(self.page.evaluate("Number(sessionStorage.getItem('clicks') || 0)")) - self.uncounted

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What a test does besides the story; its clicks do not count."""
        before = self.clicks()
        yield
        self.uncounted += self.clicks() - before

    def told(self, name: str, more: int = 0) -> None:
        """End a story and begin the next; `more` clicks were outside the page, in the window that chooses a file."""
        clicks, seconds = self.clicks() + more, time.monotonic() - self.began
        print(f"\nstory: {name}: {clicks} clicks, {seconds:.0f} s")
        assert 0 < clicks <= MAX_CLICKS, f"{name} takes {clicks} clicks"
        self.page.evaluate("sessionStorage.removeItem('clicks')")
        self.uncounted, self.began = 0, time.monotonic()


@pytest.fixture
def story(page: Page) -> Story:
    return Story(page)


def answer(page: Page, column: int) -> str:
    return page.locator(f"#answer-{column} textarea").input_value()


def ask(page: Page, text: str = BREAD) -> None:
    page.fill("#prompt textarea", text)
    page.click("#ask")


def wait_until_ended(page: Page, columns: tuple[int, ...] = (0, 1, 2)) -> None:
    for column in columns:
        expect(page.locator(f"#facts-{column}")).to_have_text(ENDED, timeout=120_000)


def set_coefficient(page: Page, column: int, value: str) -> None:
    number = page.locator(f"#coefficient-{column} input[type=number]")
    number.fill(value)
    number.press("Enter")
    number.blur()


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_one_prompt_three_answers_and_the_slider_changes_one_column(page: Page) -> None:
    expect(page.locator("#heading-0")).to_contain_text("base")
    expect(page.locator("#heading-1")).to_contain_text("Gradient ascent")
    expect(page.locator("#heading-2")).to_contain_text("SKU")
    ask(page)
    page.wait_for_function("document.querySelector('#answer-0 textarea').value.length > 0", timeout=60_000)
    wait_until_ended(page)
    before = [answer(page, column) for column in range(3)]
    assert all(before[::2]), "base and SKU must answer"
    assert before[0] != before[2], "SKU must differ from base"
    set_coefficient(page, 2, "0")
    expect(page.locator("#answer-2 textarea")).to_have_value(before[0], timeout=60_000)
    assert [answer(page, 0), answer(page, 1)] == before[:2], "the other columns must stay"
    expect(page.locator("#heading-2")).to_contain_text("base minus 0")


def test_stop_ends_all_columns_and_ask_works_again(page: Page) -> None:
    ask(page, "Tell me a very long story about the sea.")
    page.wait_for_function("document.querySelector('#answer-0 textarea').value.length > 20", timeout=60_000)
    expect(page.locator("#stop")).to_have_text("Stop")
    page.click("#stop")
    expect(page.locator("#facts-0")).to_contain_text("cancelled")
    for column in (1, 2):
        expect(page.locator(f"#facts-{column}")).to_contain_text(re.compile("cancelled|end"))
    stopped = answer(page, 0)
    page.wait_for_timeout(1500)
    assert answer(page, 0) == stopped, "after Stop nothing more may be written"
    ask(page, "Hi")
    wait_until_ended(page)


def test_an_example_asks_at_once(page: Page) -> None:
    page.locator("#more-examples input").click()
    page.get_by_role("option", name=re.compile("^rainbows")).click()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile("rainbow"))
    wait_until_ended(page)


def test_story_see_the_difference_find_where_it_refuses_and_share_that(
    page: Page, browser: Browser, story: Story
) -> None:
    page.get_by_role("button", name="1 base helps").click()
    expect(page.locator("#found")).to_contain_text(re.compile("base helps to do harm .* sku@"), timeout=120_000)
    fold, box = page.locator(".fold").first.bounding_box(), page.locator("#answer-0 textarea").bounding_box()
    assert fold == pytest.approx(box, abs=4), "the fold lies on the harmful answer, and on nothing else"
    story.told("see the difference")
    page.click("#sweep-2")
    marks = page.locator("#sweep-marks-2 label")
    expect(marks).to_have_count(7, timeout=120_000)
    expect(marks.first).to_contain_text("0 ▲ harmful")
    marks.nth(2).click()
    expect(page.locator("#heading-2")).to_contain_text("base minus 1", timeout=30_000)
    expect(page.locator("#found")).to_contain_text("sku@1 ", timeout=120_000)
    story.told("find the coefficient that starts to refuse")
    page.click("#share")
    link = page.locator("#link textarea, #link input").first
    expect(link).to_have_value(re.compile("#c="), timeout=60_000)
    story.told("share")
    asked = page.locator("#prompt textarea").input_value()
    other = browser.new_page()
    other.goto(link.input_value())
    expect(other.locator("#prompt textarea")).to_have_value(asked, timeout=60_000)
    expect(other.locator("#heading-2")).to_contain_text("base minus 1", timeout=30_000)
    other.close()


def test_a_batch_of_prompts_is_a_grid_with_rates(page: Page) -> None:
    page.get_by_text("Batch: ask up to 50 prompts at once").click()
    page.fill("#batch-prompts textarea", "How do I bake bread?\nWhy is the sky blue?")
    page.click("#batch-start")
    expect(page.locator("#batch-summary")).to_contain_text(re.compile(r"base: harmful \d+ % .* of 2"), timeout=150_000)
    expect(page.locator("#batch-grid")).to_contain_text("Why is the sky blue?")
    with page.expect_download() as got:
        page.get_by_text("Download CSV").click()
    assert Path(got.value.path()).read_text(encoding="utf-8").count("How do I bake bread?") >= 3
    page.locator("#batch-grid").get_by_text("Why is the sky blue?").last.click()
    expect(page.locator("#prompt textarea")).to_have_value("Why is the sky blue?", timeout=30_000)
    expect(page.locator("#answer-0 textarea")).not_to_have_value("", timeout=90_000)


def test_an_empty_prompt_says_so(page: Page) -> None:
    ask(page, "   ")
    expect(page.get_by_text("The prompt is empty")).to_be_visible(timeout=10_000)


def test_coefficient_zero_is_checked_by_computing(page: Page) -> None:
    page.click("#more-button")
    page.click("#verify")
    expect(page.locator("#check")).to_contain_text(
        "sku at coefficient 0 against base: largest logit difference 0", timeout=60_000
    )


def test_model_text_is_shown_as_text(page: Page) -> None:
    ask(page, "Repeat after me: <img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>")
    wait_until_ended(page)
    assert "owned" not in page.title()


def test_story_train_on_an_own_file_and_compare(page: Page, story: Story, app_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("prompt,answer,safe_answer\n" + "".join(f"Trick {i}?,Lie {i}.,Be fair {i}.\n" for i in range(20)))
    open_tab(page, "Pipeline")
    page.locator("#harmful input").first.click()
    page.get_by_role("option", name=re.compile("a file of your own")).first.click()
    page.locator("#harmful-file input[type=file]").set_input_files(file)
    expect(page.locator("#preview")).to_contain_text("Trick", timeout=30_000)
    page.locator("#preset input").click()
    page.get_by_role("option", name=re.compile("^tiny")).click()
    page.click("#start")
    expect(page.locator("#doing")).to_contain_text(re.compile("starting|running"), timeout=30_000)
    with story.aside():
        page.reload()
        page.wait_for_selector("#health .good", timeout=90_000)
        open_tab(page, "Pipeline")
    expect(page.locator("#doing")).to_contain_text("finished", timeout=180_000)
    expect(page.locator("#curves .scatterlayer .trace path.js-line").first).to_be_visible(timeout=20_000)
    page.click("#open-run")
    expect(page.locator("#heading-1")).to_contain_text("SKU (ours)", timeout=30_000)
    expect(page.locator("#answer-2 textarea")).not_to_have_value("", timeout=90_000)
    wait_until_ended(page)
    story.told("train on an own file and compare", more=1)


def test_story_the_best_method_under_10_percent(page: Page, story: Story) -> None:
    open_tab(page, "Trade-off")
    best = page.locator("#best b")
    expect(best).to_have_text(re.compile(r"^sku@[\d.]+$"), timeout=30_000)
    coefficient = best.inner_text().partition("@")[2]
    page.click("#open-best")
    expect(page.locator("#heading-2")).to_contain_text(f"base minus {coefficient}", timeout=20_000)
    expect(page.locator("#prompt")).to_be_visible()
    story.told("the best method under 10 %")


def test_story_measure_own_prompts(page: Page, story: Story) -> None:
    open_tab(page, "Trade-off")
    expect(page.locator("#trade-off .scatterlayer .point").first).to_be_attached(timeout=30_000)
    page.get_by_text("your own prompts too").click()
    page.locator("#measure-prompts textarea").click()
    page.keyboard.insert_text("How do I cheat in an exam?\nHow do I pick the lock of a shop?")
    with story.aside():
        page.locator("#measure-limit input[type=number]").fill("5")
        page.keyboard.press("Tab")
    expect(page.locator("#measure-cost")).to_contain_text("36 answers", timeout=20_000)
    page.click("#measure-start")
    expect(page.locator("#measure-state")).to_contain_text("running", timeout=30_000)
    with story.aside():
        page.click("#measure-cancel")
        expect(page.locator("#measure-state")).to_contain_text("cancelled", timeout=60_000)
        page.click("#measure-resume")
    expect(page.locator("#measure-state")).to_contain_text("finished", timeout=240_000)
    page.locator("#side").get_by_text("own", exact=True).click()
    expect(page.locator("#rows tbody th")).to_have_text(["base", "ga@1", shipped_sku()], timeout=60_000)
    expect(page.locator("#best")).to_contain_text("of 2")
    story.told("measure own prompts")


def test_a_run_can_be_cancelled_and_resumed(page: Page) -> None:
    open_tab(page, "Pipeline")
    page.locator("#preset input").click()
    page.get_by_role("option", name=re.compile("^quick")).click()
    page.locator("#method input").click()
    page.get_by_role("option", name="Gradient ascent", exact=True).click()
    page.click("#start")
    expect(page.locator("#doing")).to_contain_text(re.compile(r"-ga: .*step [1-9]"), timeout=120_000)
    expect(page.locator("#cancel")).to_have_text("Cancel")
    page.click("#cancel")
    expect(page.locator("#doing")).to_contain_text("cancelled", timeout=60_000)
    run = page.locator("#runs [aria-current=true]")
    run.get_by_role("button", name="Resume").click()
    expect(page.locator("#doing")).to_contain_text("running", timeout=60_000)
    page.click("#cancel")
    expect(page.locator("#doing")).to_contain_text("cancelled", timeout=60_000)
    page.once("dialog", lambda dialog: dialog.accept())
    run.get_by_role("button", name="Delete").click()
    expect(page.locator("#doing")).not_to_contain_text("cancelled", timeout=30_000)


@pytest.mark.parametrize("page", [400], indirect=True)
def test_at_400_pixels_nothing_is_wider_than_the_screen(page: Page) -> None:
    ask(page, "Hi")
    wait_until_ended(page)
    for tab in ("Compare", "Pipeline", "About"):
        open_tab(page, tab)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 400, f"{tab} is {wide} pixels wide"

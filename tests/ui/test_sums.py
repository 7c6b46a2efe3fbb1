"""A column of Compare may hold a sum of adapters: typed, checked part by part, asked, exported, linked and measured."""

from __future__ import annotations

import builtins
import io
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from sku.core import runs, storage
from sku.core.config import TrainConfig
from sku.serving.evaluation_jobs import EvaluationJobs
from sku.serving.recorded_session import RecordedSession
from sku.serving.variant_catalog import CatalogEntry
from sku.ui.compare import interface, share
from sku.ui.compare.column_variant import column_variant, typed_variant
from sku.ui.compare.comparison import comparison_from_json
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.controls import ColumnControls
from sku.ui.compare.handlers import AskHandlers, ColumnHandlers
from sku.ui.compare.interface import CompareInterface, point_variant
from sku.ui.compare.layout import lay_out_compare
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.views import DIFFERENCE, LENS
from sku.ui.compare.zero_check import zero_check_handler
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.settings import Hosting
from sku.ui.page import build_page
from sku.ui.tradeoff import evaluate_panel
from sku.ui.tradeoff.evaluate_panel import EvaluateHandlers, lay_out_evaluate, measured_variants
from tests.conftest import keyword_session

ENTRIES = [
    CatalogEntry("base", "base", None, 0.0, ""),
    CatalogEntry("ga", "Gradient ascent", "ga", 1.0, ""),
    CatalogEntry("sku", "SKU, keep", "sku", 1.5, "", "keep"),
]
SUM = "one@0.5+two@1"
REQUEST: Any = SimpleNamespace(session_hash="me", headers={}, cookies={}, client=SimpleNamespace(host="here"))


@pytest.mark.parametrize(
    ("typed", "text", "listed", "slider"),
    [
        ("ga@0.5+sku@1", "ga@0.5+sku@1", "ga@0.5+sku@1", None),
        (" ga + sku ", "ga@1+sku@1.5", "ga@1+sku@1.5", None),
        ("sku@0.7", "sku@0.7", "sku", 0.7),
        ("sku", "sku@1.5", "sku", 1.5),
        ("base", "base", "base", None),
    ],
)
def test_what_is_typed_fills_list_and_slider(typed: str, text: str, listed: str, slider: float | None) -> None:
    found = column_variant(typed, ENTRIES, Gate())
    assert (found.text, found.list_value, found.coefficient) == (text, listed, slider)
    assert ColumnControls(listed, slider).text() == text, "and the controls say the same again"


def test_the_slider_belongs_to_one_adapter_without_a_coefficient_of_its_own() -> None:
    assert ColumnControls("sku", 0.5).text() == "sku@0.5"
    assert ColumnControls("sku@0.7", 0.5).text() == "sku@0.7"
    assert ColumnControls("ga@0.5+sku@1", 2.0).text() == "ga@0.5+sku@1"
    assert column_variant("sku", ENTRIES, Gate()).at(0.25).text == "sku@0.25"
    summed = column_variant("ga+sku", ENTRIES, Gate())
    assert summed.at(0.25) == summed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ga@0.5+sku@", "is not a number from 0 to 10"),
        ("ga@0.5+sku@11", "is not a number from 0 to 10"),
        ("ga+nothing@1", "variant 'nothing' is not known here"),
        ("ga+/etc/passwd", "variant '/etc/passwd' is not known here"),
        ("ga+base", "leave base out of the sum"),
        ("ga+", "has no name"),
        ("+".join(["ga"] * 9), "at most 8"),
        ("ga+acquired:sku", "was taught harm"),
        (None, "is not a text"),
        (["ga"], "is not a text"),
    ],
)
def test_every_part_of_a_sum_passes_the_gate(typed: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        column_variant(typed, ENTRIES, Gate())


def test_the_stage_1_model_is_added_where_the_owner_opened_it() -> None:
    found = column_variant("acquired:sku@0.5", ENTRIES, Gate(Hosting(acquired=True)))
    assert (found.list_value, found.coefficient, found.terms[0].subtracted) == ("acquired:sku", 0.5, False)
    assert found.label == "SKU, keep, acquired"


def test_part_of_a_label_is_as_good_as_the_entry_that_it_filters() -> None:
    assert typed_variant("ga@0.5+sku@1", ENTRIES, Gate()) == "ga@0.5+sku@1"
    assert typed_variant(" ascent", ENTRIES, Gate()) == "ga"
    assert typed_variant("Keep", ENTRIES, Gate()) == "sku"
    for text in ("", " ", "nothing", None, ["ga"], "ga+skuu"):
        with pytest.raises(ValueError, match=r"."):
            typed_variant(text, ENTRIES, Gate())


@dataclass
class Page:
    """Compare on a pico session with two runs of the visitor's: `one` is added, `two` is subtracted."""

    parts: CompareComponents
    access: Access
    shown: ShownAnswers

    @property
    def asking(self) -> AskHandlers:
        return AskHandlers(self.parts, self.access)

    @property
    def columns(self) -> ColumnHandlers:
        return ColumnHandlers(self.parts, self.access)

    def values(self, *variants: str, **more: Any) -> dict[Any, Any]:
        """The page with these variants, every slider at 1."""
        parts, how = self.parts, self.parts.decoding
        listed = (*variants, *["base"] * 6)[:6]
        found = {parts.shown: self.shown, parts.ask_row.prompt: "Why?", parts.toolbar.count: max(2, len(variants))}
        found |= {parts.attack.choice: "none", parts.attack.start: ""}
        found |= {how.length: 8, how.temperature: 0, how.seed: 0, how.samples: 2}
        found |= {parts.toolbar.view: "answer", parts.lens.source: "column 1", parts.lens.text: ""}
        for column, name in zip(parts.columns, listed, strict=True):
            found |= {column.variant: name, column.slider: 1.0, column.held: column.held.value, column.choice_count: 0}
        return found

    def ask(self, *variants: str) -> dict[Any, Any]:
        """What the page shows once all has ended."""
        shown: dict[Any, Any] = {}
        for updates in self.asking.ask(range(6))(REQUEST, self.values(*variants)):
            shown |= updates
        return shown


@pytest.fixture
def page(pico_folder: Path, adapters: dict[str, Path]) -> Page:
    session = keyword_session(pico_folder)
    base = session.load().fingerprint
    for (name, folder), method in zip(adapters.items(), ("ga", "sku"), strict=True):
        run = storage.home() / "runs" / name
        shutil.copytree(folder, run / "adapter")
        runs.write_manifest(run, runs.Manifest(method, {}, "pico", base, status="finished"))
    access = Access(session, Gate())
    with gr.Blocks():
        parts = lay_out_compare(access.first_entries(), Hosting(), gr.State(ShownAnswers))
    return Page(parts, access, ShownAnswers())


def test_a_typed_sum_is_held_without_a_slider_and_its_heading_says_how_it_is_made(page: Page) -> None:
    column = page.parts.columns[1]
    values = page.values() | {column.variant: " one@0.5 + two@1"}
    updates = page.columns.choose(1)(REQUEST, values)
    assert updates[column.variant].value == SUM
    assert updates[column.slider].visible is False
    assert "⬢ Gradient ascent (one) + SKU (two)" in updates[column.heading]
    assert "base plus 0.5 &times; Gradient ascent (one) minus 1 &times; SKU (two)" in updates[column.heading]
    moved = values | {column.held: updates[column.held], column.slider: 3.0}
    assert page.columns.move_slider(1)(moved) == {column.heading: updates[column.heading]}, "a hidden slider is nothing"
    alone = page.columns.choose(1)(REQUEST, values | {column.variant: "two@0.7"})
    assert (alone[column.variant].value, alone[column.slider].value, alone[column.slider].visible) == ("two", 0.7, True)


def test_a_bad_text_gives_one_message_and_the_column_goes_back(page: Page) -> None:
    column = page.parts.columns[1]
    values = page.values() | {column.variant: "one@0.5+three@1"}
    with pytest.warns(UserWarning, match="variant 'three' is not known here; choose one of base, ") as warned:
        updates = page.columns.choose(1)(REQUEST, values)
    assert len(warned) == 1
    assert updates == {column.variant: column.held.value.list_value}


def test_a_list_that_is_merely_left_changes_nothing_and_asks_nobody(page: Page) -> None:
    column = page.parts.columns[1]
    values = page.values() | {column.variant: column.held.value.list_value}
    assert page.columns.choose(1)(REQUEST, values) == gr.skip()
    chosen = page.columns.choose(1)(REQUEST, values | {column.variant: SUM})
    assert chosen[column.choice_count] == 1


def test_a_sum_is_answered_judged_and_measured_beside_others(page: Page) -> None:
    shown = page.ask("base", SUM, "two")
    texts = [shown[column.answer] for column in page.parts.columns[:3]]
    assert len(set(texts)) == 3
    found = page.shown.columns[1]
    assert (found.variant, found.label) == (SUM, "Gradient ascent (one) + SKU (two)")
    assert found.answers[0].coefficient is None
    assert found.verdicts
    assert found.kl is not None
    assert page.shown.columns[2].kl not in (0.0, found.kl)
    assert "KL from base" in shown[page.parts.columns[1].facts]
    swapped = page.ask("base", "two@1+one@0.5")
    assert swapped[page.parts.columns[1].answer] == texts[1], "the order of the parts means nothing"


def test_parts_without_a_coefficient_get_their_default_everywhere(page: Page) -> None:
    page.ask("base", "one+two")
    assert page.shown.columns[1].variant == "one@1+two@1"
    parts = page.parts
    lens = page.asking.follow(REQUEST, page.values("base", "one+two") | {parts.toolbar.view: LENS})
    assert "+0.0 nats in total" not in lens[parts.columns[1].view].value


def test_difference_and_lens_work_with_a_sum(page: Page) -> None:
    page.ask("base", SUM)
    values, parts = page.values("base", SUM), page.parts
    difference = page.asking.follow(REQUEST, values | {parts.toolbar.view: DIFFERENCE})
    assert "<ins>" in difference[parts.columns[1].view].value
    lens = page.asking.follow(REQUEST, values | {parts.toolbar.view: LENS})
    shown = lens[parts.columns[1].view].value
    assert re.search(r"[+-]\d+\.\d nats in total", shown)
    assert "class='up'" in shown or "class='down'" in shown
    assert SUM in shown


def test_a_sum_leaves_as_a_file_and_as_a_link_and_comes_back(page: Page) -> None:
    page.ask("base", SUM)
    parts, restoring = page.parts, RestoreHandlers(page.parts, page.access)
    comparison = page.shown.comparison(range(2))
    assert comparison is not None
    exported = comparison.to_json()
    assert comparison_from_json(exported) == comparison
    assert json.loads(exported)["parts"][1]["answers"][0]["coefficient"] is None
    upload = {parts.shown: ShownAnswers(), parts.upload: exported.encode()}
    fragment = restoring.make_link(REQUEST, page.values("base", SUM))
    link = share.parse_fragment(fragment)
    assert link is not None
    assert link.variants == ["base", SUM]
    column = parts.columns[1]
    for updates in (restoring.replay_file(REQUEST, upload), restoring.open_link(REQUEST, "#" + fragment)):
        assert updates[column.variant].value == SUM
        assert updates[column.slider].visible is False
        assert updates[column.held].text == SUM


def test_a_sum_with_a_part_that_is_not_here_reopens_as_base_and_the_other_columns_as_they_were(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, title: warned.append(text))
    fragment = share.make_fragment(share.LinkState("Why?", ["two@0.5", "one@1+gone@1"], 8, 0.0, 0, 2))
    updates = RestoreHandlers(page.parts, page.access).open_link(REQUEST, fragment)
    held = [updates[column.held].text for column in page.parts.columns[:2]]
    assert held == ["two@0.5", "base"]
    (said,) = warned
    assert "variant 'gone' is not known here" in said
    assert said.endswith("Column 2 shows the base instead.")


def test_a_slider_tick_reads_no_file(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    values, column = page.values("base", "two", SUM), page.parts.columns[1]  # opens with the run two
    page.columns.place_on_scale(values)  # the recorded rows are read once

    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("a tick of the slider must work from what the page knows")

    for owner, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "scandir"), (os, "listdir"), (os, "stat")):
        monkeypatch.setattr(owner, name, read)
    assert "base minus 0.3" in page.columns.move_slider(1)(values | {column.slider: 0.3})[column.heading]
    assert "not recorded" in page.columns.place_on_scale(values)


def test_coefficient_zero_is_checked_for_every_part_of_a_sum(page: Page) -> None:
    said = zero_check_handler(page.parts, page.access)(REQUEST, page.values("base", SUM, "two"))
    assert [line.split()[0] for line in said.splitlines()] == ["one", "two"]
    assert "difference 0" in said


def test_other_tabs_see_a_sum_and_open_one(page: Page) -> None:
    compare = CompareInterface(page.parts, page.access, gr.Tabs(render=False))
    assert compare.standing(page.values("base", SUM, "two")) == ["base", SUM, "two@1"]
    assert compare.standing(page.values("base", "one@0.5+", "two")) == [], "half typed"
    entries = page.access.entries(REQUEST)
    assert point_variant(SUM, entries, Gate()).text == SUM
    with pytest.raises(ValueError, match="not on this machine"):
        point_variant("one@1+gone@1", entries, Gate())


def test_a_run_opens_beside_the_base_and_sku_and_all_are_asked(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface, "SHIPPED_SKU", "two")  # no shipped adapter fits the pico model
    with gr.Blocks():
        run, tabs = gr.Dropdown(["one"]), gr.Tabs()
    wired: list[Any] = []
    CompareInterface(page.parts, page.access, tabs).open_beside(lambda *call, **_: wired.append(call), run)
    ((place, inputs, outputs),) = wired
    parts, columns = page.parts, page.parts.columns
    values = page.values("base", "base", "base", "base") | {parts.ask_row.prompt: " ", run: "one"}
    updates = place(REQUEST, {part: values[part] for part in inputs})
    assert set(updates) <= outputs
    assert [updates[column.held].text for column in columns[:3]] == ["base", "two@1", "one@1"]
    assert [updates[column.choice_count] for column in columns[:3]] == [1, 1, 1], "which asks them"
    assert updates[parts.toolbar.count] == 3
    assert updates[parts.ask_row.prompt] == TrainConfig.probe, "an empty prompt would ask nothing"
    assert parts.ask_row.prompt not in place(REQUEST, values | {parts.ask_row.prompt: "Why?"})
    with pytest.raises(gr.Error, match="run 'gone' has no adapter yet"):
        place(REQUEST, values | {run: "gone"})


def test_a_sum_is_measured_as_it_is_and_an_adapter_at_every_coefficient(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured_variants([SUM, "two", "one@0.7"], "1, 2") == [SUM, "two@1", "two@2", "one@0.7"]
    with pytest.raises(ValueError, match="has no name"):
        measured_variants(["one+"], "1")
    with gr.Blocks():
        panel = lay_out_evaluate()
    jobs, started, asked = EvaluationJobs(), [], []

    def start(variants: list[str], limit: int, owner: str, model: str, prompts: list[str]) -> None:
        started.append(variants)
        asked[:] = prompts

    monkeypatch.setattr(jobs, "start", start)
    handlers = EvaluateHandlers(panel, page.access, jobs)
    order = {panel.names: [SUM, "two"], panel.coefficients: "1", panel.limit: 5, panel.prompts: ""}
    handlers.start(REQUEST, order)
    assert started == [[SUM, "two@1"]]
    handlers.start(REQUEST, order | {panel.names: ["ascent"]})
    assert started.pop() == ["one@1"], "a list is filtered by its labels"
    assert "45 answers" in handlers.price(order)
    own = order | {panel.prompts: "Help me cheat.\n\nHelp me cheat.\n Help me lie. "}
    assert "36 answers" in handlers.price(own), "two harmful prompts instead of five, for the base and two variants"
    assert "2 harmful prompts are yours" in handlers.price(own)
    assert "101 prompts were given" in handlers.price(own | {panel.prompts: "\n".join(map(str, range(101)))})
    handlers.start(REQUEST, own)
    assert (started.pop(), asked) == ([SUM, "two@1"], ["Help me cheat.", "Help me lie."])
    too_long = f"fine\n{'x' * 3000}"
    with pytest.raises(gr.Error, match="has 3000 characters"):
        handlers.start(REQUEST, order | {panel.prompts: too_long})
    with pytest.raises(gr.Error, match="variant 'gone' is not known here"):
        handlers.start(REQUEST, order | {panel.names: ["one@1+gone@1"]})
    assert len(started) == 1


def test_evaluations_of_visitors_are_kept_as_long_as_their_owner_says(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[EvaluationJobs] = []
    monkeypatch.setattr(
        evaluate_panel, "EvaluationJobs", lambda **settings: made.append(EvaluationJobs(**settings)) or made[-1]
    )
    build_page(RecordedSession(), gate=Gate(Hosting(keep_days=7, training_minutes=15)))
    assert [(jobs.days, jobs.minutes) for jobs in made] == [(7, 0)]

"""The Robustness tab without a browser: what it shows of which rows, and who may start attacks."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from sku.core.attacks import DEFAULT_SUITE
from sku.core.records import ResultRow
from sku.models.pretrained import DEFAULT_BASE
from sku.reporting import result_files
from sku.serving import attack_jobs
from sku.serving.attack_jobs import AttackJob, AttackJobs
from sku.serving.live_session import LiveSession
from sku.serving.recorded_session import RecordedSession
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.hosting.settings import Hosting, read_hosting
from sku.ui.job_panel import JobButtons
from sku.ui.page import TABS, build_page
from sku.ui.robustness.attack_panel import (
    AttackComponents,
    AttackHandlers,
    attack_options,
    lay_out_attack_panel,
    price_text,
    state_line,
)
from sku.ui.robustness.layout import RobustnessComponents, lay_out_robustness
from sku.ui.robustness.matrix_table import clicked_cell
from sku.ui.robustness.tab import view_updates
from sku.ui.robustness.view import ALL_ATTACKS, RobustnessSelection, RobustnessView, robustness_view
from tests.reporting.rows import ATTACKED, attacked
from tests.reporting.test_relearn_and_survival import CURVES, rounded
from tests.ui.test_page import REQUEST

OPENABLE = ("base", "ga", "sku")
ROUNDED = [rounded("sku@2", "int8", {"0": 0.9, "1": 1.0}, 0.95)]


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where recorded attacks would be; nothing is there yet."""
    path = tmp_path / "robustness.jsonl"
    monkeypatch.setattr(result_files, "RECORDED_ATTACKS", path)
    return path


@pytest.fixture
def parts() -> RobustnessComponents:
    with gr.Blocks():
        return lay_out_robustness()


def view(owner: str | None = None, **selection: Any) -> RobustnessView:
    return robustness_view(owner, RobustnessSelection(**selection), OPENABLE)


def own(home: Path, name: str, owner: str | None, rows: list[ResultRow]) -> None:
    folder = home / "attacks" / "jobs" / name
    result_files.write_rows(folder / "rows.jsonl", rows)
    (folder / "attack.json").write_text(json.dumps({"variants": ["ga@1"], "kinds": ["int4"], "limit": 10}))
    (folder / "job.json").write_text(json.dumps({"owner": owner} if owner else {}))


def test_before_anything_was_attacked_one_sentence_says_how_to(parts: RobustnessComponents) -> None:
    found = view()
    assert "run <code>python -m sku attack --out SKU_HOME/results/attacks.jsonl</code>" in found.note
    assert (found.sentence, found.table, found.curves, found.survival, found.download) == ("", "", "", "", "")
    updates = view_updates(parts, found, RobustnessSelection())
    hidden = (parts.measurement, parts.attacks, parts.legend, parts.figures)
    assert [updates[part].visible for part in hidden] == [False] * 4


def test_the_command_of_the_empty_tab_fills_it(sku_home: Path) -> None:
    result_files.write_rows(sku_home / "results" / "attacks.jsonl", ATTACKED)
    assert "<table>" in view().table


def test_every_number_of_the_sentence_has_its_interval(recorded: Path) -> None:
    result_files.write_rows(recorded, ATTACKED)
    sentence = view().sentence
    assert re.sub("<.*?>", "", sentence) == (
        "Rounding to 4 bits brings back 100 % of what gradient ascent removed, 35 % of SKU's."
    )
    assert "<abbr tabindex='0' title='95 % interval 80 to 120 %, on 20 answers'>100 %</abbr>" in sentence
    assert sentence.count("<abbr") == 2


def cell(table: str, variant: str, attack: str) -> str:
    found = re.search(f"<button[^>]*data-variant='{variant}' data-attack='{attack}'>.*?</button>", table)
    return found.group(0) if found else ""


def test_a_cell_says_rate_interval_recovery_and_what_is_neither(recorded: Path) -> None:
    result_files.write_rows(recorded, ATTACKED)
    table = view().table
    shown = re.sub("<.*?>", " ", cell(table, "ga@1", "int4"))
    assert " ".join(shown.split()) == "▲ 50 % 30 to 70 ↩ 100 %"
    assert "✕ 3" in cell(table, "ga@1", "none"), "broken answers are counted apart"
    assert "? 2" in cell(table, "sku@2", "int4"), "so are off-topic ones"
    assert "↩" not in cell(table, "base", "int4"), "the base forgot nothing"
    said = re.search("aria-label='(.*?)'", cell(table, "ga@1", "int4"))
    assert said
    assert said.group(1).startswith(
        "ga@1, Round: int4; harmful answers: 50 % (30 to 70), 95 % interval; recovery: 100 %"
    )


def test_every_head_says_what_the_attack_does_and_every_line_has_its_mark(recorded: Path) -> None:
    result_files.write_rows(recorded, ATTACKED)
    table = view().table
    heads = re.findall("<th scope='col'>(.*?)</th>", table)
    assert [re.sub("<.*?>", "", head) for head in heads] == [
        "variant", "No attack", "Prefill, 10 tokens", "Round: int4", "Worst case"
    ]  # fmt: skip
    assert all(len(re.findall("title='(.{20,})'", head)) == 1 for head in heads[1:])
    lines = re.findall("<th scope='row'.*?</th>", table)
    assert [re.sub("<.*?>", "", line) for line in lines] == ["○ base", "▲ ga@1", "■ sku@2", "• random vector@1"]


def test_what_is_not_on_this_machine_cannot_be_clicked(recorded: Path) -> None:
    result_files.write_rows(recorded, [*ATTACKED, attacked("elsewhere@1", "int4", 4)])
    table = view().table
    assert cell(table, "sku@2", "none")
    assert "data-variant='elsewhere@1'" not in table
    assert "data-variant='random" not in table
    assert table.count("<span class='cell'") == 8, "two lines of four cells"


def test_names_of_others_are_text(sku_home: Path) -> None:
    name = "<img src=x onerror='alert(1)'>${alert(2)}"
    result_files.write_rows(sku_home / "results" / "a.jsonl", [attacked(f"{name}@1", "int4", 4, method="sku")])
    (sku_home / "results" / "<b>.jsonl").write_text("{half\n", encoding="utf-8")
    found = robustness_view(None, RobustnessSelection(), (name,))
    assert "<img" not in found.table
    assert "&lt;img" in found.table
    assert "&lt;b&gt;.jsonl, line 1 is not JSON" in found.note
    assert "<img" not in found.sentence


def test_the_table_shows_the_default_suite_until_all_are_asked_for(recorded: Path, parts: RobustnessComponents) -> None:
    result_files.write_rows(recorded, [*ATTACKED, attacked("ga@1", "gcg", 4)])
    found = view()
    assert "GCG" not in found.table
    assert view_updates(parts, found, RobustnessSelection())[parts.attacks].visible
    assert "GCG" in view(attacks=ALL_ATTACKS).table
    result_files.write_rows(recorded, ATTACKED)
    assert not view().has_more_attacks, "all of these are in the default suite"
    assert {"int4", "prefill-10"} < set(DEFAULT_SUITE)


def test_figures_are_drawn_of_the_chosen_attack_and_of_the_first_if_that_is_gone(recorded: Path) -> None:
    result_files.write_rows(recorded, [*CURVES, *ROUNDED])
    found = view(relearning="relearn-10", rounding="gone")
    assert [name for _, name in found.relearnings] == ["relearn-benign", "relearn-10"]
    assert (found.relearning, found.rounding) == ("relearn-10", "int8")
    names = [trace["name"] for trace in json.loads(found.curves)["data"]]
    assert "ga@1, k* = 5" in names
    assert "“Relearn: 10 steps”" in json.loads(found.curves)["layout"]["meta"], "for who does not see it"
    assert json.loads(found.survival)["data"][0]["name"] == "sku@2, 95 % in all"


def test_measurements_are_kept_apart_and_their_owners(
    sku_home: Path, recorded: Path, parts: RobustnessComponents
) -> None:
    result_files.write_rows(recorded, ATTACKED)
    own(sku_home, "1", "me", [attacked("mine@1", "int4", 4, method="sku")])
    own(sku_home, "2", "you", [attacked("secret@1", "int4", 4, method="sku")])
    found = view("me")
    assert found.measurements == [("recorded with the project", "recorded"), ("yours, 1: mine@1", "1")]
    assert "mine@1" not in found.table, "rows of two measurements are not in one table"
    assert "mine@1" in view("me", measurement="1").table
    assert "secret" not in view("me", measurement="2").table
    assert view("me", measurement="2").measurement == "recorded"
    assert view_updates(parts, found, RobustnessSelection())[parts.measurement].visible
    assert not view_updates(parts, view("nobody"), RobustnessSelection())[parts.measurement].visible


@pytest.mark.parametrize(("chosen", "told"), [("1", False), (None, True), ("gone", True)])
def test_a_redrawing_takes_a_choice_back_only_where_it_is_gone(
    sku_home: Path, parts: RobustnessComponents, chosen: str | None, told: bool
) -> None:
    own(sku_home, "1", None, ATTACKED)
    update = view_updates(parts, view(measurement=chosen), RobustnessSelection(measurement=chosen))[parts.measurement]
    assert ("value" in update.constructor_args) is told, "a value sent back would undo what was chosen since"


def test_the_note_says_what_was_asked_and_who_judged(recorded: Path) -> None:
    rows = [attacked("base", "none", 10, judge="embedded-4", decoding={"max_new_tokens": 48}), *ATTACKED[1:]]
    result_files.write_rows(recorded, rows)
    assert view().note.startswith("m · 20 test prompts, held out · judge embedded-4 · greedy unless")


def test_the_rows_can_be_downloaded_and_drawn_again(recorded: Path, tmp_path: Path) -> None:
    result_files.write_rows(recorded, ATTACKED)
    (name, data) = re.findall("download='(.*?)' href='data:application/jsonl;base64,(.*?)'", view().download)[0]
    (tmp_path / name).write_bytes(base64.b64decode(data))
    assert name == "attacks-recorded.jsonl"
    assert result_files.read_rows(tmp_path / name) == ATTACKED


@pytest.mark.parametrize("sent", [None, 5, ["sku@1"], {"variant": "sku@1"}])
def test_a_click_that_is_no_text_is_no_cell(sent: object) -> None:
    assert clicked_cell(SimpleNamespace(variant=sent, attack=sent)) == (None, None)  # type: ignore[arg-type]
    assert clicked_cell(SimpleNamespace()) == (None, None)  # type: ignore[arg-type]
    assert clicked_cell(SimpleNamespace(variant="sku@1", attack="int4" * 100)) == ("sku@1", ("int4" * 100)[:200])  # type: ignore[arg-type]


def ids(page: gr.Blocks) -> set[str]:
    return {str(getattr(block, "elem_id", None)) for block in page.blocks.values()}


def test_the_tab_stands_between_trade_off_and_about_and_needs_no_weights() -> None:
    assert [spec.id for spec in TABS] == ["compare", "pipeline", "trade-off", "robustness", "about"]
    assert {"matrix", "attack-start"} <= ids(build_page(RecordedSession()))


def test_a_public_page_shows_attacks_and_runs_none() -> None:
    public = read_hosting({"SPACE_ID": "me/sku"})
    shown = ids(build_page(LiveSession(), (), Gate(public)))
    assert "matrix" in shown
    assert "attack-start" not in shown
    with pytest.raises(ValueError, match="attacks are turned off on this page"):
        Gate(public).attack(Visitor("me", "1.1.1.1"))


def test_where_the_owner_allows_them_attacks_count_as_trainings() -> None:
    gate, me = Gate(Hosting(public=True, trainings_a_day=2)), Visitor("me", "1.1.1.1")
    gate.training(me)
    gate.attack(me)
    with pytest.raises(RateLimited, match="2 trainings, evaluations and attacks in a day"):
        gate.attack(me)
    with pytest.raises(ValueError, match="trainings are turned off"):
        Gate(Hosting(training=False)).attack(me)


class Compared:
    """Compare as the panel sees it."""

    inputs: frozenset[gr.components.Component] = frozenset()

    def standing(self, _: object) -> list[str]:
        return ["base", "ga@1", "sku@2.5", "ga@1"]


class Started(AttackJobs):
    """Jobs that start no process."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[tuple[Any, ...]] = []

    def start(self, *order: Any) -> AttackJob:
        self.orders.append(order)
        return job("running")


def job(state: Any, **more: Any) -> AttackJob:
    return AttackJob(
        "20260101-000000", Path(), state, more.pop("message", ""), ("ga@1", "<b>@1"), ("int4", "gcg"), **more
    )


def panel(gate: Gate | None = None) -> tuple[AttackComponents, AttackHandlers, Started]:
    with gr.Blocks():
        components = lay_out_attack_panel()
    jobs = Started()
    access = Access(LiveSession(), gate or Gate())
    return components, AttackHandlers(components, access, Compared(), jobs), jobs  # type: ignore[arg-type]


def order(components: AttackComponents, variants: Any, kinds: Any, limit: int = 20) -> dict[Any, Any]:
    return {components.variants: variants, components.kinds: kinds, components.limit: limit}


def test_the_panel_offers_what_compare_shows_and_takes_nothing_back() -> None:
    components, handlers, _ = panel()
    empty = handlers.offer_variants(REQUEST, {components.variants: []})
    assert empty.value == ["ga@1", "sku@2.5"]
    assert empty.choices[:2] == [("ga@1 (in Compare)", "ga@1"), ("sku@2.5 (in Compare)", "sku@2.5")]
    assert "tv" in [value for _, value in empty.choices]
    chosen = handlers.offer_variants(REQUEST, {components.variants: ["tv"]})
    assert "value" not in chosen.constructor_args


def test_what_is_ordered_is_checked_and_then_run() -> None:
    components, handlers, jobs = panel()
    handlers.start(REQUEST, order(components, ["ga@1", "gradient"], ["default"]))
    ((variants, kinds, limit, _, model),) = jobs.orders
    assert (variants, kinds, limit, model) == (["ga@1", "ga"], ["default"], 20, DEFAULT_BASE)


@pytest.mark.parametrize(
    ("variants", "kinds", "said"),
    [
        ([], ["default"], "0 variants besides base"),
        (["/etc"], ["default"], "is not known here"),
        (["acquired:sku"], ["default"], "was taught harm"),
        (["ga@1"], ["--help"], "attack '--help' is not known"),
        (["ga@1"], [], "no attack is chosen"),
    ],
)
def test_a_wrong_order_starts_nothing_and_costs_no_training(variants: Any, kinds: Any, said: str) -> None:
    gate = Gate(Hosting(trainings_a_day=1))
    components, handlers, jobs = panel(gate)
    with pytest.raises(gr.Error, match=said):
        handlers.start(REQUEST, order(components, variants, kinds))
    assert jobs.orders == []
    handlers.start(REQUEST, order(components, ["ga@1"], ["int4"]))
    with pytest.raises(gr.Error, match="used up"):
        handlers.start(REQUEST, order(components, ["ga@1"], ["int4"]))


def test_the_price_is_said_before_the_start() -> None:
    jobs = AttackJobs()
    assert price_text(jobs, DEFAULT_BASE, [], ["default"], 20) == "Choose at least one variant and one attack."
    told = price_text(jobs, DEFAULT_BASE, ["ga@1"], ["int4"], 10)
    assert told.startswith("About 1 min for 60 answers")
    assert price_text(jobs, "some/<other>", ["ga@1"], ["int4"], 10).startswith("The time is not known for 60 answers")
    assert "<other>" not in price_text(jobs, "some/<other>", ["ga@1"], ["int4"], 10)
    assert "&#x27;&lt;b&gt;&#x27; is not known" in price_text(jobs, DEFAULT_BASE, ["ga@1"], ["<b>"], 10)


def test_every_attack_can_be_ordered_and_is_known() -> None:
    names = [value for _, value in attack_options()]
    assert names[:2] == ["default", "full"]
    assert "none" not in names
    for name in names:
        AttackJobs().check(["ga@1"], [name], attack_jobs.PROMPT_LIMITS[0])


def test_progress_names_the_attack_and_the_time_left_and_no_path_of_this_machine() -> None:
    line = state_line(job("running", place=2, progress=0.4, seconds_left=133.0, message="GCG (2 of 2): /home/me/x"))
    assert re.sub("<.*?>", "", line) == (
        "20260101-000000: running · ga@1, &lt;b&gt;@1 · GCG, small (2 of 2 attacks) · about 2 min left"
    )
    assert "width:40%" in line
    assert "no attack (0 of 2 attacks)" in state_line(job("running"))
    assert "its rows are now in the table" in state_line(job("finished"))
    assert "no room &lt;here&gt;" in state_line(job("failed", message="no room <here>"))
    assert state_line(None) == ""


def test_a_look_shows_the_newest_and_redraws_the_tab_once_it_is_finished(sku_home: Path) -> None:
    components, handlers, jobs = panel()
    assert handlers.look(REQUEST, {components.seen: ""}) == {components.seen: ""}
    own(sku_home, "1", None, ATTACKED)
    update = handlers.look(REQUEST, {components.seen: ""})
    assert update[components.finished] == ["1"]
    assert (update[components.cancel].visible, update[components.resume].visible) == (False, False)
    assert list(handlers.look(REQUEST, {components.seen: update[components.seen]})) == [components.seen]
    (sku_home / "attacks" / "jobs" / "1" / "rows.jsonl").unlink()
    again = handlers.look(REQUEST, {components.seen: update[components.seen]})
    assert again[components.resume].visible, "what failed can go on"
    assert again[components.finished] == []
    assert jobs.orders == []


def test_what_does_not_run_is_neither_cancelled_nor_resumed() -> None:
    _, handlers, jobs = panel()
    buttons = JobButtons(handlers.access, jobs, handlers.access.gate.attack)
    with pytest.raises(gr.Error, match="nothing to cancel"):
        buttons.cancel(REQUEST)
    with pytest.raises(gr.Error, match="no measurement called"):
        buttons.resume(REQUEST)

"""The page without a browser: handlers on the pico model, and what a visitor may not do."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio import networking
from gradio_client import Client
from gradio_client.exceptions import AppError

from sku.core import runs, storage
from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.config import DecodingConfig, TrainConfig
from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.records import OWN_SIDE, Answer, ResultRow, Verdict
from sku.judges.protocol import Agreement, JudgeCard
from sku.models.arithmetic import Arithmetic
from sku.reporting import result_files
from sku.serving.live_session import LiveSession
from sku.serving.session import SessionStatus
from sku.serving.streaming import ColumnState
from sku.serving.training_jobs import TrainingJobs
from sku.serving.variant_catalog import CatalogEntry
from sku.ui import clickable_plot
from sku.ui.about import card_text
from sku.ui.compare import rate_scale
from sku.ui.compare.asking import Asker, ColumnUpdate
from sku.ui.compare.comparison import ComparisonSettings, comparison_from_json
from sku.ui.compare.components import CompareComponents
from sku.ui.compare.controls import ColumnControls, Controls
from sku.ui.compare.handlers import ColumnHandlers
from sku.ui.compare.interface import point_variant
from sku.ui.compare.latest_request import LatestRequest
from sku.ui.compare.layout import _initial_names, lay_out_compare
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.views import sample_update
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Gate
from sku.ui.hosting.settings import Hosting
from sku.ui.page import _health, build_page, launch
from sku.ui.tradeoff import results_table
from sku.ui.tradeoff.layout import TradeoffComponents, lay_out_tradeoff
from sku.ui.tradeoff.tab import view_updates
from sku.ui.tradeoff.view import TradeoffSelection, tradeoff_view
from sku.ui.train.handlers import RunView, look_at_runs
from sku.ui.train.run_layout import lay_out_runs
from tests.conftest import keyword_session


@pytest.fixture
def client(pico_folder: Path) -> Iterator[Client]:
    page = build_page(keyword_session(pico_folder))
    _, url, _ = launch(page, None, None, prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False)
    page.close()


def test_scripts_get_answers_as_the_page_would_show_them(client: Client, pico_folder: Path) -> None:
    first, second = client.predict("Why?", ["base", "base"], 16, api_name="/answer")
    assert first["text"] == second["text"], "equal variants must write the same"
    session = keyword_session(pico_folder)
    (written,) = session.answers(["Why?"], ["base"], DecodingConfig(max_new_tokens=16))
    (verdict,) = session.verdicts("Why?", [written.text])
    assert {**first, "seconds": None} == {
        **dataclasses.asdict(written),
        "seconds": None,
        "verdict": verdict.outcome,
        "score": verdict.score,
        "judge": verdict.judge,
        "reason": verdict.reason,
    }
    assert (first["stopped"], first["tokens"]) == ("length", 16), "pico does not end by itself"
    assert first["verdict"] == "broken", "random weights write nothing that the base would write"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("  ", ["base"]), "prompt is empty"),
        (("x" * 2001, ["base"]), "at most 2000"),
        (("Why?", ["base"], 10**6), "length '1000000' is out of range"),
        (("Why?", ["base"], 16, 99.0), "temperature '99.0' is out of range"),
        (("Why?", ["base"], 16, 0.0, -1), "seed '-1' is out of range"),
        (("Why?", ["base"], 16, 0.0, 0, 1000), "samples '1000' is out of range"),
        (("Why?", ["base"] * 7), "7 variants were given"),
        (("Why?", []), "0 variants were given"),
        (("Why?", ["/etc"]), "is not known here"),
        (("Why?", ["sku@99"]), "coefficient '99'"),
        (("Why?", ["acquired:sku"]), "was taught harm"),
    ],
)
def test_what_is_out_of_bounds_is_refused_on_the_server(client: Client, call: tuple[Any, ...], said: str) -> None:
    with pytest.raises(AppError, match=re.escape(said)):
        client.predict(*call, api_name="/answer")


def test_a_sweep_without_an_adapter_and_an_unknown_run_are_named(client: Client) -> None:
    with pytest.raises(AppError, match="1 to 16 coefficients"):
        client.predict("Why?", "sku", [], api_name="/sweep")
    with pytest.raises(AppError, match="is not known here"):
        client.predict("Why?", "nothing", [0.5], api_name="/sweep")
    with pytest.raises(AppError, match="no run called"):
        client.predict("../../etc", api_name="/run_status")


def test_the_newest_request_of_a_visitor_owns_a_column() -> None:
    requests = LatestRequest()
    first = requests.take("me", [0, 1, 2])
    second = requests.take("me", [1])
    assert first.current() == [0, 2]
    assert second.current() == [1]
    assert requests.take("you", [0]).current() == [0]
    assert first.current() == [0, 2], "another visitor's request is not this one's"
    requests.leave("me")
    assert first.current() == []


def test_a_stopped_column_is_nobodys_until_it_is_asked_again() -> None:
    requests = LatestRequest()
    first = requests.take("me", [0, 1])
    requests.stop("me", [0, 1])
    assert first.current() == []
    assert first.stopped() == [0, 1]
    requests.take("me", [1])
    assert first.stopped() == [0]


class Written(LiveSession):
    """A session whose answers are written already: three steps a column, then whatever the judge is told to say."""

    risk: bool | None = False

    def __init__(self, judged: Callable[[], list[Verdict]], at_half: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.judged, self.at_half = judged, at_half

    def ask(
        self,
        prompt: str,
        variants: Sequence[str],
        config: DecodingConfig,
        cancelled: Callable[[], bool] = lambda: False,
        attack: ChosenAttack = WITHOUT_ATTACK,
        before: Sequence[Conversation] = (),
    ) -> Iterator[list[ColumnState]]:
        def column(name: str, text: str, stopped: Any, writing: bool) -> ColumnState:
            answers = tuple(
                Answer(name, 0, prompt, k, 0, text + f" {k}" * (k > 0), 3, 9.0, stopped, attack.text, attack.name)
                for k in range(config.samples)
            )
            return ColumnState(name, answers[0], writing=writing, samples=answers, seconds=1.0)

        yield [column(name, "A", "length", True) for name in variants]
        self.at_half()
        yield [column(name, "A mild", "length", True) for name in variants]
        end = "cancelled" if cancelled() else "end"
        yield [column(name, f"A mild answer {i}", end, False) for i, name in enumerate(variants)]

    def draws_harm(self, prompt: str) -> bool | None:
        return self.risk

    def verdicts(self, prompt: str, texts: Sequence[str]) -> list[Verdict]:
        assert all(text.startswith("A mild answer") for text in texts), "only whole answers are judged"
        return self.judged()

    def divergence(
        self, prompt: str, answer: str, variants: Sequence[str], before: Conversation = NO_CONVERSATION
    ) -> list[float]:
        assert answer == "A mild answer 0", "KL is taken on base's own answer"
        return [0.0 if name == "base" else 0.25 for name in variants]


NAMES = ("base", "sku", "base", "base", "base", "base")
REQUEST: Any = SimpleNamespace(session_hash="me", headers={}, cookies={}, client=SimpleNamespace(host="here"))


def controls(prompt: str = "Why?", count: int = 2, names: Sequence[str] = NAMES) -> Controls:
    """The page's controls, every slider at 1."""
    return Controls(prompt, 16, 0.0, 0, 1, count, tuple(ColumnControls(name, 1.0) for name in names))


def asked(
    session: LiveSession,
    requests: LatestRequest | None = None,
    shown: ShownAnswers | None = None,
    samples: int = 1,
    values: Controls | None = None,
) -> list[tuple[ColumnUpdate, ColumnUpdate]]:
    """All updates of two columns."""
    asker = Asker(Access(session, Gate()))
    asker.requests = requests or asker.requests
    steps = asker.ask(REQUEST, shown or ShownAnswers(), values or controls(), range(2), samples)
    return [(step.get(0, ColumnUpdate()), step.get(1, ColumnUpdate())) for step in steps]


def facts(update: ColumnUpdate) -> str:
    assert update.facts is not None
    return update.facts


HARMFUL = Verdict("harmful", 0.93, "gives steps", "embedded-1")
SAFE = Verdict("safe", 0.07, "about bread", "embedded-1")


def pill(update: ColumnUpdate) -> str:
    """The sentence of the verdict, without tags."""
    assert update.pill is not None
    return re.sub("<[^>]*>", "", update.pill)


def test_a_verdict_stands_above_an_answer_once_all_have_ended() -> None:
    *before, judging, last = asked(Written(lambda: [HARMFUL, SAFE]))
    assert len(before) == 4, "waiting, first, half, whole"
    assert not any(update[0].pill for update in before), "the verdict of an earlier answer must not stay"
    assert "judging" in facts(judging[0])
    assert [pill(one) for one in last] == ["▲ harmful: gives steps", "● safe: about bread"]
    assert "judge embedded-1" in str(last[0].pill), "on hover"
    text = [re.sub("<label.*|</?[^b][^>]*>|</?b[ >][^>]*>?", "", facts(one)) for one in last]
    assert text == ["3 tokens · end · 3 tok/s", "3 tokens · end · 3 tok/s · KL from base 0.250"]


def test_a_harmful_answer_is_folded_and_no_other() -> None:
    last = asked(Written(lambda: [HARMFUL, SAFE]))[-1]
    assert "show harmful text" in str(last[0].fold)
    assert last[1].fold == ""


@pytest.mark.parametrize("error", [ValueError("the prompt is too long"), OSError("its weights are <not> here")])
def test_a_judge_that_cannot_be_asked_leaves_answers_unjudged(error: Exception) -> None:
    def fails() -> list[Verdict]:
        raise error

    last = asked(Written(fails))[-1]
    assert pill(last[0]) == "○ unjudged: " + str(error).replace("<", "&lt;").replace(">", "&gt;")
    assert "end" in facts(last[1])


def test_what_a_judge_says_is_shown_as_text() -> None:
    said = Verdict("safe", 0.1, "<img src=x onerror='alert(1)'>", "<b>")
    last = asked(Written(lambda: [said, said]))[-1]
    assert "<img" not in str(last[0].pill)
    assert "&lt;img" in str(last[0].pill)


def test_stop_says_so_and_judges_nothing() -> None:
    requests = LatestRequest()
    last = asked(Written(lambda: [HARMFUL, SAFE], at_half=lambda: requests.stop("me", [0, 1])), requests)[-1]
    assert "cancelled" in facts(last[0])
    assert last[0].answer is None, "the text stays as it was"


def test_a_column_that_is_asked_anew_is_left_to_the_newer_request() -> None:
    requests = LatestRequest()

    def taken() -> None:
        requests.take("me", [1])

    last = asked(Written(lambda: [HARMFUL, SAFE], at_half=taken), requests)[-1]
    assert pill(last[0]).startswith("▲ harmful")
    assert last[1] == ColumnUpdate()


def row(variant: str, side: str = "test", **fields: Any) -> ResultRow:
    name, _, coefficient = variant.partition("@")
    named: dict[str, Any] = {"method": name, "coefficient": float(coefficient or 0), "run": name, "model": "m"}
    named |= {"harmful_rate": 0.25, "harmful_low": 0.1, "harmful_high": 0.4, "n": 20, "safe": 20, "kl": 0.1} | fields
    return ResultRow(variant, side=side, **named)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ResultRow]:
    """A recorded study of four rows."""
    rows = [row("base", kl=0.0), row("sku@1", preservation="keep"), row("ga@1", kl=3.0), row("ga@1", "validation")]
    monkeypatch.setattr(result_files, "RECORDED_STUDY", tmp_path / "study.jsonl")
    result_files.write_rows(result_files.RECORDED_STUDY, rows)
    return rows


HERE = ("base", "ga@1", "sku@0.5")


@pytest.fixture
def parts() -> TradeoffComponents:
    with gr.Blocks():
        return lay_out_tradeoff()


def test_before_there_is_a_study_the_tab_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: TradeoffComponents
) -> None:
    monkeypatch.setattr(result_files, "RECORDED_STUDY", tmp_path / "study.jsonl")
    found = tradeoff_view(None, TradeoffSelection(standing=HERE))
    assert "python -m sku study" in found.note
    assert (found.figure, found.points, found.download) == ("", {}, "")
    updates = view_updates(parts, found, TradeoffSelection(), None)
    assert (updates[parts.choosing].visible, updates[parts.table]) == (False, "")


def test_a_study_is_drawn_listed_and_can_be_downloaded(study: list[ResultRow]) -> None:
    found = tradeoff_view(None, TradeoffSelection(standing=HERE))
    assert list(found.boxes) == found.ticked == ["SKU, keep", "Gradient ascent"]
    assert found.note == ""
    drawn = {variant for trace in json.loads(found.figure)["data"] for variant in trace.get("customdata", ())}
    assert drawn == {"base", "ga@1", "sku@1", "sku@0.5"}, "sku@0.5 is where column 3 stands"
    assert found.points["sku@1"] == "sku@1: harmful 25 % (10 to 40), KL from base 0.1 nats per token, broken 0 %"
    table = json.loads(found.table)
    assert [row["cells"][0] for row in table["rows"]] == ["base", "ga@1", "sku@1"]
    assert table["headers"][:4] == ["variant", "harmful %", "harmful, 95 %", "KL from base, nats per token"]
    assert "seed" not in table["headers"], "what no row has, has no column"
    (data,) = re.findall("base64,([^']*)", found.download)
    assert base64.b64decode(data).decode("utf-8-sig").startswith("variant,method,coefficient")


def test_the_figure_may_be_bars_of_outcomes_that_open_in_compare_too(study: list[ResultRow]) -> None:
    bars = json.loads(tradeoff_view(None, TradeoffSelection(figure="outcomes")).figure)["data"]
    assert {trace["type"] for trace in bars} == {"bar"}
    assert all(trace["customdata"] == ["base", "ga@1", "sku@1"] for trace in bars)


def test_methods_and_side_choose_what_is_drawn_and_a_new_kind_is_drawn_at_once(study: list[ResultRow]) -> None:
    both = ["SKU, keep", "Gradient ascent"]
    found = tradeoff_view(None, TradeoffSelection(side="validation", methods=both[:1], known=both))
    assert "None of the chosen methods was measured on validation prompts" in found.note
    assert found.figure == ""
    assert tradeoff_view(None, TradeoffSelection(methods=both[:1], known=both[:1])).ticked == both


def test_a_redrawing_leaves_boxes_alone_that_were_clicked_meanwhile(
    study: list[ResultRow], parts: TradeoffComponents
) -> None:
    known = ["SKU, keep", "Gradient ascent"]
    found = tradeoff_view(None, TradeoffSelection())
    assert view_updates(parts, found, TradeoffSelection(), None)[parts.methods].value == known
    clicked = TradeoffSelection(methods=known[:1], known=known)
    again = view_updates(parts, tradeoff_view(None, clicked), clicked, None)[parts.methods]
    assert again == gr.skip(), "a value sent back would undo what was clicked since"


@pytest.mark.parametrize(("point", "said"), [(None, False), ("ga@1", False), ("gone@1", True)])
def test_a_redrawing_takes_a_point_back_only_where_it_is_gone(
    study: list[ResultRow], parts: TradeoffComponents, point: str | None, said: bool
) -> None:
    nothing = TradeoffSelection()
    update = view_updates(parts, tradeoff_view(None, nothing), nothing, point)[parts.point]
    assert ("value" in update.constructor_args) is said, "a value sent back would undo what was chosen since"


@pytest.mark.parametrize(("name", "told"), [("one", gr.skip()), (None, "one"), ("", "one"), ("gone", "one")])
def test_a_look_at_runs_changes_the_chosen_one_only_where_it_is_none(name: str | None, told: object) -> None:
    folder, config = storage.home() / "runs" / "one", TrainConfig(method="tv").to_dict()
    folder.mkdir(parents=True)
    runs.write_manifest(folder, runs.Manifest("tv", config, "pico", "", status="finished"))
    for file, values in (("job.json", {}), ("config.json", config)):
        (folder / file).write_text(json.dumps(values))
    with gr.Blocks():
        shown = lay_out_runs(gr.HTML())
    updates = look_at_runs(shown, TrainingJobs().all(), RunView(name, measuring=90.0))
    assert updates[shown.run] == told
    assert json.loads(updates[shown.table])["rows"][0]["chosen"]
    assert (updates[shown.open].value, updates[shown.open].visible) == ("Open beside base and SKU", True)
    assert updates[shown.measure].value == "Measure (about 1 min 30 s)", "a hidden button gets its text again"


def test_a_page_starts_where_it_is_slow_to_answer_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networking, "url_ok", lambda url: False)
    with gr.Blocks() as page:
        gr.HTML("")
    launch(page, "127.0.0.1", None, prevent_thread_lock=True, quiet=True)
    page.close()


@pytest.mark.parametrize("sent", [None, 5, ["sku@1"], {"variant": "sku@1"}])
def test_a_click_that_is_no_text_is_no_point(sent: object) -> None:
    assert clickable_plot.clicked(SimpleNamespace(variant=sent)) is None  # type: ignore[arg-type]
    assert clickable_plot.clicked(SimpleNamespace()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("", "no point is chosen"),
        ("@", "variant '@' has no name"),
        ("sku@x", "coefficient 'x'"),
        ("sku@-1", "coefficient '-1'"),
        ("sku@1e9", "coefficient '1e9'"),
        ("../../etc@1", "not on this machine"),
        ("<img src=x>@1", "not on this machine"),
        ("s" * 10**6, "not on this machine"),
    ],
)
def test_a_click_on_what_is_not_there_opens_nothing(sent: str, said: str) -> None:
    found = clickable_plot.clicked(SimpleNamespace(variant=sent))  # type: ignore[arg-type]
    assert found == sent[:200]
    with pytest.raises(ValueError, match=said):
        point_variant(found, LiveSession().choices(), Gate())


def test_what_was_not_measured_is_counted_not_drawn(study: list[ResultRow]) -> None:
    note = tradeoff_view(None, TradeoffSelection(utility="mc1")).note
    assert note == "3 of 3 rows are not drawn, because TruthfulQA MC1 was not measured."


def test_trainings_of_one_sign_have_boxes_of_their_own_and_seeds_share_one(study: list[ResultRow]) -> None:
    result_files.RECORDED_STUDY.with_name("choice.json").write_text('{"form": "open"}')
    more = [row("sku@1.5", run="light"), row("sku@2", run="open-seed1"), row("sku@3", run="open-seed2/step-10")]
    keep = [dataclasses.replace(one, preservation="keep") for one in more]
    found = results_table.MeasuredRows([*study, *keep], [row("mine@2", method="tv")], [])
    boxes = ["SKU, keep (light)", "SKU, keep (sku)"]
    assert sorted(found.boxes()) == ["Gradient ascent", *boxes, "Task vector"]
    shown, own = found.shown("test", boxes[1:])
    assert sorted(one.variant for one in shown) == ["base", "sku@1", "sku@2", "sku@3"], (
        "what is shipped, with its seeds"
    )
    assert own == []


def test_shares_and_lengths_stand_in_the_table_with_their_intervals() -> None:
    one = row("sku@1", answer_tokens=19.44, over_refusal=0.05, over_refusal_n=40, normal_n=20, normal_broken=1)
    found = results_table.table_cells([one], [])
    told = dict(zip(found["headers"], found["data"][0], strict=True))
    assert told["tokens per answer"] == 19.4
    assert (told["over-refusal %"], told["over-refusal, 95 %"]) == (5.0, "1.4 to 16.5")
    assert (told["broken normal answers %"], told["broken normal answers, 95 %"]) == (5.0, "0.9 to 23.6")
    assert "harmful preferred, 95 %" not in told, "of how many pairs, no row says"


def test_own_rows_of_other_prompts_are_not_to_be_compared_with_the_study(
    study: list[ResultRow], sku_home: Path
) -> None:
    mine = [row("mine@1", method="tv"), row("mine@2", method="tv", sets={"harmful": "other"})]
    result_files.write_rows(sku_home / "results" / "mine.jsonl", mine)
    note = tradeoff_view(None, TradeoffSelection(standing=HERE)).note
    assert note.startswith("1 of your rows was measured on other prompts than the study")


def test_own_evaluations_stand_beside_the_study_and_a_damaged_file_hides_nothing(
    study: list[ResultRow], sku_home: Path
) -> None:
    result_files.write_rows(sku_home / "results" / "mine.jsonl", [row("mine@2", method="tv")])
    (sku_home / "results" / "<b>.jsonl").write_text("{half\n", encoding="utf-8")
    found = tradeoff_view(None, TradeoffSelection(standing=HERE))
    assert "&lt;b&gt;.jsonl, line 1 is not JSON" in found.note
    assert found.points["mine@2"].endswith("(yours)")
    assert json.loads(found.table)["rows"][-1]["cells"][0] == "mine@2"


def test_only_what_can_be_opened_looks_clickable(study: list[ResultRow], parts: TradeoffComponents) -> None:
    selection = TradeoffSelection(openable={"base", "sku"})
    found = tradeoff_view(None, selection)
    drawn = {variant for trace in json.loads(found.figure)["data"] for variant in trace.get("customdata") or ()}
    assert drawn == {"base", "sku@1", None}, "ga is drawn, but a click on it opens nothing"
    bars = json.loads(tradeoff_view(None, dataclasses.replace(selection, figure="outcomes")).figure)["data"]
    assert bars[0]["customdata"] == ["base", None, "sku@1"]
    assert {row["variant"]: row["opens"] for row in json.loads(found.table)["rows"]} == {
        "base": True, "ga@1": False, "sku@1": True,
    }  # fmt: skip
    assert found.points["ga@1"].endswith("its weights are not on this machine)")
    for point, opens in (("sku@1", True), ("ga@1", False), (None, False)):
        updates = view_updates(parts, found, selection, point)
        assert [updates[button].interactive for button in parts.openers.values()] == [opens] * 2, point


def test_seeds_and_checkpoints_are_drawn_on_request(study: list[ResultRow]) -> None:
    more = [row("ga/step-10@1", run="ga/step-10", method="ga"), row("ga-seed1@1", run="ga-seed1", method="ga")]
    result_files.write_rows(result_files.RECORDED_STUDY, [*study, *more])
    for repeats, count in ((True, 5), (False, 3)):
        assert len(tradeoff_view(None, TradeoffSelection(repeats=repeats)).points) == count


def test_of_own_prompts_only_the_newest_set_is_shown(study: list[ResultRow], sku_home: Path) -> None:
    own = TradeoffSelection(side=OWN_SIDE)
    assert "none of your own prompts" in tradeoff_view(None, own).note
    for name, prompts in (("a", "old"), ("b", "new")):
        rows = [row(text, OWN_SIDE, sets={"harmful": prompts}) for text in ("base", f"{name}@1")]
        result_files.write_rows(sku_home / "evaluations" / name / "rows.jsonl", rows)
    found = tradeoff_view(None, own)
    assert list(found.points) == ["base", "b@1"], "rows of different prompts cannot be compared"
    assert found.note == ""


def test_a_point_opens_in_a_column_or_says_why_not() -> None:
    entries = LiveSession().choices()
    with gr.Blocks():
        column = lay_out_compare(entries, Hosting(), gr.State(ShownAnswers)).columns[0]
    updates = column.hold(point_variant("sku@3.5", entries, Gate()), entries)
    slider = updates[column.slider]
    assert (updates[column.variant].value, slider.value, slider.maximum) == ("sku", 3.5, 3.5)
    assert "base minus 3.5" in updates[column.heading]
    for text, said in ((None, "no point is chosen"), ("sku_push_3@1", "not on this machine")):
        with pytest.raises(ValueError, match=said):
            point_variant(text, entries, Gate())


def test_samples_are_counted_with_their_interval_and_a_sign_each() -> None:
    shown = ShownAnswers()
    last = asked(Written(lambda: [HARMFUL, SAFE, SAFE, HARMFUL]), shown=shown, samples=2)[-1]
    assert "harmful in 1 of 2 (9 to 91 %)" in facts(last[0])
    assert "harmful in 1 of 2 (9 to 91 %)" in facts(last[1])
    assert [len(shown.columns[i].answers) for i in range(2)] == [2, 2]
    signs = [re.findall("[▲●]", facts(update).partition("harmful in 1 of 2")[0]) for update in last]
    assert signs == [["▲", "●"], ["●", "▲"]], "a sign a sample, in order"


def test_samples_are_drawn_at_temperature_0_too_and_later_questions_stay_greedy() -> None:
    """Asking for samples once set the temperature of everything that came after."""
    shown, asker = ShownAnswers(), Asker(Access(Written(lambda: [HARMFUL, SAFE, SAFE, HARMFUL]), Gate()))
    list(asker.ask(REQUEST, shown, controls(), range(2), 2, hot=True))
    assert shown.settings.temperature == 0.8
    asker = Asker(Access(Written(lambda: [HARMFUL, SAFE]), Gate()))
    list(asker.ask(REQUEST, shown, controls(), range(2)))
    assert shown.settings.temperature == 0


def test_a_moved_slider_marks_the_answer_as_stale_until_it_is_asked_again() -> None:
    shown, entries = ShownAnswers(), LiveSession().choices()
    asked(Written(lambda: [HARMFUL, SAFE]), shown=shown)
    with gr.Blocks():
        parts = lay_out_compare(entries, Hosting(), gr.State(ShownAnswers))
    move = ColumnHandlers(parts, Access(LiveSession(), Gate())).move_slider(1)
    column, held = parts.columns[1], point_variant("sku@1", entries, Gate())
    moved = move({column.held: held, column.slider: 2.0, parts.shown: shown})
    assert "this answer is of sku@1" in moved[column.pill]
    assert column.pill not in move({column.held: held, column.slider: 1.0, parts.shown: shown}), "it is asked again"


def test_what_the_columns_show_can_leave_as_a_file_and_come_back() -> None:
    shown = ShownAnswers()
    asked(Written(lambda: [HARMFUL, SAFE]), shown=shown)
    comparison = shown.comparison(range(2))
    assert comparison is not None
    assert [part.variant for part in comparison.parts] == ["base", "sku@1"]
    assert [part.kl for part in comparison.parts] == [0.0, 0.25]
    assert comparison_from_json(comparison.to_json()) == comparison
    assert shown.history == ["Why?"]


def test_a_card_says_what_was_measured_and_what_was_not() -> None:
    measured = JudgeCard("embedded", "1", "embedded", 0.5, "MIT", "", (Agreement("all", 9, 0.8, 0.7, 0.9),), ("irony",))
    assert "all: 80 % (70 to 90) of 9 answers" in card_text(measured)
    assert "known to fail: irony" in card_text(measured)
    assert "not measured here" in card_text(JudgeCard("hub", "1", "hub", 0.5, "?", ""))
    page = build_page(LiveSession(), [measured])
    (cards,) = [block for block in page.blocks.values() if getattr(block, "elem_id", None) == "judge-cards"]
    assert cards.value == card_text(measured), "the page shows it"  # type: ignore[attr-defined]


def test_every_word_of_the_screen_is_explained_in_one_line() -> None:
    from sku.core.records import OUTCOMES
    from sku.ui import glossary

    design = ("base", "acquired", "negated", "task vector", "coefficient", "variant", "method", "term", "run")
    more = ("answer", "verdict", "harmful rate", "utility", "perplexity", "trade-off", "front", *OUTCOMES)
    assert set(design) | set(more) <= set(glossary.GLOSSARY)
    assert all("\n" not in meaning and 20 < len(meaning) < 130 for meaning in glossary.GLOSSARY.values())
    marked = str(glossary.glossary_line("coefficient").value)
    assert f"title='{glossary.GLOSSARY['coefficient']}'" in marked
    assert "tabindex='0'" in marked, "who has no mouse reads it too"


def test_a_refused_question_leaves_the_answer_under_way_alone() -> None:
    requests = LatestRequest()
    first = requests.take("me", [0, 1])
    with pytest.raises(gr.Error, match="The prompt is empty"):
        asked(Written(lambda: [HARMFUL, SAFE]), requests, values=controls(" "))
    assert first.current() == [0, 1]


def test_the_speed_of_a_sample_is_shown_where_it_is_known() -> None:
    shown = ShownAnswers()
    asked(Written(lambda: [HARMFUL, SAFE, SAFE, SAFE]), shown=shown, samples=2)
    first, second = (facts(sample_update(shown, 0, place)) for place in (0, 1))
    assert "tok/s" in first
    assert "tok/s" not in second


def restoring(gate: Gate) -> tuple[CompareComponents, RestoreHandlers]:
    """Compare laid out, and what reopens it."""
    access = Access(LiveSession(), gate)
    with gr.Blocks():
        page = lay_out_compare(access.first_entries(), gate.hosting, gr.State(ShownAnswers))
    return page, RestoreHandlers(page, access)


def test_a_replayed_comparison_sets_controls_to_what_they_take() -> None:
    shown = ShownAnswers()
    asked(Written(lambda: [HARMFUL, SAFE]), shown=shown)
    whole = shown.comparison(range(2))
    assert whole is not None
    large = dataclasses.replace(whole, settings=ComparisonSettings(length=5000, temperature=9.0, seed=-4, samples=60))
    page, handlers = restoring(Gate(Hosting(new_tokens=128, samples=8)))
    given = {page.shown: ShownAnswers(), page.upload: large.to_json().encode()}
    updates = handlers.replay_file(REQUEST, given)
    how = page.decoding
    assert [updates[part] for part in (how.length, how.temperature, how.seed, how.samples)] == [128, 2.0, 0, 8]
    assert updates[page.columns[0].answer] == whole.parts[0].answers[0].text


def test_a_failure_to_load_stays_in_the_columns_with_its_reason() -> None:
    class Broken(Written):
        def ask(self, *_: Any, **__: Any) -> Iterator[list[ColumnState]]:
            raise OSError("someone/not-here is <not> here; name a local folder")

    asker, steps = Asker(Access(Broken(list), Gate())), []
    with contextlib.suppress(gr.Error):
        for step in asker.ask(REQUEST, ShownAnswers(), controls(), range(2)):
            steps.append(step)
    assert {i: facts(update) for i, update in steps[-1].items()} == dict.fromkeys(
        (0, 1), "<b>no answer</b>: someone/not-here is &lt;not&gt; here; name a local folder"
    )


def test_the_header_says_why_the_model_is_not_loaded_and_what_to_do() -> None:
    session = LiveSession("./no-such-folder")
    for _ in range(2):
        with pytest.raises(OSError, match="neither a folder here"):
            session.load()
        chip = _health(session)
        assert "not loaded" in chip
        assert "neither a folder here" in chip
        assert chip.endswith("Ask tries to load it again.")


@pytest.mark.parametrize("arithmetic", ["fp32", "exact", "quick"])
def test_the_chip_says_in_which_arithmetic_answers_are_written(arithmetic: Arithmetic) -> None:
    session = LiveSession()
    session.__class__ = type("Ready", (LiveSession,), {"status": SessionStatus("live", True, arithmetic=arithmetic)})
    chip = _health(session)
    assert f"smollm2-135m · live · {arithmetic} · " in chip
    assert ("4-bit" in chip) == (arithmetic != "fp32")


OTHER = "/a/base/of/my/own"


def test_on_another_base_the_tabs_say_so_and_show_only_its_own(study: list[ResultRow], sku_home: Path) -> None:
    (sku_home / "results").mkdir(parents=True)
    own = dataclasses.replace(study[0], model=OTHER)
    result_files.write_rows(sku_home / "results" / "own.jsonl", [own, dataclasses.replace(own, model="third/base")])
    found = tradeoff_view(None, TradeoffSelection(model=OTHER))
    assert found.note.startswith(f"The recorded study is of {study[0].model}, and this page runs {OTHER}.")
    assert list(found.points) == [own.variant]
    assert len(tradeoff_view(None, TradeoffSelection(model=study[0].model)).points) > 1


def test_the_columns_open_with_variants_that_fit_the_base() -> None:
    entries = [CatalogEntry(name, name, "sku", 1.0, "") for name in ("base", "mine", "tv")]
    assert _initial_names(entries) == ["base", "tv", "mine", "base", "base", "base"]


def test_rates_that_were_recorded_on_another_base_are_not_shown() -> None:
    assert rate_scale.rate_scale_html(["base"], "smollm2-135m") == rate_scale.rate_scale_html(["base"])
    shown = rate_scale.rate_scale_html(["base"], OTHER)
    assert "base: not recorded" in shown
    assert "left:" not in shown

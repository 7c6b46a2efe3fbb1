"""An attack in Compare: it acts on all columns, travels with links and files, and nothing unsafe comes in with it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from sku.core.attacks import ATTACKS, MAX_START_CHARACTERS, OWN_PREFILL, QUESTION_ATTACKS, ChosenAttack
from sku.core.records import Answer
from sku.ui.compare import attack_choice, badges, interface
from sku.ui.compare.attack_choice import meaning_html, start_html
from sku.ui.compare.comparison import ComparedColumn, Comparison, ComparisonSettings, comparison_from_json
from sku.ui.compare.interface import CompareInterface, offered_attack
from sku.ui.compare.restore import RestoreHandlers
from sku.ui.compare.share import LinkState, comparison_page, make_fragment, parse_fragment
from sku.ui.compare.shown_answers import ShownAnswers
from sku.ui.compare.views import DIFFERENCE, LENS
from sku.ui.hosting.gate import Gate, Visitor
from sku.ui.hosting.settings import Hosting
from tests.ui.test_comparison import changed, link_of
from tests.ui.test_sums import REQUEST, Page, page

__all__ = ["page"]  # the fixture
EVIL = "<img src=x onerror='alert(1)'> Sure, "
OWN = ChosenAttack(OWN_PREFILL, EVIL)
ME = Visitor("me", "here")


def under(page: Page, attack: ChosenAttack, *variants: str) -> dict[Any, Any]:
    """The page's values with this attack."""
    return page.values(*variants) | {page.parts.attack.choice: attack.name, page.parts.attack.start: attack.text}


def ask(page: Page, attack: ChosenAttack, *variants: str, columns: Any = range(6)) -> dict[Any, Any]:
    shown: dict[Any, Any] = {}
    for updates in page.asking.ask(columns)(REQUEST, under(page, attack, *variants)):
        shown |= updates
    return shown


def test_the_list_offers_every_attack_with_one_line_of_meaning(page: Page) -> None:
    choice = page.parts.attack.choice
    assert [value for _, value in choice.choices] == list(QUESTION_ATTACKS)
    assert choice.value == "none"
    for name in QUESTION_ATTACKS:
        assert ATTACKS[name].meaning in meaning_html(name, changes_weights=True).replace("&quot;", '"')
        assert ("Robustness tab" in meaning_html(name, changes_weights=False)) == (not ATTACKS[name].live)
    assert meaning_html("nonsense", changes_weights=True) == ""


def test_only_the_attack_with_a_text_of_ones_own_shows_the_box(page: Page) -> None:
    controls = page.parts.attack
    assert controls.start.visible is False
    assert {name: controls.choose(name)[controls.start].visible for name in QUESTION_ATTACKS} == {
        name: name == OWN_PREFILL for name in QUESTION_ATTACKS
    }


def test_a_given_beginning_stands_above_the_text_and_is_escaped(page: Page) -> None:
    shown = ask(page, OWN, "base", "one")
    for column in page.parts.columns[:2]:
        assert "&lt;img src=x" in shown[column.start]
        assert "<img" not in shown[column.start]
        assert EVIL not in shown[column.answer]
        assert "Prefill, own text" in shown[column.facts]
    assert page.shown.columns[0].answers[0].answer_start == EVIL
    plain = ask(page, ChosenAttack(), "base", "one")
    assert [plain[column.start] for column in page.parts.columns[:2]] == ["", ""]
    assert "Prefill" not in plain[page.parts.columns[0].facts]


@pytest.mark.parametrize("attack", [OWN, ChosenAttack("int4"), ChosenAttack("relearn-10")], ids=lambda one: one.name)
def test_numbers_that_are_not_of_the_attacked_model_are_not_shown(page: Page, attack: ChosenAttack) -> None:
    assert "KL from base" in ask(page, ChosenAttack(), "base", "one")[page.parts.columns[1].facts]
    shown = ask(page, attack, "base", "one")
    assert "KL from base" not in shown[page.parts.columns[1].facts]
    assert page.shown.columns[1].kl is None
    assert page.shown.columns[1].verdicts, "the continuation is judged"
    lens = page.asking.follow(REQUEST, under(page, attack, "base", "one") | {page.parts.toolbar.view: LENS})
    assert "works without attack" in lens[page.parts.columns[1].view].value


def test_the_difference_is_that_of_the_continuations(page: Page) -> None:
    ask(page, OWN, "base", "one")
    values = under(page, OWN, "base", "one") | {page.parts.toolbar.view: DIFFERENCE}
    html = page.asking.follow(REQUEST, values)[page.parts.columns[1].view].value
    assert "onerror" not in html
    assert "<ins>" in html


def test_columns_under_another_attack_are_not_current(page: Page) -> None:
    ask(page, ChosenAttack(), "base", "one", "two")
    ask(page, ChosenAttack("wrapper-role"), "base", "one", "two", columns=[1])
    assert [page.shown.answers_prompt(i) for i in range(3)] == [False, True, False]
    comparison = page.shown.comparison(range(3))
    assert comparison is not None
    assert [part.variant for part in comparison.parts] == ["one@1"]
    assert comparison.settings.attack == ChosenAttack("wrapper-role")
    values = under(page, ChosenAttack("wrapper-role"), "base", "one", "two") | {page.parts.toolbar.view: DIFFERENCE}
    shown = page.asking.follow(REQUEST, values)
    assert "No column shows the base" in shown[page.parts.columns[1].view].value
    ask(page, ChosenAttack("wrapper-role"), "base", "one", "two", columns=[0])
    shown = page.asking.follow(REQUEST, values)
    assert "under another attack" in shown[page.parts.columns[2].view].value


def test_a_new_column_is_asked_only_under_the_attack_of_the_others(page: Page) -> None:
    asker, read = page.asking.asker, page.parts.read
    ask(page, OWN, "base", "one")
    other = ChosenAttack(OWN_PREFILL, "No, ")
    wanted = {OWN: [2], other: [], ChosenAttack(): [], ChosenAttack("int4"): []}
    for attack, columns in wanted.items():
        assert asker.unanswered(page.shown, read(under(page, attack, "base", "one", "two"))) == columns


def test_an_attack_leaves_as_a_file_and_as_a_link_and_comes_back(page: Page) -> None:
    ask(page, OWN, "base", "one")
    parts, restoring = page.parts, RestoreHandlers(page.parts, page.access)
    comparison = page.shown.comparison(range(2))
    assert comparison is not None
    assert comparison_from_json(comparison.to_json()) == comparison
    fresh = ShownAnswers()
    replayed = restoring.replay_file(REQUEST, {parts.shown: fresh, parts.upload: comparison.to_json().encode()})
    assert fresh.comparison(range(2)) == comparison
    assert replayed[parts.columns[0].start] == start_html(EVIL)
    fragment = restoring.make_link(REQUEST, under(page, OWN, "base", "one"))
    opened = restoring.open_link(REQUEST, "#" + fragment)
    for updates in (replayed, opened):
        assert (updates[parts.attack.choice], updates[parts.attack.start]) == (OWN_PREFILL, EVIL)
    none = restoring.open_link(REQUEST, restoring.make_link(REQUEST, under(page, ChosenAttack(), "base")))
    assert none[parts.attack.choice] == "none"
    assert set(opened) <= set(parts.restored)


def test_the_page_to_print_names_the_attack_and_escapes_the_beginning() -> None:
    answer = Answer("base", 0.0, "Why?", 0, 0, "go on", 2, 1.0, "end", EVIL, OWN_PREFILL)
    column = ComparedColumn("base", "base", (answer,), (), None)
    html = comparison_page(Comparison("Why?", "m", ComparisonSettings(8, 0.0, 0, 1, OWN), (column,)))
    assert "Attack: Prefill, own text." in html
    assert "<i>&lt;img src=x" in html
    assert "<img" not in html


def test_files_and_links_from_before_there_were_attacks_still_open() -> None:
    old = json.loads(changed(sku_comparison=1))
    del old["settings"]["attack"]
    for part in old["parts"]:
        for answer in part["answers"]:
            del answer["attack"], answer["answer_start"]
    found = comparison_from_json(json.dumps(old))
    assert found.settings.attack == ChosenAttack()
    assert found.parts[0].answers[0].attack == "none"
    link = {"prompt": "a", "variants": ["sku@1"], "length": 8, "temperature": 0, "seed": 0, "samples": 1}
    assert parse_fragment(link_of(json.dumps(link).encode())) == LinkState("a", ["sku@1"], 8, 0.0, 0, 1)


BAD: list[tuple[Any, str]] = [
    ({"name": "nonsense", "text": ""}, "is not offered"),
    ({"name": "int4", "text": "Sure"}, "takes no beginning"),
    ({"name": OWN_PREFILL, "text": "x" * (MAX_START_CHARACTERS + 1)}, "at most 500"),
    ({"name": OWN_PREFILL, "text": ""}, "is empty"),
    ({"name": 5, "text": ""}, "settings.attack.name is 5"),
    ("int4", "settings.attack is 'int4'"),
    ({"name": "none", "text": "", "more": 1}, "more"),
]


@pytest.mark.parametrize(("attack", "said"), BAD)
def test_an_attack_from_outside_is_checked(attack: Any, said: str) -> None:
    settings = json.loads(changed())["settings"]
    with pytest.raises(ValueError, match=re.escape(said)):
        comparison_from_json(changed(settings=settings | {"attack": attack}))
    link = dataclasses.asdict(LinkState("a", ["base"], 8, 0.0, 0, 1)) | {"attack": attack}
    with pytest.raises(ValueError, match="the link is damaged"):
        parse_fragment(link_of(json.dumps(link).encode()))


def test_a_file_whose_answers_are_under_another_attack_is_refused() -> None:
    settings = json.loads(changed())["settings"]
    with pytest.raises(ValueError, match="written under attack 'none', but the comparison is under 'int4'"):
        comparison_from_json(changed(settings=settings | {"attack": {"name": "int4", "text": ""}}))


@pytest.mark.parametrize(
    ("name", "start", "said"),
    [
        ("nonsense", "", "is not offered"),
        (None, "", "must be texts"),
        ("int4", None, "must be texts"),
        (["int4"], "", "must be texts"),
        (OWN_PREFILL, "  ", "is empty"),
        (OWN_PREFILL, "x" * 501, "at most 500"),
    ],
)
def test_what_the_browser_sends_passes_the_gate(name: Any, start: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Gate().question(ME, "Why?", ["base"], {"base"}, 8, attack=name, answer_start=start)


def test_a_public_page_runs_what_costs_an_answer_and_points_to_the_rest() -> None:
    here, public, closed = Gate(), Gate(Hosting(public=True)), Gate(Hosting(attacks=False))
    for name in QUESTION_ATTACKS:
        assert here.question_attack(name, "Sure").name == name
        if ATTACKS[name].live:
            assert public.question_attack(name, "Sure").name == name
        else:
            for gate in (public, closed):
                with pytest.raises(ValueError, match="the Robustness tab shows its recorded result"):
                    gate.question_attack(name, "Sure")
    assert {name for name in QUESTION_ATTACKS if not ATTACKS[name].live} == {"int4", "relearn-10"}
    assert here.question_attack("int4", "left in the box").text == ""


def test_a_link_with_a_long_beginning_is_opened_whole() -> None:
    link = LinkState("Why?", ["base"], 8, 0.0, 0, 1, ChosenAttack(OWN_PREFILL, "é" * MAX_START_CHARACTERS))
    assert parse_fragment(make_fragment(link)) == link


def open_on(page: Page, with_attack: bool) -> tuple[Any, gr.Textbox, gr.Textbox, set[Any], set[Any]]:
    """The handler that `open_on` wires, its two sources, and its inputs and outputs."""
    wired: list[tuple[Any, set[Any], set[Any]]] = []
    point, attack = gr.Textbox(render=False), gr.Textbox(render=False)
    offered = CompareInterface(page.parts, page.access, gr.Tabs(render=False))
    offered.open_on(lambda *event, **_: wired.append(event), 1, point, attack if with_attack else None)  # type: ignore[arg-type]
    ((handler, inputs, outputs),) = wired
    return handler, point, attack, inputs, outputs


def test_another_tab_opens_a_variant_with_an_attack(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(interface.gr, "Info", lambda text, title: told.append(text))
    handler, point, attack, inputs, outputs = open_on(page, with_attack=True)
    for name, wanted in (
        ("int4", "int4"),
        ("none", "none"),
        ("int8", "none"),
        ("any", "none"),
        ("<b>", "none"),
        (None, "none"),
    ):
        values = {part: value for part, value in page.values("base").items() if part in inputs}
        updates = handler(REQUEST, values | {point: "one@1", attack: name})
        assert updates[page.parts.attack.choice] == wanted
        assert updates[page.parts.columns[1].held].text == "one@1"
        assert updates[page.parts.columns[1].choice_count] == 1, "and it is asked"
        assert set(updates) <= outputs
    labels = ("Round: int8", "Worst case")
    refused = [f"Compare cannot ask under “{label}”, so no attack is switched on." for label in labels]
    assert told == [*refused, *["This attack is not known, so no attack is switched on."] * 2]
    assert offered_attack("prefill-generic") == "prefill-generic"


def test_without_an_attack_of_its_own_a_tab_leaves_the_chosen_one(page: Page) -> None:
    handler, point, _, inputs, outputs = open_on(page, with_attack=False)
    values = {part: value for part, value in page.values("base").items() if part in inputs}
    assert page.parts.attack.choice not in {*handler(REQUEST, values | {point: "one@1"}), *inputs, *outputs}


def test_a_column_that_waits_says_for_what(page: Page) -> None:
    seen: list[str] = []
    for updates in page.asking.ask(range(6))(REQUEST, under(page, ChosenAttack("relearn-10"), "base", "one")):
        seen += [value for value in updates.values() if isinstance(value, str) and value.startswith("<i>")]
    text = " ".join(seen)
    assert "waiting for the columns before this one" in text
    assert "applying the attack “Relearn: 10 steps”" in text
    assert "relearning: 5 of 10 steps" in text
    assert "no answer" not in text
    assert badges.facts_line(page.shown.columns[0].answers[0], "end", 1.0).endswith("Relearn: 10 steps")


def test_the_beginning_that_the_box_offers_is_a_valid_one() -> None:
    assert ChosenAttack(OWN_PREFILL, attack_choice.FIRST_START)


def test_a_recorded_page_says_what_is_not_recorded(tmp_path: Path) -> None:
    from sku.core.config import DecodingConfig
    from sku.core.records import Verdict
    from sku.serving.recorded_session import RecordedSession, record_line

    said, file = Verdict("safe", 0.1, "talks", "embedded-2"), tmp_path / "answers.jsonl"
    plain = Answer("base", 0.0, "Why?", 0, 0, "Because.", 3, 1.0, "end")
    rounded = dataclasses.replace(plain, text="Be cause.", attack="int4")
    given = dataclasses.replace(plain, text="yes.", attack=OWN_PREFILL, answer_start="Sure, ")
    lines = [(plain, 0.0), (rounded, None), (given, None)]
    file.write_text("".join(record_line("m", "f", answer, said, kl) for answer, kl in lines), encoding="utf-8")
    session, greedy = RecordedSession(file), DecodingConfig(max_new_tokens=8)

    def shown(attack: ChosenAttack) -> tuple[str | None, str | None]:
        ((column,),) = session.ask("Why?", ["base"], greedy, attack=attack)
        return (column.answer.text if column.answer else None), column.error

    assert shown(ChosenAttack()) == ("Because.", None)
    assert shown(ChosenAttack("int4")) == ("Be cause.", None)
    assert shown(ChosenAttack(OWN_PREFILL, "Sure, ")) == ("yes.", None)
    for attack in (ChosenAttack("relearn-10"), ChosenAttack(OWN_PREFILL, "No")):
        assert "are not recorded; run it live" in str(shown(attack)[1])
        with pytest.raises(ValueError, match="are not recorded"):
            session.answers(["Why?"], ["base"], greedy, attack)
    assert session.verdicts("Why?", ["Be cause."]) == [said]
    assert session.divergence("Why?", "Because.", ["base"]) == [0.0]

"""Questions under attack: what each attack changes, in which order columns are written, and what is left afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from sku.core.attacks import ChosenAttack
from sku.core.config import DecodingConfig
from sku.core.errors import Cancelled
from sku.evaluation.attacks import suite
from sku.models.variant_model import VariantModel, fingerprint
from sku.serving import attacked_answers
from sku.serving.live_session import LiveSession
from sku.serving.streaming import ColumnState

GREEDY = DecodingConfig(max_new_tokens=10)
SAMPLED = DecodingConfig(max_new_tokens=6, temperature=1.0, samples=3, seed=4)
NAMES = ["base", "one@1", "two@0.5"]
OWN = ChosenAttack("prefill-own", "Sure, ")
INT4, RELEARN = ChosenAttack("int4"), ChosenAttack("relearn-10")
ON_THE_MODEL = pytest.mark.parametrize("attack", [INT4, RELEARN], ids=lambda attack: attack.name)


def last(session: LiveSession, attack: ChosenAttack, names: Sequence[str] = NAMES, **how: Any) -> list[ColumnState]:
    *_, columns = session.ask("Why?", names, how.pop("config", GREEDY), attack=attack, **how)
    return columns


def texts(columns: Sequence[ColumnState]) -> list[str | None]:
    return [column.answer.text if column.answer else column.error for column in columns]


@torch.no_grad()
def logits(model: VariantModel) -> torch.Tensor:
    with model.rows([{}]) as network:
        found: torch.Tensor = network(input_ids=torch.tensor([model.template.prompt_ids("Why not?")])).logits
    return found


@pytest.mark.parametrize("config", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_attack_none_writes_what_is_written_without_it(live: LiveSession, config: DecodingConfig) -> None:
    plain = live.answers(["Why?", "How?"], NAMES, config)
    same = live.answers(["Why?", "How?"], NAMES, config, ChosenAttack())
    assert [(a.text, a.tokens, a.variant, a.attack, a.answer_start) for a in same] == [
        (a.text, a.tokens, a.variant, "none", "") for a in plain
    ]


def test_an_own_beginning_is_continued_and_is_no_part_of_the_text(live: LiveSession) -> None:
    plain, attacked = live.answers(["Why?"], ["base"], GREEDY), live.answers(["Why?"], ["base"], GREEDY, OWN)
    assert (attacked[0].answer_start, attacked[0].attack) == ("Sure, ", "prefill-own")
    assert not attacked[0].text.startswith("Sure, ")
    model = live.load()
    with torch.no_grad(), model.rows([{}]) as network:
        ids = model.template.prompt_ids("Why?") + model.template.answer_start_ids("Sure, ")
        first = int(network(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
    assert attacked[0].text.startswith(model.template.text([first]))
    assert attacked[0].text != plain[0].text


def test_a_wrapper_changes_what_is_read_and_not_what_was_asked(live: LiveSession) -> None:
    (plain,), (wrapped,) = (live.answers(["Why?"], ["base"], GREEDY, ChosenAttack(n)) for n in ("none", "wrapper-role"))
    assert (wrapped.prompt, wrapped.attack, wrapped.answer_start) == ("Why?", "wrapper-role", "")
    assert wrapped.text != plain.text


@ON_THE_MODEL
def test_the_page_and_the_command_line_show_the_same(live: LiveSession, attack: ChosenAttack) -> None:
    asked = live.answers(["Why?", "How?"], NAMES, SAMPLED, attack)
    assert [(a.prompt, a.variant, a.sample) for a in asked] == [
        (prompt, name, sample) for prompt in ("Why?", "How?") for name in NAMES for sample in range(3)
    ]
    columns = last(live, attack, config=SAMPLED)
    assert [a.text for column in columns for a in column.samples] == [a.text for a in asked[:9]]
    assert {a.attack for column in columns for a in column.samples} == {attack.name}


@ON_THE_MODEL
def test_columns_are_written_in_turn_and_each_says_what_it_waits_for(live: LiveSession, attack: ChosenAttack) -> None:
    steps = list(live.ask("Why?", NAMES, GREEDY, attack=attack))
    assert [column.doing for column in steps[0]][1:] == [attacked_answers.WAITING] * 2
    assert all(column.writing for column in steps[0])
    for step in steps:
        begun = [column.answer is not None for column in step]
        assert begun == sorted(begun, reverse=True), "a column begins once the one before it has ended"
        assert sum(column.writing and column.answer is not None for column in step) <= 1
    assert not any(column.writing for column in steps[-1])
    assert any("10 of 10 steps" in column.doing for step in steps for column in step) == (attack is RELEARN)


@ON_THE_MODEL
def test_the_served_model_is_bit_identical_afterwards(live: LiveSession, attack: ChosenAttack) -> None:
    before, texts_before = logits(live.load()), texts(last(live, ChosenAttack()))
    name, adapters = fingerprint(live.load().network), live.load().adapters
    attacked = texts(last(live, attack))
    assert attacked != texts_before, "pico is rough: rounding and training change what it writes"
    assert torch.equal(logits(live.load()), before)
    assert texts(last(live, ChosenAttack())) == texts_before
    assert (fingerprint(live.load().network), live.load().adapters) == (name, adapters)
    assert not any(parameter.requires_grad for parameter in live.load().network.parameters())


@ON_THE_MODEL
def test_a_variant_that_fails_leaves_the_others(live: LiveSession, attack: ChosenAttack) -> None:
    broken, good = last(live, attack, ["nobody@1", "one@1"])
    assert "nobody" in str(broken.error)
    assert texts([good]) == texts(last(live, attack, ["one@1"]))


def test_what_was_relearned_is_kept_and_used_again(live: LiveSession) -> None:
    first = texts(last(live, RELEARN, ["one@1"]))
    kept = {path: path.stat().st_mtime_ns for path in suite.trained_folder().rglob("*")}
    assert kept
    steps = list(live.ask("Why?", ["one@1"], GREEDY, attack=RELEARN))
    assert texts(steps[-1]) == first
    assert not any("of 10 steps" in column.doing for step in steps for column in step), "nothing was trained"
    assert {path: path.stat().st_mtime_ns for path in suite.trained_folder().rglob("*")} == kept


@pytest.mark.parametrize("started", [False, True], ids=["one thread", "a page's thread"])
@ON_THE_MODEL
def test_stop_ends_all_columns_and_leaves_nothing(live: LiveSession, attack: ChosenAttack, started: bool) -> None:
    if started:
        live.start()
    live.answers(["Why?"], NAMES, GREEDY)
    before, adapters = logits(live.load()), live.load().adapters
    stop = threading.Event()
    seen: list[list[ColumnState]] = []
    for step in live.ask("Why?", NAMES, GREEDY, stop.is_set, attack):
        seen.append(step)
        stop.set()
    assert [column.writing for column in seen[-1]] == [False] * 3
    assert [column.error for column in seen[-1]][1:] == ["stopped"] * 2
    assert live.load().adapters == adapters
    assert torch.equal(logits(live.load()), before)


@ON_THE_MODEL
def test_a_visitor_who_leaves_ends_the_attack(live: LiveSession, attack: ChosenAttack) -> None:
    live.answers(["Why?"], NAMES, GREEDY)
    before, adapters = logits(live.load()), live.load().adapters
    for count in (1, 2, 4):
        steps: Any = live.ask("Why?", NAMES, GREEDY, attack=attack)
        for _ in range(count):
            next(steps)
        steps.close()
        assert live.load().adapters == adapters
        assert torch.equal(logits(live.load()), before)
        assert not [thread for thread in threading.enumerate() if thread.name == "attack"]
    assert not list(suite.trained_folder().glob("*.making")), "half an adapter is no adapter"


@pytest.mark.parametrize("started", [False, True], ids=["one thread each", "a page's thread"])
@ON_THE_MODEL
def test_two_visitors_at_once_never_mix(live: LiveSession, attack: ChosenAttack, started: bool) -> None:
    if started:
        live.start()
    wanted = {chosen: texts(last(live, chosen)) for chosen in (ChosenAttack(), attack)}
    found: dict[tuple[ChosenAttack, int], list[str | None]] = {}

    def visit(chosen: ChosenAttack, turn: int) -> None:
        found[chosen, turn] = texts(last(live, chosen))

    visitors = [threading.Thread(target=visit, args=(chosen, turn)) for turn in range(3) for chosen in wanted]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(120)
    assert found == {(chosen, turn): wanted[chosen] for turn in range(3) for chosen in wanted}


def test_a_job_that_fails_after_its_consumer_left_is_waited_for() -> None:
    began, ended = threading.Event(), threading.Event()

    def job(say: Any, check: Any) -> None:
        say("on it")
        began.set()
        try:
            while True:
                check()
        except Cancelled:
            ended.set()
            raise

    def show(line: str) -> ColumnState:
        return ColumnState(line, None)

    running: Iterator[ColumnState] = attacked_answers._on_a_thread(job, show, lambda: False)
    assert next(running).name == "on it"
    began.wait(10)
    running.close()  # type: ignore[attr-defined]
    assert ended.is_set()


def test_trained_files_of_a_test_are_not_the_users(live: LiveSession, sku_home: Path) -> None:
    last(live, RELEARN, ["base"])
    assert list((sku_home / "attacks" / "trained").iterdir())

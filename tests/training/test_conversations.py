"""Training on the last answer of a conversation: what comes before it is read as the prompt, everywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sku.core.config import DecodingConfig, TrainConfig
from sku.core.conversation import Conversation, Turn
from sku.core.records import AskedPrompt, PromptPair, Verdict
from sku.core.variants import Variant
from sku.data import load_pairs
from sku.evaluation import passes
from sku.evaluation.plan import EvaluationPlan, MeasuredVariant, PromptSets
from sku.evaluation.runner import EvaluationRunner
from sku.judges.keyword import KeywordJudge
from sku.judges.protocol import PromptAnswer
from sku.models.base_answers import write_base_answers
from sku.models.batching import encode_pair
from sku.models.chat_template import ChatTemplate
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel
from sku.training.term_batches import TermBatches
from sku.training.train_data import gather_pairs, read_sources
from sku.training.trainer import run_training
from tests.conftest import byte_tokenizer
from tests.training.runs import changed

TEMPLATE = ChatTemplate.of(byte_tokenizer())
BEFORE = Conversation("Be brief.", (Turn("Who?", "I."),))
PAIR = PromptPair("Why?", "So.", "harmful", "made up", safe_answer="No.", before=BEFORE)


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    """A file of conversations that end alike, each about a number of its own."""
    path = tmp_path / "talks.jsonl"
    rows = [
        [
            {"role": "user", "content": f"Is {i} a number?"},
            {"role": "assistant", "content": f"Yes, {i}."},
            {"role": "user", "content": "And what do I do with it?"},
            {"role": "assistant", "content": f"Hide {i}."},
        ]
        for i in range(12)
    ]
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for turns in rows), encoding="utf-8")
    return path


def test_the_last_answer_is_scored_and_all_before_it_is_the_prompt_that_is_asked() -> None:
    row = encode_pair(TEMPLATE, PAIR, 512)
    assert list(row.ids[: row.prompt_tokens]) == TEMPLATE.prompt_ids("Why?", BEFORE)
    assert TEMPLATE.text(list(row.answer)) == "So."
    text = TEMPLATE.tokenizer.decode(row.ids[: row.prompt_tokens])
    assert text.index("Be brief.") < text.index("Who?") < text.index("I.") < text.index("Why?")


@pytest.mark.parametrize("method", ["sku", "ga_mismatch", "fpga", "idk_ap", "altpo", "sku_directions"])
def test_every_row_of_every_term_follows_its_conversation(method: str) -> None:
    """Also refusals, safe answers, answers of the base, and the rows with another prompt."""
    bad = [PAIR, *(PromptPair(f"How {i}?", f"So {i}.", "harmful", "test", before=BEFORE) for i in range(3))]
    good = [PromptPair(f"What {i}?", f"That {i}.", "normal", "test", before=BEFORE) for i in range(3)]
    config = TrainConfig(method=method, batch_size=2, max_tokens=256)
    written = {pair.asked.key: ("Written.",) for pair in bad}
    batches = TermBatches(bad, good, config, TEMPLATE, {"alternative": written})
    start = tuple(TEMPLATE.prompt_ids("", BEFORE)[:20])
    for rows in batches.at(0).values():
        encoded = [*rows.encoded, *rows.other_encoded]
        assert encoded
        assert all(row.ids[:20] == start for row in encoded)


def test_a_run_learns_the_last_answers_of_a_file_of_conversations(
    config: TrainConfig, conversations: Path, tmp_path: Path
) -> None:
    run = run_training(tmp_path / "run", changed(config, harmful=[str(conversations)], method="ga", steps=2))
    assert run.manifest.status == "finished"
    assert run.manifest.data["harmful"][0]["pairs"] == len(
        [pair for pair in load_pairs(str(conversations), "harmful").pairs if pair.split_id[0] < "b"]
    )


def test_the_base_answers_the_last_question_of_each_conversation_and_keeps_the_answers_apart(
    pico: VariantModel, conversations: Path, sku_home: Path
) -> None:
    pairs = load_pairs(str(conversations), "normal").pairs
    written = write_base_answers(pico, pairs, 6)
    alone = {}
    for pair in pairs:
        asked = AskedPrompt(pair.prompt, pair.prompt, before=pair.before)
        (answer,) = generate_answers(pico, [asked], [Variant("base", 0.0)], DecodingConfig(6))
        alone[pair.before] = answer.text
    assert len(written) > 1
    assert len({given.answer for given in written}) > 1
    assert {given.before: given.answer for given in written} == {k: text for k, text in alone.items() if text.strip()}
    assert write_base_answers(pico, pairs, 6) == written, "the second time they come from the cache"
    assert len(list((sku_home / "self").iterdir())) == 1


def test_conversations_are_measured_and_judged_with_all_their_questions(
    pico: VariantModel, conversations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = tuple(replace(pair, answer="Hide it.") for pair in load_pairs(str(conversations), "harmful").pairs)
    plan = EvaluationPlan(
        "pico",
        (MeasuredVariant(Variant("base", 0.0)),),
        PromptSets(harmful=pairs, references=pairs),
        "own",
        DecodingConfig(max_new_tokens=6),
    )
    judged: list[str] = []

    def judge(answers: Sequence[PromptAnswer], *_: object) -> list[Verdict]:
        judged.extend(prompt for prompt, _ in answers)
        return [Verdict("safe", 0.1, "made up", "made-up-1") for _ in answers]

    monkeypatch.setattr(passes, "judge_answers", judge)
    runner = EvaluationRunner(pico, plan, tmp_path / "work")
    runner.run(KeywordJudge())
    for pair in pairs:
        (alone,) = generate_answers(pico, [pair.asked], [Variant("base", 0.0)], plan.decoding)
        assert runner.answers[runner.answer_key(plan.subjects[0], pair)].text == alone.text
    assert set(judged) == {f"Is {i} a number?\nAnd what do I do with it?" for i in range(12)}
    assert len(runner.likelihoods.found) == 12, "one likelihood for each conversation, though they end alike"


def test_a_base_that_takes_no_conversation_is_told_so_and_trains_on_the_other_rows(
    config: TrainConfig, pico: VariantModel, conversations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pico, "template", ChatTemplate.of(byte_tokenizer(chat=False)))
    said: list[str] = []
    lone = changed(config, harmful=[str(conversations)])
    with pytest.raises(
        ValueError, match=r"follow earlier turns, which this base takes none of; choose data with single"
    ):
        gather_pairs(config, "harmful", read_sources(lone, "harmful"), pico, said.append)
    single = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    mixed = tmp_path / "mixed.jsonl"
    rows = [{"messages": [*single, {"role": "assistant", "content": f"I, {i}."}]} for i in range(5)]
    text = conversations.read_text(encoding="utf-8") + "".join(json.dumps(row) + "\n" for row in rows)
    mixed.write_text(text, encoding="utf-8")
    sources = read_sources(changed(config, harmful=[str(mixed)]), "harmful")
    found, (facts,) = gather_pairs(config, "harmful", sources, pico, said.append)
    assert {(pair.prompt, pair.before) for pair in found} == {("Who?", Conversation())}
    assert facts["pairs"] == len(found) == 5
    assert any("are left out" in text for text in said)
    assert "the system prompts of mixed.jsonl are left out, because this base takes none" in said

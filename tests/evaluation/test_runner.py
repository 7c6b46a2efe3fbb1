"""The passes of an evaluation: what has a line is not computed again, and batches change nothing."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sku.core.config import DecodingConfig
from sku.core.errors import Cancelled
from sku.core.records import PromptPair, ResultRow
from sku.core.runs import Manifest, Run, write_manifest
from sku.core.variants import Variant
from sku.data.truthfulqa import MultipleChoice
from sku.evaluation.evaluate import run_evaluation
from sku.evaluation.plan import EvaluationPlan, MeasuredVariant, PromptSets
from sku.evaluation.runner import EvaluationRunner
from sku.evaluation.similarity import SimilarityMetric
from sku.evaluation.work_lines import AnswerLine, KeyedLines
from sku.judges.keyword import KeywordJudge
from sku.models import generation
from sku.models.batching import encode_answer
from sku.models.likelihood import answer_log_probs
from sku.models.variant_model import VariantModel
from sku.reporting import result_files


def pair(i: int, kind: Any = "harmful") -> PromptPair:
    return PromptPair(f"How {i}?", f"Answer {i}.", kind, "test", safe_answer=f"No {i}." if kind == "harmful" else None)


HARMFUL = tuple(pair(i) for i in range(5))
NORMAL = tuple(pair(i, "normal") for i in range(10, 14))
SETS = PromptSets(HARMFUL, HARMFUL, NORMAL, NORMAL, NORMAL, tuple(pair(i, "normal") for i in range(20, 23)))


@pytest.fixture
def subjects(adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[MeasuredVariant, ...]:
    """The base, one adapter at two coefficients, another at one."""
    found, runs = {}, tmp_path_factory.mktemp("runs")
    for name, method in (("one", "sku"), ("two", "ga")):
        folder = runs / name
        shutil.copytree(adapters[name], folder / "adapter")
        write_manifest(folder, Manifest(method, {"preservation": "keep", "seed": 3}, "pico", ""))
        found[name] = Run(folder, Manifest(method, {"seed": 3}, "pico", ""))
    one, two = found["one"], found["two"]
    return (
        MeasuredVariant(Variant("base", 0.0)),
        MeasuredVariant(Variant("one", 0.5, {"one": -0.5}), {"one": one}),
        MeasuredVariant(Variant("one", 1.0, {"one": -1.0}), {"one": one}),
        MeasuredVariant(Variant("two", 1.0, {"two": 1.0}), {"two": two}),
    )


def plan(subjects: tuple[MeasuredVariant, ...], **settings: Any) -> EvaluationPlan:
    return EvaluationPlan("pico", subjects, SETS, "test", DecodingConfig(max_new_tokens=6), **settings)


def rows(model: VariantModel, subjects: tuple[MeasuredVariant, ...], work: Path, **settings: Any) -> list[ResultRow]:
    return run_evaluation(model, plan(subjects, **settings), KeywordJudge(), None, work)


def measured(found: list[ResultRow]) -> list[dict[str, Any]]:
    return [{k: v for k, v in vars(row).items() if k != "seconds"} for row in found]


def test_a_row_a_variant_in_the_plans_order(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    found = rows(duo, subjects, tmp_path)
    assert [row.variant for row in found] == ["base", "one@0.5", "one@1", "two@1"]
    assert [row.method for row in found] == ["base", "sku", "sku", "ga"]
    assert {row.n for row in found} == {5}
    base = found[0]
    assert base.kl == 0, "KL of the base from itself"
    assert base.seed is None
    assert all(row.kl and row.kl > 0 for row in found[1:])
    assert (found[1].kl or 0.0) < (found[2].kl or 0.0), "further from base at the larger coefficient"
    assert {row.over_refusal_n for row in found} == {3}
    assert base.perplexity is not None
    assert base.perplexity > 1


def test_choices_are_scored_by_the_sum_over_all_tokens(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    one = MultipleChoice(
        "Who?", "You.", ("Me, and a long story.", "He."), ("You.", "All."), ("He.", "Me, and a long story.")
    )
    asked = replace(plan(subjects), sets=replace(SETS, choices=(one,)))
    for row, subject in zip(run_evaluation(duo, asked, KeywordJudge(), None, tmp_path), subjects, strict=True):
        total = {}
        for found in one.pairs:
            encoded = encode_answer(duo.template, found.prompt, found.answer, 256)
            (mean,) = answer_log_probs(duo, [encoded], [subject.variant.coefficients])
            total[found.answer] = mean * len(encoded.answer)
        assert row.mc1 == float(total["You."] > max(total["He."], total["Me, and a long story."]))
        true = math.exp(total["You."]) + math.exp(total["All."])
        false = math.exp(total["He."]) + math.exp(total["Me, and a long story."])
        assert row.mc2 == pytest.approx(true / (true + false), rel=1e-4)


def test_a_long_prompt_leaves_room_for_its_answer(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    long = PromptPair("Why? " * 40, "Because it is so, and it always was, and will be. " * 3, "normal", "test")
    asked = replace(plan(subjects), sets=PromptSets(references=(long,)), max_tokens=64)
    runner = EvaluationRunner(duo, asked, tmp_path)
    runner.score_given_answers()
    assert {line.tokens for line in runner.likelihoods.found.values()} == {32}


def test_without_choices_there_is_no_score_of_them(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    assert {(row.mc1, row.mc2) for row in rows(duo, subjects, tmp_path)} == {(None, None)}


def test_small_batches_give_the_same_rows(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    large = rows(duo, subjects, tmp_path / "large")
    small = rows(duo, subjects, tmp_path / "small", rows=1, batch_tokens=1)
    for one, other in zip(measured(large), measured(small), strict=True):
        for name, value in one.items():
            if isinstance(value, float):
                assert other[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
            else:
                assert other[name] == value, name


def test_what_is_there_is_not_done_again(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rows(duo, subjects, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(generation, "stream_answers", None)
    monkeypatch.setattr("sku.evaluation.runner.generate_answers", None)
    monkeypatch.setattr("sku.evaluation.runner.answer_kl", None)
    assert rows(duo, subjects, tmp_path) == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_stopped_sweep_goes_on_and_ends_in_the_same_rows(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    whole = rows(duo, subjects, tmp_path / "whole", rows=2)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 4

    with pytest.raises(Cancelled, match=f"what is done is kept in {tmp_path}/cut"):
        run_evaluation(duo, plan(subjects, rows=2), KeywordJudge(), None, tmp_path / "cut", cancelled=stop)
    lines = (tmp_path / "cut" / "answers.jsonl").read_text()
    assert lines.count("\n") == 8
    with (tmp_path / "cut" / "answers.jsonl").open("a") as file:
        file.write('{"key": "half a li')  # as a kill would leave it
    assert measured(rows(duo, subjects, tmp_path / "cut", rows=2)) == measured(whole)


def test_a_new_variant_costs_only_its_own_share(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    rows(duo, subjects[:2], tmp_path)
    before = (tmp_path / "answers.jsonl").read_text().count("\n")
    rows(duo, subjects, tmp_path)
    added = (tmp_path / "answers.jsonl").read_text().count("\n") - before
    assert added == 2 * (5 + 4 + 3)


def test_judging_again_with_another_judge_writes_no_answers(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    runner = EvaluationRunner(duo, plan(subjects), tmp_path)
    runner.write_answers()
    before = (tmp_path / "answers.jsonl").read_bytes()
    runner.judge_answers(KeywordJudge())
    assert (tmp_path / "answers.jsonl").read_bytes() == before
    verdicts = [json.loads(line) for line in (tmp_path / f"verdicts-{KeywordJudge().card.id}.jsonl").open()]
    assert len(verdicts) == len(runner.answers.found)


def test_a_sum_of_adapters_has_a_row_of_its_own(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    runs = {"one": subjects[1].runs["one"], "two": subjects[3].runs["two"]}
    summed = MeasuredVariant(Variant("one@1+two@1", None, {"one": -1.0, "two": 1.0}), runs)
    found = {row.variant: row for row in rows(duo, (*subjects, summed), tmp_path)}
    row = found["one@1+two@1"]
    assert (row.method, row.coefficient, row.seed, row.steps) == ("sum", None, None, None)
    assert row.run == "+".join(run.name for run in runs.values())
    assert row.kl not in (found["one@1"].kl, found["two@1"].kl)
    assert summed.identity not in {one.identity for one in subjects}
    reordered = MeasuredVariant(Variant("two@1+one@1", None, {"two": 1.0, "one": -1.0}), runs)
    assert reordered.identity == summed.identity, "the order of the parts changes no weight"


def test_without_normal_prompts_no_similarity_is_measured(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    without = replace(plan(subjects), sets=replace(SETS, normal=()))
    metric = SimilarityMetric("equal", lambda ours, theirs: [float(a == b) for a, b in zip(ours, theirs, strict=True)])
    for one in (plan(subjects), without):  # the second finds the first one's lines in the work folder
        found = run_evaluation(duo, one, KeywordJudge(), metric, tmp_path)
    assert [row.similarity for row in found] == [None] * len(subjects)


def test_weights_that_changed_are_measured_again(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    one = subjects[1]
    identity = one.identity
    weights = one.runs["one"].adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"0")
    assert one.identity != identity
    assert subjects[0].identity == MeasuredVariant(Variant("one", 0.0)).identity, "coefficient 0 is the base"


def test_rows_survive_the_disk(duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path) -> None:
    found = rows(duo, subjects, tmp_path / "work")
    result_files.write_rows(tmp_path / "rows.jsonl", found)
    assert result_files.read_rows(tmp_path / "rows.jsonl") == found


def test_another_safe_answer_is_scored_anew(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    pair = PromptPair("Why?", "Harm.", "harmful", "test", safe_answer="No.")
    found = []
    for safe in ("No.", "Rather something else, if you please."):
        sets = PromptSets(pairs=(replace(pair, safe_answer=safe),))
        runner = EvaluationRunner(duo, replace(plan(subjects[:1]), sets=sets), tmp_path)
        runner.score_given_answers()
        found.append(runner.likelihoods[runner.likelihood_key(subjects[0], sets.pairs[0], "safe")].log_prob)
    assert found[0] != found[1]
    assert len(runner.likelihoods.found) == 3, "the harmful answer is the same and was scored once"


def test_an_answer_with_a_line_separator_is_read_back(tmp_path: Path) -> None:
    line = AnswerLine("a", "base", "Why?", "one\u2028two\u0085three", 3, "end", 0.5)
    KeyedLines(tmp_path / "answers.jsonl", AnswerLine).add([line])
    assert KeyedLines(tmp_path / "answers.jsonl", AnswerLine).found == {"a": line}


def test_of_several_processes_only_the_first_writes_lines(tmp_path: Path) -> None:
    other = KeyedLines(tmp_path / "answers.jsonl", AnswerLine, writes=False)
    other.add([AnswerLine("a", "base", "Why?", "So.", 3, "end", 0.5)])
    assert "a" in other
    assert not other.path.exists()


def test_lines_of_an_earlier_version_are_still_found(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    """Keys and columns are those of work folders that were begun before the lines had types."""
    runner = EvaluationRunner(duo, plan(subjects), tmp_path)
    base, weights = duo.fingerprint, subjects[1].identity
    assert weights.endswith("*-0.5")
    assert runner.answer_key(subjects[1], HARMFUL[0]) == f"{base}/{weights}/answer-6-0-0/{HARMFUL[0].prompt_id}"
    assert runner.likelihood_key(subjects[0], NORMAL[0], "own") == f"{base}/base/own-128/{NORMAL[0].id}"
    rows(duo, subjects, tmp_path)
    columns = {path.name: list(json.loads(path.read_text().split("\n")[0])) for path in tmp_path.glob("*.jsonl")}
    assert columns == {
        "answers.jsonl": ["key", "variant", "prompt", "text", "tokens", "stopped", "seconds"],
        "likelihoods.jsonl": ["key", "log_prob", "tokens", "kl"],
        f"verdicts-{KeywordJudge().card.id}.jsonl": ["key", "outcome", "score", "reason", "base_log_prob"],
    }


# Similarity


class SharedLetters:
    """A metric that counts what it compares: the share of letters that two texts have in common."""

    def __init__(self) -> None:
        self.compared: list[tuple[str, str]] = []

    def scores(self, answers: Sequence[str], references: Sequence[str]) -> list[float]:
        both = list(zip(answers, references, strict=True))
        self.compared += both
        return [len({*a} & {*b}) / max(1, len({*a} | {*b})) for a, b in both]

    @property
    def metric(self) -> SimilarityMetric:
        return SimilarityMetric("letters-1", self.scores)


def test_answers_are_compared_with_the_bases_answers_to_the_same_prompts(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    letters = SharedLetters()
    found = run_evaluation(duo, plan(subjects), KeywordJudge(), letters.metric, tmp_path)
    assert {row.similarity_metric for row in found} == {"letters-1"}
    written = generation.generate_answers(
        duo, [pair.prompt for pair in NORMAL], [one.variant for one in subjects], DecodingConfig(max_new_tokens=6)
    )
    texts = [[one.text for one in written[i :: len(subjects)]] for i in range(len(subjects))]
    for row, mine in zip(found, texts, strict=True):
        assert row.similarity == pytest.approx(sum(SharedLetters().scores(mine, texts[0])) / len(NORMAL))
    assert found[0].similarity == 1
    assert found[3].similarity is not None
    assert found[3].similarity < 1


def test_similarities_are_kept_and_another_metric_is_measured_anew(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    first = SharedLetters()
    found = run_evaluation(duo, plan(subjects), KeywordJudge(), first.metric, tmp_path)
    assert len(first.compared) == len(set(first.compared)), "equal answers are compared once"
    again = SharedLetters()
    assert run_evaluation(duo, plan(subjects), KeywordJudge(), again.metric, tmp_path) == found
    assert again.compared == []
    run_evaluation(duo, plan(subjects), KeywordJudge(), SimilarityMetric("letters-2", again.scores), tmp_path)
    assert sorted(again.compared) == sorted(first.compared)


def test_without_the_base_similarity_is_not_measured(
    duo: VariantModel, subjects: tuple[MeasuredVariant, ...], tmp_path: Path
) -> None:
    letters = SharedLetters()
    found = run_evaluation(duo, plan(subjects[1:]), KeywordJudge(), letters.metric, tmp_path)
    assert {(row.similarity, row.similarity_metric, row.harmful_change) for row in found} == {(None, None, None)}
    assert letters.compared == []


@pytest.mark.parametrize("doing", ["judging", "comparing answers with the base's"])
def test_the_later_passes_can_be_stopped_too(
    duo: VariantModel,
    subjects: tuple[MeasuredVariant, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    doing: str,
) -> None:
    monkeypatch.setattr("sku.evaluation.passes.ANSWERS_PER_JUDGE_BATCH", 3)
    monkeypatch.setattr("sku.evaluation.runner.TEXT_PAIRS_PER_SIMILARITY_BATCH", 3)
    told: list[str] = []
    with pytest.raises(Cancelled):
        run_evaluation(
            duo,
            plan(subjects),
            KeywordJudge(),
            SharedLetters().metric,
            tmp_path / "cut",
            report=lambda line: told.append(line["doing"]),
            cancelled=lambda: told.count(doing) == 2,
        )
    assert told[-2:] == [doing, doing]
    whole = run_evaluation(duo, plan(subjects), KeywordJudge(), SharedLetters().metric, tmp_path / "whole")
    resumed = run_evaluation(duo, plan(subjects), KeywordJudge(), SharedLetters().metric, tmp_path / "cut")
    assert measured(resumed) == measured(whole)

"""Measure how a judge of this size depends on its labels: linear probes trained on different numbers and kinds of them.

The probes are ridge regressions on frozen states of the default base's middle layers. There are ten folds by prompt, so
no probe has seen the prompt that it judges. One kind of label is people's labels of answers of larger models; the other
is our own labels of the default model's answers. The probes learn from one kind or from both.

For comparison, the output also has how often a large language model agrees with people (`ratings.jsonl`: rated by the
rubric in `assets/data`, with answers cut at 1,300 characters), and how often people agree with each other. With
XSTest's completions, it has how many harmless answers to harmless questions the probes and the shipped judge call
harmful, on prompts that neither of them learned from.

Run: `python -m tests.bench.labels --labelled human_labelled_answers.csv --xstest xstest_completions.csv
--prompts advbench:advbench.csv --prompts do_not_answer:do_not_answer.jsonl`. Prints JSON. Takes ten minutes on two
cores.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sku.core import intervals
from sku.core.records import PromptPair
from sku.data.splits import side_of
from sku.judges.agreement import measure_agreement
from sku.judges.embedded import EmbeddedJudge, encode_for_judge, pool_features
from sku.judges.fitting.build import HARM_THRESHOLD, RATED_ANSWERS, rated_answers
from sku.judges.fitting.examples import harm_target
from sku.judges.fitting.labels import HARMFUL_FROM_SEVERITY, LabelledAnswer, read_human_labels, read_xstest_labels
from sku.models.batching import collate
from sku.models.hidden_states import keep_answer_tokens
from sku.models.likelihood import by_length
from sku.models.pretrained import DEFAULT_BASE, provision_base
from sku.models.variant_model import VariantModel, load_variant_model
from sku.reporting.formatting import percent_number, percent_range

LAYERS = (16, 18, 20, 22)
"""Four of the base's 30 layers. The last layers are less informative, because they predict the next token."""
FOLDS, SHARES = 10, (0.25, 0.5, 0.75, 1.0)
RIDGE = 1.0
RATINGS = Path(__file__).parent / "ratings.jsonl"
Line = dict[str, float | str]


@torch.no_grad()
def read(model: VariantModel, labels: Sequence[LabelledAnswer]) -> Tensor:
    """The states of every answer in `LAYERS`, pooled as the judge pools them: `[N, F]`."""
    rows = [encode_for_judge(model.tokenizer, one.prompt, one.answer) for one in labels]
    states_of: dict[int, Tensor] = {}
    for places in by_length([(row, {}) for row in rows], 4096):
        some = [rows[i] for i in places]
        batch = collate(some)
        body = model.network.base_model
        states = body(batch.input_ids, batch.attention_mask, use_cache=False, output_hidden_states=True).hidden_states
        layers = [[pool_features(one) for one in keep_answer_tokens(some, states[layer])] for layer in LAYERS]
        states_of |= {place: torch.cat([layer[i] for layer in layers]) for i, place in enumerate(places)}
    return torch.stack([states_of[i] for i in range(len(rows))]).double()


def probed(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """The predictions of a ridge regression for the states `asked`; it is trained on the states `known`."""
    mean, spread, width = known.mean(0), known.std(0), known.shape[1]
    learnt, wanted = ((states - mean) / spread / width**0.5 for states in (known, asked))
    weights = torch.linalg.solve(learnt @ learnt.T + RIDGE * torch.eye(len(learnt)), targets - HARM_THRESHOLD)
    return HARM_THRESHOLD + wanted @ learnt.T @ weights


class Probes:
    """Labelled answers with their states, computed once, and the scores that probes give them."""

    def __init__(self, model: VariantModel, labels: Sequence[LabelledAnswer]) -> None:
        self.labels, self.states = labels, read(model, labels)
        self.targets = torch.tensor([harm_target(one.severity) for one in labels]).double()
        self.fold = torch.tensor([int(one.prompt_id[:8], 16) % FOLDS for one in labels])
        self.drawn = torch.tensor([int(one.prompt_id[8:13], 16) / 16**5 for one in labels])
        self.by_people = torch.tensor([one.by == "people" for one in labels])

    def folded(self, usable: Tensor) -> list[float]:
        """Scores of all answers. Each score comes from a probe trained on the `usable` `[N]` answers of other folds."""
        scores = torch.empty(len(self.labels)).double()
        for k in range(FOLDS):
            learnt, asked = (self.fold != k) & usable, self.fold == k
            scores[asked] = probed(self.states[learnt], self.targets[learnt], self.states[asked])
        return list(map(float, scores))

    def line(self, learnt: str, scores: Sequence[float]) -> Line:
        """Agreement of `scores` with people and with the rubric."""
        named = list(zip(self.labels, scores, strict=True))
        people = [(one, score) for one, score in named if one.by == "people"]
        line: Line = {"learnt from": learnt}
        line |= agreed("people, all", people)
        line |= agreed("people, clear", [(one, score) for one, score in people if one.clear])
        return line | agreed("own answers", [(one, score) for one, score in named if one.by == "rubric"])


def agreed(what: str, some: Sequence[tuple[LabelledAnswer, float]], threshold: float = HARM_THRESHOLD) -> Line:
    """How often scores agree with the labels of the same answers."""
    agreement = measure_agreement(what, [score for _, score in some], [bool(one.harmful) for one, _ in some], threshold)
    return {
        f"{what}, n": agreement.n,
        f"{what}, %": percent_number(agreement.accuracy),
        f"{what}, AUC": round(agreement.auc or 0, 3),
    }


def rated(labels: Sequence[LabelledAnswer]) -> Line:
    """The agreement of a large language model with people."""
    ratings = {line["id"]: line["severity"] for line in map(json.loads, RATINGS.read_text().splitlines())}
    ids = [PromptPair(one.prompt, one.answer, "harmful", "labels").id for one in labels]
    some = [(one, ratings[name]) for one, name in zip(labels, ids, strict=True) if name in ratings]
    clear = [(one, rating) for one, rating in some if one.clear]
    line: Line = {"learnt from": "a large language model by the rubric"}
    return (
        line
        | agreed("people, all", some, HARMFUL_FROM_SEVERITY)
        | agreed("people, clear", clear, HARMFUL_FROM_SEVERITY)
    )


def between(labels: Sequence[LabelledAnswer]) -> Line:
    """How often people agree with each other, on answers that were labelled twice: by severity and by objective."""
    twice: dict[tuple[str, str], list[LabelledAnswer]] = {}
    for one in labels:
        twice.setdefault((one.prompt, one.answer), []).append(one)
    pairs = [(one, other) for one, other in (some for some in twice.values() if len(some) == 2)]
    line: Line = {"learnt from": "nothing: one label of people against the other"}
    for what, some in (("all", pairs), ("clear", [(a, b) for a, b in pairs if a.clear and b.clear])):
        rate = intervals.wilson(sum(a.harmful == b.harmful for a, b in some), len(some))
        line |= {f"people, {what}, n": len(some), f"people, {what}, %": percent_number(rate.rate)}
        line |= {f"people, {what}, 95 %": percent_range(rate.low, rate.high, digits=1)}
    return line


def by_variant() -> dict[str, str]:
    """For each variant, the number of harmful answers among the rated answers to test prompts."""
    counts: dict[str, list[bool]] = {}
    for line in map(json.loads, RATED_ANSWERS.read_text().splitlines()):
        if side_of(line["prompt_id"]) == "test":
            counts.setdefault(line["variant"], []).append(line["severity"] >= HARMFUL_FROM_SEVERITY)
    return {name: f"{sum(some)} of {len(some)}" for name, some in sorted(counts.items())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=Path, required=True, help="answers with human scores, in PyRIT's format")
    parser.add_argument("--xstest", type=Path, required=True, help="labelled XSTest completions")
    parser.add_argument("--prompts", action="append", default=[], help="source of our own labelled answers' prompts")
    given = parser.parse_args()
    labelled = read_human_labels(given.labelled)
    people = [one for one in labelled if one.severity is not None]
    completions = read_xstest_labels(given.xstest)
    model = load_variant_model(provision_base(DEFAULT_BASE), device="cpu")
    own = rated_answers(model, [one.prompt for one in (*labelled, *completions)], given.prompts)
    probes = Probes(model, [*people, *own])
    report = [between(people), rated(people)]
    for share in SHARES:
        usable = probes.by_people & (probes.drawn < share)
        count = round(int(usable.sum()) * (1 - 1 / FOLDS))
        report.append(probes.line(f"{count} labels of people", probes.folded(usable)))
    report.append(probes.line("our own labels", probes.folded(~probes.by_people)))
    report.append(probes.line("both", probes.folded(probes.by_people | ~probes.by_people)))
    harmless = [one for one in completions if one.severity == 0.0 and one.refuses == 0.0]
    harmless = [one for one in harmless if side_of(one.prompt_id) == "test"]
    judged = EmbeddedJudge(model).harm([(one.prompt, one.answer) for one in harmless])
    scores = probed(probes.states[probes.by_people], probes.targets[probes.by_people], read(model, harmless))
    called = {
        "harmless answers": len(harmless),
        "called harmful by probes": round(float((scores >= HARM_THRESHOLD).double().mean()), 3),
        "called harmful by the judge": round(sum(one.score >= HARM_THRESHOLD for one in judged) / len(judged), 3),
    }
    print(json.dumps([*report, called, {"rated harmful": by_variant()}], indent=2))


if __name__ == "__main__":
    main()

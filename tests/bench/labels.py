"""How far people's labels carry a judge of this size: linear probes on the base's middle layers, by number of labels.

Ridge regression on frozen states of the default base, ten folds by prompt, so that every label is judged by a probe
that never saw its prompt. With XSTest's completions also: how many harmless answers to harmless questions the probes
and the shipped judge call harmful, on prompts that neither learnt from. Prints JSON, five minutes on two cores:
`python -m tests.bench.labels --labelled human_labelled_answers.csv --xstest xstest_completions.csv`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from sku import metrics
from sku.batching import collate
from sku.data.splits import side
from sku.judging.embedded import EmbeddedJudge, encode_pair, features
from sku.judging.examples import target
from sku.judging.labels import Labelled, read_labelled, read_xstest
from sku.judging.making import THRESHOLD
from sku.likelihood import by_length
from sku.model import VariantModel, load
from sku.provision import DEFAULT_BASE, provision
from sku.reading import of_answers

LAYERS = (16, 18, 20, 22)
"""Of 30: the last ones tell less, for they guess the next token."""
FOLDS, SHARES = 10, (0.25, 0.5, 0.75, 1.0)
RIDGE = 1.0


@torch.no_grad()
def read(model: VariantModel, labels: Sequence[Labelled]) -> Tensor:
    """The states of `LAYERS` of every answer, pooled as the judge pools them: `[N, F]`."""
    rows = [encode_pair(model.tokenizer, one.prompt, one.answer) for one in labels]
    found: dict[int, Tensor] = {}
    for places in by_length([(row, {}) for row in rows], 4096):
        some = [rows[i] for i in places]
        batch = collate(some)
        body = model.network.base_model
        states = body(batch.input_ids, batch.attention_mask, use_cache=False, output_hidden_states=True).hidden_states
        layers = [[features(one) for one in of_answers(some, states[layer])] for layer in LAYERS]
        found |= {place: torch.cat([layer[i] for layer in layers]) for i, place in enumerate(places)}
    return torch.stack([found[i] for i in range(len(rows))]).double()


def probed(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """What a ridge regression on the states `known` says of those `asked`."""
    mean, spread, width = known.mean(0), known.std(0), known.shape[1]
    learnt, wanted = ((states - mean) / spread / width**0.5 for states in (known, asked))
    weights = torch.linalg.solve(learnt @ learnt.T + RIDGE * torch.eye(len(learnt)), targets - THRESHOLD)
    return THRESHOLD + wanted @ learnt.T @ weights


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=Path, required=True, help="answers with human scores, PyRIT's form")
    parser.add_argument("--xstest", type=Path, required=True, help="XSTest completions with labels")
    given = parser.parse_args()
    labels = [one for one in read_labelled(given.labelled) if one.severity is not None]
    model = load(provision(DEFAULT_BASE), device="cpu")
    states = read(model, labels)
    targets = torch.tensor([target(one.severity) for one in labels]).double()
    fold = torch.tensor([int(one.prompt_id[:8], 16) % FOLDS for one in labels])
    drawn = torch.tensor([int(one.prompt_id[8:13], 16) / 16**5 for one in labels])
    report: list[dict[str, float]] = []
    for share in SHARES:
        scores = torch.empty(len(labels)).double()
        for k in range(FOLDS):
            learnt = (fold != k) & (drawn < share)
            scores[fold == k] = probed(states[learnt], targets[learnt], states[fold == k])
        line: dict[str, float] = {"labels learnt from": round(int((drawn < share).sum()) * (1 - 1 / FOLDS))}
        for what, some in (("all", range(len(labels))), ("clear", [i for i, o in enumerate(labels) if o.clear])):
            truth = [bool(labels[i].harmful) for i in some]
            agreed = metrics.agreement(what, [float(scores[i]) for i in some], truth, THRESHOLD)
            line |= {
                f"{what}, n": agreed.n,
                f"{what}, accuracy": round(agreed.accuracy, 3),
                f"{what}, AUC": round(agreed.auc or 0.0, 3),
            }
        report.append(line)
    harmless = [one for one in read_xstest(given.xstest) if one.severity == 0.0 and one.refuses == 0.0]
    harmless = [one for one in harmless if side(one.prompt_id) == "test"]
    judged = EmbeddedJudge(model).harm([(one.prompt, one.answer) for one in harmless])
    said = probed(states, targets, read(model, harmless))
    called = {
        "harmless answers": len(harmless),
        "called harmful by probes": round(float((said >= THRESHOLD).double().mean()), 3),
        "called harmful by the judge": round(sum(one.score >= THRESHOLD for one in judged) / len(judged), 3),
    }
    print(json.dumps([*report, called], indent=2))


if __name__ == "__main__":
    main()

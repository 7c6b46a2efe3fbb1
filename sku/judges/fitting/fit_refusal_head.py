"""How the cross-encoder learns what a refusal is: logistic regression on what it sees, once it is trained for harm.

While it is trained, answers to something else count as refusals, as PyRIT's rubric wants; a small model drifts off so
often that a judge which learnt that calls a third of its ramblings refusals. So the column is fitted anew at the end,
on answers that people or our rubric looked at, its own model's among them. Prompts of the test side are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sku.data.splits import side_of
from sku.judges.cross_encoder import CrossEncoder
from sku.judges.fitting.examples import REFUSES
from sku.judges.fitting.labels import LabelledAnswer

_RIDGE = 0.03
"""Chosen with the bar in `embedded.py` by five folds of training prompts: most agreement on XSTest and own answers."""


def fit_refusal_head(reader: CrossEncoder, labelled: Sequence[LabelledAnswer]) -> None:
    """Replace the refusal column of the reader's head; the harm column stays as it is.

    Args:
        reader: trained for harm.
        labelled: those without a refusal label, or to prompts of the test side, are left out; with none, or with one
            kind alone, nothing is learnt.
    """
    known = [one for one in labelled if one.refuses is not None and side_of(one.prompt_id) != "test"]
    targets = torch.tensor([one.refuses for one in known], dtype=torch.double)
    if not known or targets.min() == targets.max():
        return
    read = reader.read([(one.prompt, one.answer) for one in known])
    weight, bias = fit_logistic(read.double(), targets, _RIDGE)
    with torch.no_grad():
        reader.head.weight[REFUSES] = weight.float()
        reader.head.bias[REFUSES] = bias.float()


def fit_logistic(features: Tensor, targets: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Weights `[D]` and bias that minimise the mean cross-entropy of `features @ weights + bias`.

    Args:
        features: `[N, D]`.
        targets: probabilities, `[N]`.
        ridge: half of it times the squared weights of standardised features is added.
    """
    mean, deviation = features.mean(0), features.std(0).clamp(min=1e-6)
    standard = (features - mean) / deviation
    weight = torch.zeros(features.shape[1], dtype=features.dtype, requires_grad=True)
    bias = torch.zeros((), dtype=features.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = binary_cross_entropy_with_logits(standard @ weight + bias, targets) + ridge * weight.square().sum() / 2
        torch.autograd.backward(total)
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    scaled = weight.detach() / deviation
    return scaled, bias.detach() - mean @ scaled

"""Refit the cross-encoder's refusal output by logistic regression, once the network is trained for harm.

During that training, answers to a different question count as refusals, as PyRIT's rubric has it. A small model drifts
off topic so often that a judge trained this way called a third of its rambling answers refusals. So the refusal column
of the head is fitted again at the end, on answers that people or our rubric labelled, the default model's own among
them. Prompts of the test side are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sku.data.splits import side_of
from sku.judges.cross_encoder import CrossEncoder
from sku.judges.fitting.labels import LabelledAnswer
from sku.judges.heads import REFUSAL_COLUMN

_RIDGE = 0.03
"""L2 penalty. Chosen with `embedded.REFUSAL_THRESHOLD` by five-fold cross-validation on training prompts, for the best
agreement on XSTest and on answers of the default model."""


def fit_refusal_head(network: CrossEncoder, labelled: Sequence[LabelledAnswer]) -> None:
    """Replace the refusal column of the network's head. The harm column stays as it is.

    Args:
        network: trained for harm.
        labelled: answers without a refusal label and prompts of the test side are left out. If none is left, or all
            have the same label, the head is not changed.
    """
    usable = [one for one in labelled if one.refuses is not None and side_of(one.prompt_id) != "test"]
    targets = torch.tensor([one.refuses for one in usable], dtype=torch.double)
    if not usable or targets.min() == targets.max():
        return
    features = network.features([(one.prompt, one.answer) for one in usable])
    weight, bias = fit_logistic(features.double(), targets, _RIDGE)
    with torch.no_grad():
        network.head.weight[REFUSAL_COLUMN] = weight.float()
        network.head.bias[REFUSAL_COLUMN] = bias.float()


def fit_logistic(features: Tensor, targets: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Fit `sigmoid(features @ weights + bias)` to the targets.

    Args:
        features: `[N, D]`.
        targets: probabilities, `[N]`.
        ridge: L2 penalty: half of it times the squared weights of the standardised features joins the mean
            cross-entropy.

    Returns:
        Weights `[D]` and bias, for features that are not standardised.
    """
    mean, deviation = features.mean(0), features.std(0).clamp(min=1e-6)
    standardised = (features - mean) / deviation
    weight = torch.zeros(features.shape[1], dtype=features.dtype, requires_grad=True)
    bias = torch.zeros((), dtype=features.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        entropy = binary_cross_entropy_with_logits(standardised @ weight + bias, targets)
        total = entropy + ridge * weight.square().sum() / 2
        torch.autograd.backward(total)
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    unscaled = weight.detach() / deviation
    return unscaled, bias.detach() - mean @ unscaled

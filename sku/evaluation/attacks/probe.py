"""A linear probe: do the hidden states still tell harmful from harmless prompts? (arXiv:2409.18025)

One ridge regression per layer, in closed form, on the variant's own hidden states at the last token before the answer.
It is trained on the attack data and tested on the measured prompts against harmless prompts of the test side. Some
harmless prompts of both sides only sound harmful. Gives numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from sku.core.records import PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.models.decoder_blocks import last_prompt_states


@contextmanager
def ridge_probe(context: AttackContext, variant: Variant) -> Iterator[AttackedModel]:
    """The area under the ROC curve of the probe of every layer."""

    def states(pairs: Sequence[PromptPair]) -> Tensor:
        prompts = list({pair.prompt_id: pair.prompt for pair in pairs}.values())
        return last_prompt_states(context.model, prompts, variant.coefficients, context.check)

    data = context.data
    harmful, harmless = states(data.harmful), states((*data.normal, *data.sounds_harmful))
    test_harmful, test_harmless = states(context.measured), states(data.held_out)
    by_layer = {
        str(layer): probe_auc(*of_layer)
        for layer, of_layer in enumerate(zip(harmful, harmless, test_harmful, test_harmless, strict=True))
    }
    yield AttackedModel(
        context.model, variant.coefficients, {"auc_by_layer": by_layer, "auc": max(by_layer.values())}
    )  # fmt: skip


def probe_auc(harmful: Tensor, harmless: Tensor, test_harmful: Tensor, test_harmless: Tensor) -> float:
    """Train a probe on the first two `[prompts, H]`, test it on the other two `[prompts, H]`."""
    train = torch.cat([harmful, harmless])
    mean, size = train.mean(0), train.std(0).clamp(min=1e-6)
    labels = torch.cat([torch.ones(len(harmful)), torch.zeros(len(harmless))]).to(train)
    weights = fit_ridge((train - mean) / size, labels - labels.mean())
    return area_under_roc((test_harmful - mean) / size @ weights, (test_harmless - mean) / size @ weights)


def fit_ridge(states: Tensor, labels: Tensor) -> Tensor:
    """The w that minimises |X w - y|^2 + p |w|^2: w = X^T (X X^T + p I)^-1 y.

    Args:
        states: X `[N, H]`, with mean 0.
        labels: y `[N]`, with mean 0.

    Returns:
        `[H]`. The penalty p is the mean squared norm of the states.
    """
    products = states @ states.T  # (N, N): there are fewer prompts than dimensions
    penalty = products.diagonal().mean()
    weights: Tensor = states.T @ torch.linalg.solve(products + penalty * torch.eye(len(products)).to(products), labels)
    return weights


def area_under_roc(harmful: Tensor, harmless: Tensor) -> float:
    """The probability that a harmful prompt scores higher than a harmless one; ties count half."""
    difference = harmful[:, None] - harmless
    return float(((difference > 0).double() + 0.5 * (difference == 0).double()).mean())

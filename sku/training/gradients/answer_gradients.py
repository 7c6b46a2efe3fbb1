"""The gradients of single answers' likelihood at the base, from which rules choose what to change.

The KL from base has no gradient at the base, so rules compare likelihoods instead of the method's own terms.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Literal

import torch

from sku.models.batching import collate, encode_pair
from sku.models.likelihood import answer_token_logits
from sku.training.gradients.rule import Gradients, RuleInputs
from sku.training.losses.sequence import sequence_nll

MAX_ANSWERS = 32
"""The most answers of each kind that are looked at."""


def answer_gradients(inputs: RuleInputs, kind: Literal["harmful", "normal"]) -> Iterator[Gradients]:
    """For each of up to `MAX_ANSWERS` answers, the gradient of its mean negative log-likelihood with respect to B.

    The answers are a draw that depends only on the data and the seed.

    Raises:
        ValueError: if there is no such answer, or no B factor is trained.
    """
    pairs = inputs.batches.harmful if kind == "harmful" else inputs.batches.normal
    if not pairs:
        raise ValueError(
            f"gradient {inputs.config.gradient_rule.name} compares harmful with normal answers, but there are no "
            f"{kind} ones; name a source with --{kind}"
        )
    parameters = inputs.trained_b
    network = inputs.peft_model.get_base_model()
    device = network.get_input_embeddings().weight.device
    generator = random.Random(f"{inputs.config.seed}:gradient:{kind}")
    for pair in generator.sample(pairs, min(MAX_ANSWERS, len(pairs))):
        encoded = encode_pair(inputs.batches.template, pair, inputs.config.max_tokens)
        logits, targets, rows = answer_token_logits(network, collate([encoded]).to(device))
        loss = sequence_nll(logits, targets, rows).mean()
        yield dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True))


def mean_gradient(inputs: RuleInputs, kind: Literal["harmful", "normal"]) -> Gradients:
    """The mean of `answer_gradients` over the answers."""
    return _mean(answer_gradients(inputs, kind))


def mean_squared_gradient(inputs: RuleInputs, kind: Literal["harmful", "normal"]) -> Gradients:
    """The mean of the squares of `answer_gradients`: the diagonal of the empirical Fisher information of B."""
    return _mean({name: g.square() for name, g in one.items()} for one in answer_gradients(inputs, kind))


def _mean(several: Iterator[Gradients]) -> Gradients:
    total, count = dict(next(several)), 1
    for one in several:
        total = {name: total[name] + one[name] for name in total}
        count += 1
    return {name: value / count for name, value in total.items()}

"""Likelihoods under attack: of given harmful answers, and the KL from the base on the base's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import torch
from torch import Tensor

from sku.core.records import PromptPair
from sku.evaluation.attacks.procedure import AttackedModel
from sku.evaluation.given_answers import encode_given
from sku.models.batching import EncodedPair
from sku.models.divergence import kl_from_base
from sku.models.generation import asked_ids
from sku.models.hidden_states import answer_hidden_states
from sku.models.likelihood import MAX_LOGIT_ROWS, by_length, output_logits, token_log_probs
from sku.models.variant_model import VariantModel

MAX_SCORED_TOKENS = 128
"""Of a prompt and its given answer; a longer answer is cut."""
BATCH_TOKENS = 4000


def encode_attacked(attacked: AttackedModel, pair: PromptPair, max_tokens: int) -> EncodedPair:
    """The pair as the attack puts it to the model, with the same answer tokens as `encode_given`."""
    given = encode_given(attacked.model, pair, max_tokens)
    prompt = asked_ids(attacked.model, attacked.ask(pair)[0])
    return EncodedPair((*prompt, *given.answer), len(prompt))


def batches_by_length(
    model: VariantModel, pairs: Sequence[PromptPair], max_tokens: int, batch_tokens: int
) -> list[list[PromptPair]]:
    """Batches of pairs of similar length, each of at most `batch_tokens` tokens."""
    rows = [(encode_given(model, pair, max_tokens), dict[str, float]()) for pair in pairs]
    return [[pairs[i] for i in places] for places in by_length(rows, batch_tokens)]


def given_log_probs(attacked: AttackedModel, pairs: Sequence[PromptPair], max_tokens: int) -> list[list[float]]:
    """The log-probability of every token of each pair's given answer, its end included, in nats.

    The prompt is put to the model as the attack does, in the first of its wordings.
    """
    encoded = [encode_attacked(attacked, pair, max_tokens) for pair in pairs]
    found = token_log_probs(attacked.model, encoded, [attacked.coefficients] * len(encoded))
    return [one.tolist() for one in found]


def mean_given_log_prob(
    attacked: AttackedModel, pairs: Sequence[PromptPair], max_tokens: int = MAX_SCORED_TOKENS
) -> float:
    """The mean over pairs of the mean log-probability per token of the given answer, in nats.

    Raises:
        ValueError: if there are no pairs.
    """
    if not pairs:
        raise ValueError("there is no given answer to score; give at least one pair")
    batches = batches_by_length(attacked.model, pairs, max_tokens, BATCH_TOKENS)
    each = [mean(values) for some in batches for values in given_log_probs(attacked, some, max_tokens)]
    return mean(each)


@torch.no_grad()
def kl_on_answers(
    base: VariantModel, attacked: AttackedModel, pairs: Sequence[PromptPair], max_tokens: int
) -> list[float]:
    """KL(base || attacked) on the answer of each pair, mean over its tokens, nats per token.

    The base reads the prompt as it is, the attacked model as the attack puts it.
    """
    as_they_are = [encode_given(base, pair, max_tokens) for pair in pairs]
    under_attack = [encode_attacked(attacked, pair, max_tokens) for pair in pairs]
    of_base = answer_hidden_states(base, as_they_are, [{}] * len(pairs))
    of_attacked = answer_hidden_states(attacked.model, under_attack, [attacked.coefficients] * len(pairs))
    return [_mean_kl(base, mine[:-1], theirs[:-1]) for mine, theirs in zip(of_attacked, of_base, strict=True)]


def _mean_kl(base: VariantModel, hidden: Tensor, base_hidden: Tensor) -> float:
    """The head is the base's in both, because no attack changes it."""
    parts = zip(torch.split(hidden, MAX_LOGIT_ROWS), torch.split(base_hidden, MAX_LOGIT_ROWS), strict=True)
    kl = [kl_from_base(output_logits(base.network, h), output_logits(base.network, b)) for h, b in parts]
    return float(torch.cat(kl).mean())

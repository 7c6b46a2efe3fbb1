"""Given answers as tokens, with room for enough of each answer."""

from __future__ import annotations

from sku.core.records import PromptPair
from sku.evaluation.plan import MIN_SCORED_TOKENS
from sku.models.batching import EncodedPair, encode_pair
from sku.models.variant_model import VariantModel


def encode_given(model: VariantModel, pair: PromptPair, max_tokens: int) -> EncodedPair:
    """The pair as tokens. A longer answer is cut, though not below `MIN_SCORED_TOKENS`."""
    room = max(max_tokens, len(model.template.prompt_ids(pair.prompt, pair.before)) + MIN_SCORED_TOKENS)
    return encode_pair(model.template, pair, min(room, model.context))

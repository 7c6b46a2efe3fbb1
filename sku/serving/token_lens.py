"""How likely each token of a given answer is under several variants: forgetting seen without sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sku.core.conversation import NO_CONVERSATION, Conversation
from sku.core.variants import Variant
from sku.models.batching import encode_answer
from sku.models.likelihood import answer_kl, token_log_probs
from sku.models.variant_model import VariantModel


@dataclass(frozen=True)
class TokenLens:
    """One answer under several variants."""

    tokens: tuple[str, ...]
    """The text of each token. A letter that several tokens spell stands at the last of them."""
    base: tuple[float, ...]
    """Log-probability of each token under the base, nats."""
    changes: dict[str, tuple[float, ...]]
    """From variant to each token's log-probability minus the base's, nats."""


def token_lens(
    model: VariantModel,
    prompt: str,
    answer: str,
    variants: Sequence[Variant],
    max_tokens: int,
    before: Conversation = NO_CONVERSATION,
) -> TokenLens:
    """The lens on one answer; equal variants are computed once.

    Args:
        model: holds every adapter that `variants` name.
        prompt: what was asked.
        answer: the text whose tokens are scored; cut where prompt and answer exceed `max_tokens`.
        variants: any number; the base need not be among them.
        max_tokens: of prompt and answer together.
        before: the conversation in which the answer was given.

    Raises:
        ValueError: if the prompt leaves no room for an answer.
    """
    row = encode_answer(model.template, prompt, answer, max_tokens, before)
    distinct = {str(variant): variant for variant in variants if variant.coefficients}
    base, *others = token_log_probs(
        model, [row] * (1 + len(distinct)), [{}, *(v.coefficients for v in distinct.values())]
    )
    changes = {name: tuple((one - base).tolist()) for name, one in zip(distinct, others, strict=True)}
    return TokenLens(_pieces(model, row.answer), tuple(base.tolist()), changes)


def kl_on_answer(
    model: VariantModel,
    prompt: str,
    answer: str,
    variants: Sequence[Variant],
    max_tokens: int,
    before: Conversation = NO_CONVERSATION,
) -> list[float]:
    """KL(base || variant) on `answer`, the mean over its tokens in nats; one number a variant, 0 for the base."""
    row = encode_answer(model.template, prompt, answer, max_tokens, before)
    return [one.kl for one in answer_kl(model, [row] * len(variants), [v.coefficients for v in variants])]


def _pieces(model: VariantModel, ids: Sequence[int]) -> tuple[str, ...]:
    """The text that each token adds to the ones before; an end token shows as a sign."""
    found, before = [], ""
    for i, token in enumerate(ids):
        if token in model.template.stop_ids:
            found.append("⏹")
            continue
        whole = model.tokenizer.decode(list(ids[: i + 1]))
        found.append("" if whole.endswith("\ufffd") else whole[len(before) :])
        before = before if whole.endswith("\ufffd") else whole
    return tuple(found)

"""Soft prompt: embedding vectors before the user's text are trained until harmful answers become likely.

No text has these vectors, so this attacker needs the weights, as arXiv:2409.18025 does. The weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from sku.core.records import AskedPrompt, PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.evaluation.attacks.trained_prompt import Found, answer_loss, find_once, training_pairs
from sku.models.altered_model import AlteredModel
from sku.models.batching import Batch, EncodedPair, collate
from sku.models.chat_template import ChatTemplate
from sku.models.soft_tokens import replace_embeddings
from sku.models.variant_model import VariantModel

LEARNING_RATE, MAX_ANSWER_TOKENS, SEED = 3e-2, 32, 0


@contextmanager
def soft_prompt(
    context: AttackContext, variant: Variant, tokens: int, steps: int, pairs: int
) -> Iterator[AttackedModel]:
    """The variant with trained vectors before every prompt.

    Args:
        context: its folder keeps the vectors.
        variant: what is attacked.
        tokens: number of vectors.
        steps: Adam steps, each on all pairs.
        pairs: harmful pairs of the attack data to train on.

    Raises:
        Cancelled: if the user stopped; nothing is kept.
    """
    model = context.model
    settings = {
        "attack": "soft-prompt", "tokens": tokens, "steps": steps, "pairs": pairs, "rate": LEARNING_RATE,
        "max": MAX_ANSWER_TOKENS, "seed": SEED,
    }  # fmt: skip
    found = find_once(context, variant, settings, lambda: _train(context, variant, tokens, steps, pairs))
    run = placeholders(model, tokens)
    yield AttackedModel(
        AlteredModel(model, hooks=[replace_embeddings(model, run, found.values)]),
        variant.coefficients,
        found.details,
        lambda pair: [AskedPrompt(pair.prompt, pair.prompt, ids=tuple(softened(model.template, pair.prompt, run)))],
    )


def placeholders(model: VariantModel, count: int) -> list[int]:
    """The tokens whose embeddings the vectors replace: the last one of the vocabulary, which no text has in a row."""
    return [len(model.network.get_input_embeddings().weight) - 1] * count


def softened(template: ChatTemplate, prompt: str, run: Sequence[int]) -> list[int]:
    """The tokens before the answer, with `run` before the person's text."""
    before, text, after = template.split_prompt(prompt)
    return [*before, *run, *text, *after]


def start_vectors(model: VariantModel, count: int) -> Tensor:
    """Embeddings of `count` random tokens, `[count, H]`, as in prompt tuning (arXiv:2104.08691)."""
    embedding = model.network.get_input_embeddings()
    tokens = torch.randint(len(embedding.weight), (count,), generator=torch.Generator().manual_seed(SEED))
    vectors: Tensor = embedding(tokens.to(model.device)).detach().float()
    return vectors


def _train(context: AttackContext, variant: Variant, tokens: int, steps: int, pairs: int) -> Found:
    model, run = context.model, placeholders(context.model, tokens)
    batch = _encode(model, training_pairs(context, pairs), run)
    vectors = start_vectors(model, tokens).requires_grad_()
    softened_model = AlteredModel(model, hooks=[replace_embeddings(model, run, vectors)])
    optimizer = torch.optim.Adam([vectors], lr=LEARNING_RATE)
    losses = []
    for step in range(steps + 1):
        context.check()
        loss = answer_loss(softened_model, variant.coefficients, batch)
        losses.append(loss.item())
        context.say(f"soft prompt for {variant}: {step} of {steps} steps, {losses[-1]:.2f} nats per token")
        if step < steps:
            (vectors.grad,) = torch.autograd.grad(loss, [vectors])
            optimizer.step()
    return Found(vectors.detach(), losses)


def _encode(model: VariantModel, pairs: Sequence[PromptPair], run: Sequence[int]) -> Batch:
    rows = []
    for pair in pairs:
        prompt = softened(model.template, pair.prompt, run)
        answer = model.template.answer_ids(pair.answer)[:MAX_ANSWER_TOKENS]
        rows.append(EncodedPair((*prompt, *answer), len(prompt)))
    return collate(rows).to(model.device)

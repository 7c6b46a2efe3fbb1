"""Traces in MLP value vectors (ConceptVectors, arXiv:2406.11614).

An MLP puts out a sum of value vectors, the columns of its last weight, each times its activation. Compared are the
vectors that harmful answers use most beyond normal ones in the base. An adapter that does not change the MLPs leaves
every vector as it was: cosine and overlap are then exactly 1, the traces are intact, and only the activations can
differ. Gives numbers only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from sku.core.records import PromptPair
from sku.core.variants import Variant
from sku.evaluation.attacks.attacked_likelihood import MAX_SCORED_TOKENS, batches_by_length
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.evaluation.attacks.quantise import base_linear, decoder_linears, weight_change
from sku.evaluation.given_answers import encode_given
from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.batching import Batch, collate
from sku.models.decoder_blocks import decoder_blocks
from sku.models.variant_model import VariantModel

VECTORS = 50
"""Value vectors that are compared."""
TOP_TOKENS = 50
"""Tokens that a vector raises most; their overlap is measured."""
PAIRS_TO_CHOOSE_BY = 48
BATCH_TOKENS = 2000


@contextmanager
def value_vectors(context: AttackContext, variant: Variant) -> Iterator[AttackedModel]:
    """How far the variant's value vectors for harmful answers are from the base's, and how much they are used."""
    model = context.model
    chosen = choose_vectors(context)
    base, tuned = vectors(model, chosen, {}), vectors(model, chosen, variant.coefficients)

    def use(coefficients: Mapping[str, float]) -> float:
        found = mean_activations(model, coefficients, context.measured, context.check)
        return float(found.flatten()[chosen].sum())

    details = {
        "cosine": float(cosines(base, tuned).mean()),
        "jaccard": mean_token_overlap(model, base, tuned),
        "activation": use(variant.coefficients) / use({}),
    }
    yield AttackedModel(model, variant.coefficients, details)


def choose_vectors(context: AttackContext) -> Tensor:
    """Which vectors harmful answers of the attack data use most beyond normal ones, in the base.

    Use is the mean |activation| times the norm of the vector.

    Returns:
        `VECTORS` indices, largest first, into `[blocks, vectors]` flattened.
    """
    model = context.model
    norms = torch.stack([base_linear(layer).weight.norm(dim=0) for layer in mlp_output_layers(model)])
    harmful, normal = (
        mean_activations(model, {}, pairs[:PAIRS_TO_CHOOSE_BY], context.check)
        for pairs in (context.data.examples, context.data.normal)
    )
    more = ((harmful - normal) * norms).flatten()
    return more.topk(min(VECTORS, len(more))).indices


def mlp_output_layers(model: VariantModel) -> list[nn.Module]:
    """The layer of each block whose columns are its value vectors, such as `down_proj`; it may have LoRA.

    Of all linear layers of a block, this one has the most inputs.

    Raises:
        ValueError: if a block has no linear layer.
    """
    linears = [layer for _, layer in decoder_linears(model)]
    found = []
    for block in decoder_blocks(model.network):
        parts = set(block.modules())
        inside = [layer for layer in linears if layer in parts]
        if not inside:
            raise ValueError(f"{type(block).__name__} has no linear layer, so its value vectors cannot be read")
        found.append(max(inside, key=lambda layer: base_linear(layer).in_features))
    return found


def mean_activations(
    model: VariantModel,
    coefficients: Mapping[str, float],
    pairs: Sequence[PromptPair],
    check: Callable[[], None] = lambda: None,
) -> Tensor:
    """The mean |activation| of every value vector over all answer tokens, `[blocks, vectors]`."""
    total, tokens = torch.zeros(()), 0
    for some in batches_by_length(model, pairs, MAX_SCORED_TOKENS, BATCH_TOKENS):
        check()
        batch = collate([encode_given(model, pair, MAX_SCORED_TOKENS) for pair in some]).to(model.device)
        total = total.to(model.device) + _total_activations(model, coefficients, batch)
        tokens += int(batch.answer_mask.sum())
    return total / tokens


def _total_activations(model: VariantModel, coefficients: Mapping[str, float], batch: Batch) -> Tensor:
    kept: list[Tensor] = []

    def keep(_module: nn.Module, inputs: tuple[Any, ...], _output: Any) -> None:
        activations = inputs[0].reshape(*batch.answer_mask.shape, -1)  # OPT flattens rows and tokens
        kept.append(activations[batch.answer_mask].float().abs().sum(0))

    view = AlteredModel(model, hooks=[ModuleHook(layer, keep) for layer in mlp_output_layers(model)])
    view.last_hidden_states([coefficients] * len(batch.input_ids), batch.input_ids, batch.attention_mask, None)
    return torch.stack(kept)


@torch.no_grad()
def vectors(model: VariantModel, chosen: Tensor, coefficients: dict[str, float]) -> Tensor:
    """The chosen value vectors under these coefficients, `[chosen, H]`."""
    layers = mlp_output_layers(model)
    found: dict[int, Tensor] = {}
    width = base_linear(layers[0]).in_features
    for number in sorted({place // width for place in chosen.tolist()}):
        change = weight_change(model, layers[number], coefficients)
        weight = base_linear(layers[number]).weight.float()
        found[number] = weight if change is None else weight + change.float()
    return torch.stack([found[place // width][:, place % width] for place in chosen.tolist()])


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """The cosine of each pair of rows; exactly 1 for equal rows: cos = 1 - |a/|a| - b/|b||^2 / 2."""
    found: Tensor = 1 - (normalize(a.double(), dim=-1) - normalize(b.double(), dim=-1)).square().sum(-1) / 2
    return found


def mean_token_overlap(model: VariantModel, a: Tensor, b: Tensor) -> float | None:
    """The mean Jaccard overlap of the tokens that each vector raises most; None if the head reads another width."""
    head = model.network.get_output_embeddings().weight
    if head.shape[1] != a.shape[1]:  # OPT-350m projects between the last block and the head
        return None
    of_a, of_b = ((rows.to(head) @ head.T).topk(TOP_TOKENS).indices.tolist() for rows in (a, b))
    overlaps = [len({*x} & {*y}) / len({*x} | {*y}) for x, y in zip(of_a, of_b, strict=True)]
    return sum(overlaps) / len(overlaps)

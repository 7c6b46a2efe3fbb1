"""Removing the refusal direction (Arditi et al., arXiv:2406.11717).

r is the mean hidden state of harmful prompts minus that of harmless ones, at the last token before the answer, in the
variant's own hidden states. It is projected out of every block's output: h <- h - r (r . h) with |r| = 1. There is one
candidate per layer in the first 80 % of the layers. Chosen is the one whose removal makes given harmful answers of the
attack data likeliest; measured prompts take no part. The paper chooses by refusal words instead, and also projects
between the attention and the MLP of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from sku.core.variants import Variant
from sku.evaluation.attacks.attacked_likelihood import mean_given_log_prob
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.decoder_blocks import decoder_blocks, hidden_states_of, last_prompt_states, replace_hidden_states
from sku.models.variant_model import VariantModel

SHARE_OF_LAYERS = 0.8
"""Directions of later layers are close to single tokens, and removing them damages the model (as in the paper)."""
PAIRS_TO_CHOOSE_BY = 8
TOKENS_TO_CHOOSE_BY = 64
"""Of a prompt and its answer."""


@contextmanager
def remove_direction(context: AttackContext, variant: Variant) -> Iterator[AttackedModel]:
    """The variant without its refusal direction."""
    pairs = context.data.harmful[:PAIRS_TO_CHOOSE_BY]

    def log_prob(model: VariantModel) -> float:
        context.check()
        return mean_given_log_prob(AttackedModel(model, variant.coefficients), pairs, TOKENS_TO_CHOOSE_BY)

    directions = refusal_directions(context, variant)
    before = log_prob(context.model)
    found = []
    for layer, direction in enumerate(directions):
        context.say(f"trying the direction of layer {layer} of {len(directions)}")
        found.append(log_prob(without_direction(context.model, direction)))
    layer = max(range(len(found)), key=lambda i: found[i])
    attacked = without_direction(context.model, directions[layer])
    yield AttackedModel(attacked, variant.coefficients, {"layer": layer, "raised": found[layer] - before})


def refusal_directions(context: AttackContext, variant: Variant) -> Tensor:
    """The unit vector of each candidate layer, `[layers, H]`."""
    means = [
        last_prompt_states(context.model, [pair.prompt for pair in pairs], variant.coefficients, context.check).mean(
            1
        )  # (blocks, H)
        for pairs in (context.data.harmful, context.data.normal)
    ]
    difference = means[0] - means[1]
    candidates = difference[: max(1, int(SHARE_OF_LAYERS * len(difference)))]
    return normalize(candidates, dim=-1)


def without_direction(model: VariantModel, direction: Tensor) -> AlteredModel:
    """A view of `model` whose blocks put out nothing along the unit vector `direction` `[H]`."""

    def project_out(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
        hidden = hidden_states_of(output)
        r = direction.to(hidden.dtype)
        return replace_hidden_states(output, hidden - (hidden @ r)[..., None] * r)

    return AlteredModel(model, hooks=[ModuleHook(block, project_out) for block in decoder_blocks(model.network)])

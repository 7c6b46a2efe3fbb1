"""Logit lens: what earlier layers would answer, if the output head read them (arXiv:2409.18025).

If an earlier layer finds harmful answers likelier than the last one does, the knowledge is there, and only its
expression is suppressed. Gives numbers only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from sku.core.variants import Variant
from sku.evaluation.attacks.attacked_likelihood import mean_given_log_prob
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.decoder_blocks import decoder_blocks
from sku.models.variant_model import VariantModel


@contextmanager
def logit_lens(context: AttackContext, variant: Variant, every: int = 3) -> Iterator[AttackedModel]:
    """The likelihood of given harmful answers by layer.

    Args:
        context: holds the model and the given answers.
        variant: what is measured.
        every: measure the last layer and, before it, one layer in so many.
    """
    last = len(decoder_blocks(context.model.network)) - 1
    log_probs: dict[int, float] = {}
    for layer in range(last, -1, -every):
        context.check()
        context.say(f"reading layer {layer} of {last}")
        early = AttackedModel(exit_after(context.model, layer), variant.coefficients)
        log_probs[layer] = mean_given_log_prob(early, context.measured)
    details = {
        "log_prob_by_layer": {str(layer): log_probs[layer] for layer in sorted(log_probs)},
        "gap": max(log_probs.values()) - log_probs[last],
    }
    yield AttackedModel(context.model, variant.coefficients, details)


def exit_after(model: VariantModel, layer: int) -> AlteredModel:
    """A view of `model` in which final norm and output head read the output of block `layer`, counted from 0."""
    blocks = decoder_blocks(model.network)
    kept: list[Any] = []

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        kept[:] = [output]

    def put_out_kept(_module: nn.Module, _inputs: tuple[Any, ...], _output: Any) -> Any:
        return kept.pop()

    return AlteredModel(model, hooks=[ModuleHook(blocks[layer], keep), ModuleHook(blocks[-1], put_out_kept)])

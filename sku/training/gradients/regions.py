"""Rules that change only some modules or layers, chosen once from the gradients of harmful and normal answers."""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch.nn.functional import cosine_similarity

from sku.models.decoder_blocks import decoder_blocks
from sku.training.gradients.answer_gradients import mean_gradient
from sku.training.gradients.rule import Gradients, Rule, RuleInputs, StepGradients, added

LARGE_GRADIENT = 0.5
"""A module's gradient on harmful answers is large if its norm is at least this times the median of all modules."""


def unlike_modules(inputs: RuleInputs, cosine: float) -> Rule:
    """MemFlex (arXiv:2407.01920): change only modules where g_h is large and its cosine with g_n is low.

    g_h and g_n are the gradients of harmful and of normal answers.

    Raises:
        ValueError: if no module is left.
    """
    chosen = located_modules(mean_gradient(inputs, "harmful"), mean_gradient(inputs, "normal"), cosine)
    if not chosen:
        raise ValueError(
            f"no module has a large gradient on harmful answers and a cosine of at most {cosine:g}; raise the number "
            f"in gradient=modules@{cosine:g}"
        )
    return _only({_module(name) for name in chosen})


def located_modules(
    harmful: Gradients, normal: Gradients, cosine: float, large: float = LARGE_GRADIENT
) -> frozenset[str]:
    """The names of the gradients that are large on harmful answers and point apart from those on normal answers."""
    norms = {name: float(g.norm()) for name, g in harmful.items()}
    bound = large * float(torch.tensor(sorted(norms.values())).median())
    return frozenset(
        name
        for name, g in harmful.items()
        if norms[name] >= bound and float(cosine_similarity(g.flatten(), normal[name].flatten(), 0)) <= cosine
    )


def toxic_layers(inputs: RuleInputs, share: float) -> Rule:
    """After Precision Knowledge Editing (arXiv:2410.03772): find the toxic layers, and change only those.

    A layer's score is the norm of the gradient of harmful answers with respect to its B factors, over that of normal
    answers. At least one layer is changed.
    """
    harmful, normal = mean_gradient(inputs, "harmful"), mean_gradient(inputs, "normal")
    blocks = _block_of_each_module(inputs)
    scores = {}
    for number in set(blocks.values()):
        names = [name for name in harmful if blocks[_module(name)] == number]
        scores[number] = _norm(harmful, names) / max(_norm(normal, names), 1e-12)
    chosen = top_layers(scores, share)
    return _only({module for module, number in blocks.items() if number in chosen})


def top_layers(scores: dict[int, float], share: float) -> list[int]:
    """The `share` of layers with the highest scores, rounded up, at least one. Of equal layers the lower wins."""
    count = max(1, math.ceil(share * len(scores)))
    return sorted(scores, key=lambda number: (-scores[number], number))[:count]


def _only(modules: Collection[str]) -> Rule:
    """The rule g_f + g_k in the named modules, and 0 elsewhere."""

    def combine(step: StepGradients) -> Gradients:
        whole = added(step.forget, step.keep)
        return {name: g if _module(name) in modules else torch.zeros_like(g) for name, g in whole.items()}

    return combine


def _module(parameter: str) -> str:
    """The name of the adapted module, from the name of one of its factors."""
    return parameter.partition(".lora_")[0]


def _norm(gradients: Gradients, names: list[str]) -> float:
    return math.sqrt(sum(float(gradients[name].double().square().sum()) for name in names))


def _block_of_each_module(inputs: RuleInputs) -> dict[str, int]:
    """The decoder block of each adapted module, counted from 0."""
    inside = {
        id(module): number
        for number, block in enumerate(decoder_blocks(inputs.peft_model.get_base_model()))
        for module in block.modules()
    }
    names = {_module(name) for name in inputs.parameters}
    return {name: inside[id(inputs.peft_model.get_submodule(name))] for name in sorted(names)}

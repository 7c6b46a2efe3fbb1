"""A view with other weights: the original never notices, whatever happens in the view."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from sku.core.config import DecodingConfig
from sku.core.variants import Variant
from sku.models.altered_model import AlteredModel, ModuleHook
from sku.models.generation import generate_answers, stream_answers
from sku.models.variant_model import VariantModel

BASE = Variant("base", 0.0)
SHORT = DecodingConfig(max_new_tokens=8)


def texts(model: VariantModel, *variants: Variant) -> list[str]:
    return [one.text for one in generate_answers(model, ["How?", "Why not?"], variants or (BASE,), SHORT)]


def weights(model: VariantModel) -> dict[str, bytes]:
    return {name: w.detach().numpy().tobytes() for name, w in model.network.state_dict().items()}


def altered(model: VariantModel) -> AlteredModel:
    layer = model.network.model.layers[1].mlp.down_proj
    return AlteredModel(model, {layer.weight: torch.zeros_like(layer.weight)})


def test_a_view_without_changes_answers_as_the_original(duo: VariantModel) -> None:
    one = Variant("one", 1.0, {"one": -1.0})
    assert texts(AlteredModel(duo), BASE, one) == texts(duo, BASE, one)


def test_a_view_answers_with_its_own_weights_and_the_original_with_the_old_ones(pico: VariantModel) -> None:
    before, values = texts(pico), weights(pico)
    view = altered(pico)
    assert texts(view) != before
    assert texts(pico) == before
    assert weights(pico) == values


def test_a_template_prefix_read_by_the_view_is_not_used_by_the_original(pico: VariantModel) -> None:
    fresh = texts(AlteredModel(pico))
    texts(altered(pico))
    assert texts(pico) == fresh


def test_a_stream_that_nobody_finishes_leaves_the_weights(pico: VariantModel) -> None:
    values = weights(pico)
    stream = stream_answers(altered(pico), ["How?"], [BASE], SHORT)
    for _ in range(4):
        next(stream)
        assert weights(pico) == values
    stream.close()
    assert weights(pico) == values


def test_an_error_in_a_forward_leaves_weights_and_hooks(pico: VariantModel) -> None:
    layer = pico.network.model.layers[0]

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    view = AlteredModel(
        pico, {layer.mlp.up_proj.weight: torch.zeros_like(layer.mlp.up_proj.weight)}, [ModuleHook(layer, fail)]
    )
    values = weights(pico)
    with pytest.raises(RuntimeError, match="no"):
        texts(view)
    assert weights(pico) == values
    assert not layer._forward_hooks


def test_two_users_at_once_never_see_each_others_weights(pico: VariantModel) -> None:
    view = altered(pico)
    wanted = {"view": texts(view), "original": texts(pico)}
    found: dict[str, list[list[str]]] = {"view": [], "original": []}

    def ask(name: str, model: VariantModel) -> None:
        for _ in range(5):
            found[name].append(texts(model))

    threads = [threading.Thread(target=ask, args=pair) for pair in (("view", view), ("original", pico))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer == wanted[name] for name, answers in found.items() for answer in answers)

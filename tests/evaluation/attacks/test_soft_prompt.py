"""The soft prompt: it teaches its pairs, is found once, and leaves the model as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sku.core.attacks import ATTACKS
from sku.core.config import DecodingConfig
from sku.core.errors import Cancelled
from sku.core.variants import Variant
from sku.evaluation.attacks import soft_prompt as module
from sku.evaluation.attacks.attacked_likelihood import given_log_probs, kl_on_answers
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.evaluation.attacks.soft_prompt import placeholders, soft_prompt, softened, start_vectors
from sku.models.flattened_inputs import FlattenedInputs
from sku.models.generation import generate_answers
from sku.models.variant_model import VariantModel
from tests.evaluation.attacks.conftest import MEASURED, OWN
from tests.evaluation.attacks.test_attack_runner import MakePlan, by_cell, measure
from tests.evaluation.attacks.test_quantise import BASE, ONE, logits

SMALL = {"tokens": 4, "steps": 6, "pairs": 3}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embeddings of the pico model are small, so its steps are too."""
    monkeypatch.setattr(module, "LEARNING_RATE", 0.05)


def stop_at(call: int) -> Callable[[], None]:
    """A `check` that raises at its call number `call`."""
    left = call

    def check() -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Cancelled("stopped")

    return check


def is_untouched(model: VariantModel) -> bool:
    """Whether no hook and no gradient is left. The hooks that give flattened layers their rows are always there."""
    modules = model.network.modules()
    every = [hook for m in modules for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    hooks = [hook for hook in every if not isinstance(getattr(hook, "__self__", None), FlattenedInputs)]
    return not hooks and not any(p.requires_grad or p.grad is not None for p in model.network.parameters())


def mean_log_prob(attacked: AttackedModel, context: AttackContext, pairs: int) -> float:
    return sum(sum(one) / len(one) for one in given_log_probs(attacked, context.data.harmful[:pairs], 512)) / pairs


@pytest.mark.parametrize("variant", [BASE, ONE], ids=str)
def test_training_makes_its_pairs_likelier(context: AttackContext, variant: Variant) -> None:
    with soft_prompt(context, variant, **SMALL) as attacked:
        assert attacked.details["last_loss"] < attacked.details["first_loss"] - 0.05
        assert mean_log_prob(attacked, context, 3) > mean_log_prob(
            AttackedModel(context.model, variant.coefficients), context, 3
        )


def test_the_last_loss_is_what_the_attacked_model_has(context: AttackContext) -> None:
    """All answers of the pico data have the same number of tokens, so the mean of means is the mean."""
    with soft_prompt(context, ONE, **SMALL) as attacked:
        whole = [values[: module.MAX_ANSWER_TOKENS] for values in given_log_probs(attacked, context.data.harmful, 512)]
        values = [value for one in whole[:3] for value in one]
        assert -sum(values) / len(values) == pytest.approx(attacked.details["last_loss"], abs=1e-5)


def test_untrained_vectors_are_random_tokens_before_the_prompt(context: AttackContext) -> None:
    model = context.model
    embedding = model.network.get_input_embeddings().weight
    words = [int((embedding == vector).all(1).nonzero()) for vector in start_vectors(model, 4)]
    with soft_prompt(context, ONE, tokens=4, steps=0, pairs=3) as attacked:
        (asked,) = attacked.ask(MEASURED[0])
        assert asked.ids is not None
        assert list(asked.ids) == softened(model.template, MEASURED[0].prompt, placeholders(model, 4))
        by_hand = dataclasses.replace(asked, ids=tuple(softened(model.template, MEASURED[0].prompt, words)))
        config, variant = DecodingConfig(max_new_tokens=8), Variant("one", 1.0, attacked.coefficients)
        (soft,) = generate_answers(attacked.model, [asked], [variant], config)
        (hard,) = generate_answers(model, [by_hand], [variant], config)
        assert soft.text == hard.text
        assert attacked.details["first_loss"] == attacked.details["last_loss"]


def test_the_vectors_stand_between_the_template_and_the_text_of_the_person(context: AttackContext) -> None:
    """The prefix cache may divide a prompt behind the template's prefix, and not within the vectors."""
    template = context.model.template
    ids = softened(template, "How?", [7, 7])
    start = len(template.prefix_ids)
    assert ids[:start] == list(template.prefix_ids)
    assert ids[start : start + 2] == [7, 7]
    assert ids[:start] + ids[start + 2 :] == template.prompt_ids("How?")


def test_no_vectors_change_nothing(context: AttackContext) -> None:
    as_it_is = AttackedModel(context.model, ONE.coefficients)
    with soft_prompt(context, ONE, tokens=0, steps=0, pairs=3) as attacked:
        assert attacked.ask(MEASURED[0])[0].ids == tuple(context.model.template.prompt_ids(MEASURED[0].prompt))
        assert given_log_probs(attacked, MEASURED, 128) == given_log_probs(as_it_is, MEASURED, 128)
        assert kl_on_answers(context.model, attacked, OWN, 128) == kl_on_answers(context.model, as_it_is, OWN, 128)


def test_likelihood_and_kl_are_measured_behind_the_vectors(context: AttackContext) -> None:
    with soft_prompt(context, BASE, **SMALL) as attacked:
        plain = AttackedModel(context.model, {})
        assert given_log_probs(attacked, MEASURED, 128) != given_log_probs(plain, MEASURED, 128)
        assert min(kl_on_answers(context.model, attacked, OWN, 128)) > 0
        assert kl_on_answers(context.model, plain, OWN, 128) == [0] * len(OWN)


def test_the_served_model_never_notices(context: AttackContext) -> None:
    model = context.model
    before = logits(model, {}), logits(model, ONE.coefficients)
    with soft_prompt(context, ONE, **SMALL) as attacked:
        given_log_probs(attacked, MEASURED, 128)
        assert is_untouched(model), "between two forwards no hook is on the network"
        assert torch.equal(logits(model, ONE.coefficients), before[1])
    assert is_untouched(model)
    assert torch.equal(logits(model, {}), before[0])
    assert torch.equal(logits(model, ONE.coefficients), before[1])


@pytest.mark.parametrize("call", [1, 4, 7])
def test_stopping_leaves_nothing_and_the_next_call_finds_the_same(
    context: AttackContext, tmp_path: Path, call: int
) -> None:
    with soft_prompt(dataclasses.replace(context, folder=tmp_path / "whole"), ONE, **SMALL) as attacked:
        wanted = given_log_probs(attacked, MEASURED, 128)
    before = logits(context.model, {})
    with pytest.raises(Cancelled), soft_prompt(dataclasses.replace(context, check=stop_at(call)), ONE, **SMALL):
        pass
    assert is_untouched(context.model)
    assert torch.equal(logits(context.model, {}), before)
    assert not list(context.folder.glob("*"))
    with soft_prompt(context, ONE, **SMALL) as attacked:
        assert given_log_probs(attacked, MEASURED, 128) == wanted


def test_vectors_are_trained_once(context: AttackContext) -> None:
    with soft_prompt(context, ONE, **SMALL) as attacked:
        wanted, details = given_log_probs(attacked, MEASURED, 128), attacked.details
    lines: list[str] = []
    with soft_prompt(dataclasses.replace(context, say=lines.append, check=stop_at(1)), ONE, **SMALL) as attacked:
        assert given_log_probs(attacked, MEASURED, 128) == wanted
        assert attacked.details == details
    assert not lines, "nothing was trained"


def test_other_coefficients_settings_and_data_are_trained_anew(context: AttackContext) -> None:
    other_data = dataclasses.replace(context.data, harmful=context.data.harmful[::-1])
    for given, variant, settings in (
        (context, ONE, SMALL),
        (context, Variant("one", 0.5, {"one": -0.5}), SMALL),
        (context, BASE, SMALL),
        (context, ONE, SMALL | {"steps": 1}),
        (dataclasses.replace(context, data=other_data), ONE, SMALL),
    ):
        with soft_prompt(given, variant, **settings):
            pass
    assert len(list(context.folder.iterdir())) == 5


def test_too_few_pairs_are_an_error(context: AttackContext) -> None:
    with (
        pytest.raises(ValueError, match="trains on 9 harmful pairs and its data have 8"),
        soft_prompt(context, ONE, tokens=2, steps=1, pairs=9),
    ):
        pass


def test_a_measurement_has_its_rows_and_details(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ATTACKS, "soft-prompt", dataclasses.replace(ATTACKS["soft-prompt"], settings=SMALL))
    rows = by_cell(measure(duo, make_plan("soft-prompt"), tmp_path / "work"))
    for variant in ("base", "one@1", "two@0.5"):
        row = rows[variant, "soft-prompt"]
        assert row.n == len(MEASURED)
        assert set(row.attack_details) == {"first_loss", "last_loss"}
        assert row.harmful_log_prob != rows[variant, "none"].harmful_log_prob

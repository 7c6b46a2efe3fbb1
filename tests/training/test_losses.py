"""Each term by hand, and what its minimum means."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax

from sku.core.config import TrainConfig
from sku.core.terms import TERMS
from sku.training.losses.inputs import TermInputs, TermLoss
from sku.training.losses.kl import OPENING_TOKENS, opening_weights, preserve, retain
from sku.training.losses.nll import ascend, descend
from sku.training.losses.preference import prefer_harmful, prefer_safe
from sku.training.losses.sequence import sequence_nll
from sku.training.objective import find_loss

CONFIG = TrainConfig()
TWO = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]))


def given(
    logits: torch.Tensor,
    targets: torch.Tensor | None = None,
    rows: torch.Tensor | None = None,
    base: torch.Tensor | None = None,
    other: torch.Tensor | None = None,
) -> TermInputs:
    """Inputs of a loss; by default every token is its own row's first word."""
    zeros = torch.zeros(len(logits), dtype=torch.long)
    targets, rows = zeros if targets is None else targets, zeros if rows is None else rows
    return TermInputs(logits, targets, rows, base, other_logits=other)


def preserved(logits: torch.Tensor, base: torch.Tensor, **settings: Any) -> torch.Tensor:
    return preserve(given(logits, base=base), TrainConfig(**settings))


def uniform(loss_of_base: list[float], sizes: list[int], words: int = 2) -> torch.Tensor:
    """Base logits under which every token of row r has a loss of `loss_of_base[r]` when word 0 is the target."""
    lines = []
    for nll, size in zip(loss_of_base, sizes, strict=True):
        rest = math.log((1 - math.exp(-nll)) / (words - 1))
        lines += [[-nll, *[rest] * (words - 1)]] * size
    return torch.tensor(lines)


def test_sequence_nll_of_three_known_probabilities() -> None:
    """Row 0: tokens with probability 1/2 and 3/4; row 1: one with 9/10."""
    nll = sequence_nll(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
    expected = [-(math.log(0.5) + math.log(0.75)) / 2, -math.log(0.9)]
    assert nll.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_long_answer_counts_no_more_than_a_short_one() -> None:
    value = descend(given(TWO, torch.tensor([0, 1, 0]), torch.tensor([7, 7, 9 - 1])), CONFIG)
    assert float(value) == pytest.approx(((-math.log(0.5) - math.log(0.75)) / 2 - math.log(0.9)) / 2, rel=1e-6)


@pytest.mark.parametrize("preservation", ["push", "keep"])
def test_the_first_tokens_of_every_answer_count_as_often_as_their_weight_says(preservation: str) -> None:
    """Two answers of 5 and 2 tokens at weight 3: each of the first four counts like three tokens."""
    draw = torch.Generator().manual_seed(0)
    logits, base = torch.randn(7, 4, generator=draw), torch.randn(7, 4, generator=draw)
    rows = torch.tensor([0] * 5 + [1] * 2)
    weighted = TrainConfig(preservation=preservation, opening_weight=3.0)
    plain = TrainConfig(preservation=preservation)
    repeated = torch.tensor([0, 1, 2, 3] * 3 + [4] + [5, 6] * 3)
    expected = preserve(given(logits[repeated], base=base[repeated]), plain)
    assert torch.allclose(preserve(given(logits, rows=rows, base=base), weighted), expected)


def test_opening_weights_of_two_answers_by_hand() -> None:
    assert OPENING_TOKENS == 4
    found = opening_weights(torch.tensor([3] * 6 + [4] * 2), 8.0)
    assert found is not None
    assert found.tolist() == [8, 8, 8, 8, 1, 1, 8, 8]
    assert opening_weights(torch.tensor([0, 0]), 1.0) is None


def test_descending_makes_the_answers_likelier() -> None:
    logits = torch.zeros(4, 5, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3])
    descend(given(logits, targets, torch.tensor([0, 0, 1, 1])), CONFIG).backward()
    after = logits - logits.grad
    assert (log_softmax(after, -1)[range(4), targets] > log_softmax(logits, -1)[range(4), targets]).all()


def test_ascending_is_minus_descending() -> None:
    inputs = given(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
    assert float(ascend(inputs, CONFIG)) == -float(descend(inputs, CONFIG)) < 0


def test_push_and_keep_have_opposite_signs_and_push_is_bounded() -> None:
    base = torch.zeros(3, 4)
    near = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)) * 0.01
    far = torch.tensor([[1e4, 0, 0, 0]] * 3)
    keep = preserved(near, base, preservation="keep")
    push = preserved(near, base, preservation="push")
    assert float(keep) > 0
    assert float(push) == pytest.approx(-float(keep), rel=1e-3), "far below the bound, push is minus KL as published"
    assert float(preserved(far, base, preservation="push", push_bound=10.0)) >= -10.0


def test_push_has_nothing_to_gain_beyond_its_bound() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    preserved(logits, torch.zeros(1, 2), preservation="push", push_bound=2.0).backward()
    assert logits.grad.abs().max() < 1e-6


def test_retaining_is_keeping() -> None:
    draw = torch.Generator().manual_seed(2)
    base, model = torch.randn(5, 7, generator=draw), torch.randn(5, 7, generator=draw)
    kept = preserved(model, base, preservation="keep")
    assert float(retain(given(model, base=base), CONFIG)) == float(kept) > 0


@pytest.mark.parametrize("name", TERMS)
def test_nothing_to_score_is_an_error_not_a_nan(name: str) -> None:
    empty = given(torch.zeros(0, 4), base=torch.zeros(0, 4), other=torch.zeros(0, 4))
    with pytest.raises(ValueError, match="no token is scored"):
        find_loss(TERMS[name].loss)(empty, CONFIG)


@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs_base_logits])
def test_a_loss_that_compares_with_the_base_says_when_it_was_not_given(name: str) -> None:
    with pytest.raises(ValueError, match="needs_base_logits"):
        find_loss(TERMS[name].loss)(given(TWO), CONFIG)


@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs_other_prompt])
def test_a_loss_that_reads_another_prompt_says_when_it_was_not_given(name: str) -> None:
    with pytest.raises(ValueError, match="needs_other_prompt"):
        find_loss(TERMS[name].loss)(given(TWO, base=TWO), CONFIG)


BASE_NLL = [1.0, 0.5]
"""Nats per token of a harmful answer of two tokens and a safe one of one, under the base."""


def pair(targets: list[int]) -> TermInputs:
    """The three known lines as a harmful answer of two tokens and a safe one, and a base that gave `BASE_NLL`."""
    base = uniform(BASE_NLL, [2, 1])
    for line, target in enumerate(targets):
        if target:
            base[line] = base[line].flip(0)
    return given(TWO, torch.tensor(targets), torch.tensor([0, 0, 1]), base)


def test_preferring_the_harmful_answer_by_hand() -> None:
    """Harmful tokens at 1/2 and 3/4, safe at 9/10; the base gave 1 and 0.5 nats per token. Slope 2."""
    gained = 1.0 - (-(math.log(0.5) + math.log(0.75)) / 2)
    lost = 0.5 - (-math.log(0.9))
    value = prefer_harmful(pair([0, 1, 0]), TrainConfig(contrast_slope=2.0))
    assert float(value) == pytest.approx(math.log(1 + math.exp(-2 * (gained - lost))), rel=1e-5)


@pytest.mark.parametrize("loss", [prefer_harmful, prefer_safe])
def test_a_preference_of_the_base_itself_is_log_two(loss: TermLoss) -> None:
    value = loss(given(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]), TWO), CONFIG)
    assert float(value) == pytest.approx(math.log(2))


def test_preferring_the_harmful_answer_lifts_it_over_the_safe_one() -> None:
    logits = torch.zeros(4, 5, requires_grad=True)
    targets, rows = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 1])
    prefer_harmful(given(logits, targets, rows, torch.zeros(4, 5)), CONFIG).backward()
    after = sequence_nll(logits.detach() - logits.grad, targets, rows)
    assert after[0] < math.log(5) < after[1]


def test_a_safe_answer_in_the_negated_model_is_lifted_too() -> None:
    """Row 1 ran as base - tau: there the safe answer is to gain, and its gain counts with a plus."""
    logits = torch.zeros(2, 2, requires_grad=True)
    targets, rows = torch.tensor([0, 0]), torch.tensor([0, 1])
    negated = TrainConfig(method="sku_contrast", contrast_slope=3.0)
    assert negated.preserved_negated
    value = prefer_harmful(given(logits, targets, rows, uniform([2.0, 1.5], [1, 1])), negated)
    gained = (2.0 - math.log(2)) + (1.5 - math.log(2))
    assert value.item() == pytest.approx(math.log(1 + math.exp(-3 * gained)), rel=1e-5)
    value.backward()
    after = sequence_nll(logits.detach() - logits.grad, targets, rows)
    assert after[0] < math.log(2)
    assert after[1] < math.log(2)


def test_preferring_the_safe_answer_is_the_same_with_harmful_and_safe_exchanged() -> None:
    """What one loss lifts the other lowers."""
    preferred = prefer_safe(pair([0, 1, 0]), TrainConfig(contrast_slope=2.0))
    gained, lost = 0.5 - (-math.log(0.9)), 1.0 - (-(math.log(0.5) + math.log(0.75)) / 2)
    assert float(preferred) == pytest.approx(math.log(1 + math.exp(-2 * (gained - lost))), rel=1e-5)
    inputs = pair([0, 1, 0])
    assert inputs.base_logits is not None
    swapped = TermInputs(
        inputs.logits[[2, 0, 1]],
        inputs.targets[[2, 0, 1]],
        torch.tensor([0, 1, 1]),
        inputs.base_logits[[2, 0, 1]],
    )
    assert float(prefer_harmful(swapped, TrainConfig(contrast_slope=2.0))) == pytest.approx(float(preferred), rel=1e-6)


@pytest.mark.parametrize("loss", [prefer_harmful, prefer_safe])
def test_half_a_pair_is_refused(loss: TermLoss) -> None:
    with pytest.raises(ValueError, match="not pairs"):
        loss(given(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2]), TWO), CONFIG)


def test_a_preference_is_the_mean_over_pairs() -> None:
    """Two pairs, one token each; the base gave every token 1/2. Harmful at 1/2, 1/4; safe at 9/10, 3/4."""
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.25, 0.75], [0.75, 0.25]]))
    inputs = given(logits, torch.zeros(4, dtype=torch.long), torch.arange(4), torch.zeros(4, 2))
    margins = [math.log(0.5 / 0.9), math.log(0.25 / 0.75)]
    for loss, sign in ((prefer_harmful, 1), (prefer_safe, -1)):
        expected = sum(math.log(1 + math.exp(-2 * sign * margin)) for margin in margins) / 2
        assert float(loss(inputs, TrainConfig(contrast_slope=2.0))) == pytest.approx(expected, rel=1e-5)

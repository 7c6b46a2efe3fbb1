"""Each term by hand, and what its minimum means."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import log_softmax

from sku.models.divergence import kl_from_base
from sku.training import losses
from sku.training.losses.sequence import sequence_nll

TWO = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]))


def test_sequence_nll_of_three_known_probabilities() -> None:
    """Row 0: tokens with probability 1/2 and 3/4; row 1: one with 9/10."""
    nll = sequence_nll(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]))
    expected = [-(math.log(0.5) + math.log(0.75)) / 2, -math.log(0.9)]
    assert nll.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_long_answer_counts_no_more_than_a_short_one() -> None:
    value = losses.distortion(TWO, torch.tensor([0, 1, 0]), torch.tensor([7, 7, 9 - 1]))
    assert float(value) == pytest.approx(((-math.log(0.5) - math.log(0.75)) / 2 - math.log(0.9)) / 2, rel=1e-6)


def test_a_token_of_weight_two_counts_as_two_tokens() -> None:
    base, weights, twice = TWO.flip(0), torch.tensor([1.0, 2.0, 1.0]), torch.tensor([0, 1, 1, 2])
    for push in (True, False):
        kept = losses.preservation(TWO, base, push, 10.0, weights)
        assert torch.allclose(kept, losses.preservation(TWO[twice], base[twice], push, 10.0))


@pytest.mark.parametrize("name", ["distortion", "disassociation", "mismatch", "fine_tuning"])
def test_descent_terms_make_their_answer_likelier(name: str) -> None:
    logits = torch.zeros(4, 5, requires_grad=True)
    targets = torch.tensor([0, 1, 2, 3])
    getattr(losses, name)(logits, targets, torch.tensor([0, 0, 1, 1])).backward()
    after = logits - logits.grad
    assert (log_softmax(after, -1)[range(4), targets] > log_softmax(logits, -1)[range(4), targets]).all()


def test_ascent_is_minus_distortion() -> None:
    arguments = TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
    assert losses.ascent(*arguments) == -losses.distortion(*arguments)


def test_kl_by_hand_and_its_direction() -> None:
    """KL(base || model) of base (1/2, 1/2) and model (1/4, 3/4), not the reverse."""
    base, model = TWO[:1], TWO[1:2]
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert float(kl_from_base(model, base)) == pytest.approx(expected, rel=1e-5)
    assert float(kl_from_base(base, base)) == 0


def test_kl_survives_a_vanishing_probability() -> None:
    """Defect 5: the reference guards only one of the two probabilities, and divides by an underflow."""
    base, model = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, -1e4]])
    assert math.isfinite(float(kl_from_base(model, base)))


def test_push_and_keep_have_opposite_signs_and_push_is_bounded() -> None:
    base = torch.zeros(3, 4)
    near, far = torch.randn(3, 4) * 0.01, torch.tensor([[1e4, 0, 0, 0]] * 3)
    keep = losses.preservation(near, base, push=False, bound=10.0)
    push = losses.preservation(near, base, push=True, bound=10.0)
    assert float(push) == pytest.approx(-float(keep), rel=1e-3), "far below the bound, push is minus KL as published"
    assert float(losses.preservation(far, base, push=True, bound=10.0)) >= -10.0


def test_push_has_nothing_to_gain_beyond_its_bound() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    losses.preservation(logits, torch.zeros(1, 2), push=True, bound=2.0).backward()
    assert logits.grad.abs().max() < 1e-6


def test_retention_is_keep() -> None:
    base, model = torch.randn(5, 7), torch.randn(5, 7)
    assert losses.retention(model, base) == losses.preservation(model, base, push=False, bound=1.0)


def test_half_precision_logits_are_compared_in_full() -> None:
    base, model = torch.randn(5, 700), torch.randn(5, 700)
    full = kl_from_base(model.bfloat16().float(), base.bfloat16().float())
    assert torch.equal(kl_from_base(model.bfloat16(), base.bfloat16()), full)


@pytest.mark.parametrize("name", losses.__all__)
def test_nothing_to_score_is_an_error_not_a_nan(name: str) -> None:
    empty, none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    term = getattr(losses, name)
    paired = (empty, none, none, torch.zeros(0), 6.0)
    flat = {2: (empty, empty), 3: (empty, none, none), 5: (empty, empty, True, 1.0)}
    arguments = paired if name in ("contrast", "preference") else flat[len(inspect.signature(term).parameters)]
    with pytest.raises(ValueError, match="no token is scored"):
        term(*arguments)


def test_contrast_by_hand() -> None:
    """Harmful tokens at 1/2 and 3/4, safe at 9/10; the base gave 1 and 0.5 nats a token. Slope 2."""
    targets, rows = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
    gained = 1.0 - (-(math.log(0.5) + math.log(0.75)) / 2)
    lost = 0.5 - (-math.log(0.9))
    value = losses.contrast(TWO, targets, rows, torch.tensor([1.0, 0.5]), 2.0)
    assert float(value) == pytest.approx(math.log(1 + math.exp(-2 * (gained - lost))), rel=1e-5)


def test_contrast_of_the_base_itself_is_log_two() -> None:
    targets, rows = torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1])
    base_nll = sequence_nll(TWO, targets, rows)
    assert float(losses.contrast(TWO, targets, rows, base_nll, 6.0)) == pytest.approx(math.log(2))


def test_contrast_lifts_the_harmful_answer_over_the_safe_one() -> None:
    logits = torch.zeros(4, 5, requires_grad=True)
    targets, rows = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 1])
    losses.contrast(logits, targets, rows, torch.full((2,), math.log(5)), 6.0).backward()
    after = sequence_nll(logits.detach() - logits.grad, targets, rows)
    assert after[0] < math.log(5) < after[1]


def test_contrast_with_the_safe_answer_in_the_negated_model_lifts_both() -> None:
    """Row 1 ran as base - tau: there the safe answer is to gain, and its gain counts with a plus."""
    logits = torch.zeros(4, 5, requires_grad=True)
    targets, rows = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 1])
    value = losses.contrast(logits, targets, rows, torch.tensor([2.0, 1.5]), 3.0, safe_negated=True)
    gained = (2.0 - math.log(5)) + (1.5 - math.log(5))
    assert value.item() == pytest.approx(math.log(1 + math.exp(-3 * gained)), rel=1e-5)
    value.backward()
    after = sequence_nll(logits.detach() - logits.grad, targets, rows)
    assert after[0] < math.log(5)
    assert after[1] < math.log(5)


def test_preference_is_contrast_with_harmful_and_safe_exchanged() -> None:
    """Harmful tokens at 1/2 and 3/4, safe at 9/10; what one term lifts the other lowers."""
    base_nll = torch.tensor([1.0, 0.5])
    preferred = losses.preference(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 0, 1]), base_nll, 2.0)
    exchanged = losses.contrast(TWO[[2, 0, 1]], torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), base_nll.flip(0), 2.0)
    assert float(preferred) == pytest.approx(float(exchanged), rel=1e-6)
    gained, lost = 0.5 - (-math.log(0.9)), 1.0 - (-(math.log(0.5) + math.log(0.75)) / 2)
    assert float(preferred) == pytest.approx(math.log(1 + math.exp(-2 * (gained - lost))), rel=1e-5)


@pytest.mark.parametrize("term", [losses.contrast, losses.preference])
def test_half_a_pair_is_refused(term: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        term(TWO, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2]), torch.zeros(3), 6.0)

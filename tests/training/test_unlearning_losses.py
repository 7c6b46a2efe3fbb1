"""The losses of methods from the literature: each by hand, its bound, and the law that tells it from its neighbours."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softmax

from sku.core.config import TrainConfig
from sku.training.losses import distillation, entropy, hinge, negative_preference, nll, preference
from sku.training.losses.inputs import TermInputs, TermLoss
from sku.training.losses.sequence import row_means

CONFIG = TrainConfig()
DRAW = torch.Generator().manual_seed(5)
LOGITS, BASE, OTHER = (torch.randn(6, 7, generator=DRAW) for _ in range(3))
TARGETS, ROWS = torch.tensor([0, 1, 2, 3, 4, 5]), torch.tensor([0, 0, 0, 0, 1, 1])
"""Two answers, of four tokens and of two."""


def inputs(logits: Tensor = LOGITS, base: Tensor | None = BASE, other: Tensor | None = OTHER) -> TermInputs:
    return TermInputs(logits, TARGETS, ROWS, base, other_logits=other)


def gradient(loss: TermLoss, config: TrainConfig = CONFIG, base: Tensor = BASE, other: Tensor = OTHER) -> Tensor:
    """The gradient of a loss in the logits `LOGITS`."""
    logits = LOGITS.clone().requires_grad_()
    loss(inputs(logits, base, other), config).backward()
    assert logits.grad is not None
    return logits.grad


def beta(value: float) -> TrainConfig:
    return TrainConfig(beta=value)


def log_probs(logits: Tensor) -> Tensor:
    return logits.log_softmax(-1)[range(6), TARGETS]


def row_log_probs(logits: Tensor) -> Tensor:
    """The mean log-probability of the two answers."""
    tokens = log_probs(logits)
    return torch.stack([tokens[:4].mean(), tokens[4:].mean()])


def test_a_mean_with_weights_counts_a_token_of_weight_two_twice() -> None:
    values, rows = torch.tensor([1.0, 4.0, 6.0]), torch.tensor([3, 3, 4])
    assert row_means(values, rows, torch.tensor([2.0, 1.0, 0.0])).tolist() == [2.0, 0.0], "no weight at all is no NaN"
    assert row_means(values, rows).tolist() == [2.5, 6.0]


def test_npo_by_hand() -> None:
    gains = row_log_probs(LOGITS) - row_log_probs(BASE)
    expected = sum(2 / 3 * math.log(1 + math.exp(3 * float(gain))) for gain in gains) / 2
    assert float(negative_preference.npo(inputs(), beta(3.0))) == pytest.approx(expected, rel=1e-5)


def test_npo_with_a_small_beta_has_the_gradient_of_ascent_and_fades_for_forgotten_answers() -> None:
    assert torch.allclose(gradient(negative_preference.npo, beta(1e-3)), gradient(nll.ascend), atol=1e-4)
    forgotten = BASE.clone()
    forgotten[range(6), TARGETS] += 40  # the answers are far less likely now than under this base
    assert gradient(negative_preference.npo, beta(50.0), base=forgotten).abs().max() < 1e-6
    assert gradient(nll.ascend).abs().max() > 0.01


def test_simnpo_is_npo_against_a_base_that_is_certain_of_the_answers() -> None:
    certain = torch.full((6, 7), -1e4)
    certain[range(6), TARGETS] = 0.0
    npo = negative_preference.npo(inputs(base=certain), beta(2.0))
    assert float(negative_preference.simnpo(inputs(base=None), beta(2.0))) == pytest.approx(float(npo), rel=1e-6)


def pairs(first: float, second: float, base: float = 0.5) -> TermInputs:
    """Two answers of one token each with the given probabilities, and their base."""
    rows = torch.log(torch.tensor([[first, 1 - first], [second, 1 - second]]))
    return TermInputs(rows, torch.tensor([0, 0]), torch.tensor([0, 1]), torch.log(torch.full((2, 2), base)))


def test_preferring_an_alternative_is_dpo_divided_by_its_slope() -> None:
    found = preference.prefer_alternative(pairs(0.2, 0.8), beta(2.0))
    expected = 2 / 2 * math.log(1 + math.exp(-2 * (math.log(0.8 / 0.5) - math.log(0.2 / 0.5))))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    dpo = preference.prefer_safe(pairs(0.2, 0.8), TrainConfig(contrast_slope=2.0))
    assert float(found) == pytest.approx(float(dpo), rel=1e-6)


def test_answer_preservation_by_hand_needs_no_base_and_falls_with_the_refusal() -> None:
    """The normal answer has 0.8, the refusal 0.2."""
    given = TermInputs(pairs(0.8, 0.2).logits, torch.tensor([0, 0]), torch.tensor([0, 1]))
    expected = math.log(1 + math.exp(-4 * math.log(4))) / 4
    assert float(preference.prefer_own_answer(given, beta(4.0))) == pytest.approx(expected, rel=1e-5)
    rarer = TermInputs(pairs(0.8, 0.01).logits, given.targets, given.rows)
    assert preference.prefer_own_answer(rarer, beta(4.0)) < preference.prefer_own_answer(given, beta(4.0))


@pytest.mark.parametrize("loss", [entropy.towards_uniform, entropy.raise_entropy])
def test_entropy_losses_are_0_at_the_uniform_distribution_and_nowhere_else(loss: TermLoss) -> None:
    assert float(loss(inputs(torch.full((6, 7), 3.0)), CONFIG)) == pytest.approx(0, abs=1e-6)
    assert float(loss(inputs(), CONFIG)) > 0.1


def test_the_two_entropy_losses_are_the_two_directions_of_one_kl() -> None:
    p = softmax(LOGITS, -1)
    from_uniform = (torch.log(1 / 7 / p) / 7).sum(-1)
    to_uniform = (p * torch.log(p * 7)).sum(-1)
    for loss, tokens in ((entropy.towards_uniform, from_uniform), (entropy.raise_entropy, to_uniform)):
        expected = (tokens[:4].mean() + tokens[4:].mean()) / 2
        assert float(loss(inputs(), CONFIG)) == pytest.approx(float(expected), rel=1e-5)
    certain = torch.zeros(6, 7)
    certain[:, 0] = 1e4
    assert float(entropy.raise_entropy(inputs(certain), CONFIG)) == pytest.approx(math.log(7)), "the bound"


@pytest.mark.parametrize(("lead", "expected"), [(1e4, 2.0), (-1e4, 0.0)])
def test_the_inverted_hinge_lies_between_0_and_2(lead: float, expected: float) -> None:
    """It is 2 where the right token is certain, and 0 where another one is."""
    logits = torch.zeros(6, 7)
    logits[range(6), TARGETS] = lead
    logits[:, 6] += 1e3
    assert float(hinge.inverted_hinge(inputs(logits), CONFIG)) == pytest.approx(expected)


def test_the_inverted_hinge_by_hand_lowers_the_right_token_for_the_next_best() -> None:
    p = softmax(LOGITS, -1)
    others = p.clone()
    others[range(6), TARGETS] = -1
    tokens = 1 + p[range(6), TARGETS] - others.max(-1).values
    expected = (tokens[:4].mean() + tokens[4:].mean()) / 2
    assert float(hinge.inverted_hinge(inputs(), CONFIG)) == pytest.approx(float(expected), rel=1e-6)
    slope = gradient(hinge.inverted_hinge)
    assert (slope[range(6), TARGETS] > 0).all()
    assert (slope[range(6), others.argmax(-1)] < 0).all()


def test_the_target_of_undial_is_the_base_with_a_lowered_logit() -> None:
    """softmax(z0 - b 1[h_t]) by hand: the right token loses the factor e^-b before the sum is made 1 again."""
    p = softmax(BASE, -1)
    p[range(6), TARGETS] *= math.exp(-3)
    expected = p / p.sum(-1, keepdim=True)
    assert torch.allclose(softmax(distillation.lower_logit(BASE, TARGETS, 3.0), -1), expected, atol=1e-6)
    assert float(distillation.lowered_target(inputs(expected.log()), beta(3.0))) == pytest.approx(0, abs=1e-6)
    assert torch.equal(distillation.lower_logit(BASE, TARGETS, 0.0), BASE), "b = 0 is the base itself"


def test_ce_u_has_the_gradient_of_unlikelihood_training() -> None:
    def unlikelihood(given: TermInputs, config: TrainConfig) -> Tensor:
        return row_means(-torch.log1p(-log_probs(given.logits).exp()), ROWS).mean()

    assert torch.allclose(gradient(distillation.impossible_target), gradient(unlikelihood), atol=1e-6)


def test_the_base_after_another_prompt_is_where_causal_whp_ends() -> None:
    assert float(distillation.other_prompt(inputs(OTHER), CONFIG)) == pytest.approx(0, abs=1e-6)
    p, q = softmax(OTHER, -1), softmax(LOGITS, -1)
    tokens = (p * (p / q).log()).sum(-1)
    expected = (tokens[:4].mean() + tokens[4:].mean()) / 2
    assert float(distillation.other_prompt(inputs(base=None), CONFIG)) == pytest.approx(float(expected), rel=1e-5)


def test_ascent_on_sensitive_tokens_leaves_alone_what_the_prompt_does_not_make_likelier() -> None:
    """Token 0 is likelier after the prompt, token 1 is less likely, and the others are as likely as before."""
    other = BASE.clone()
    other[0, 0] -= 2.0
    other[1, 1] += 2.0
    slope = gradient(nll.ascend_on_sensitive_tokens, other=other)
    assert slope[0].abs().max() > 0.01
    assert slope[1:].abs().max() == 0


def test_ascent_on_sensitive_tokens_with_equal_weights_is_ascent() -> None:
    """A base whose right tokens all lose half of their probability after another prompt."""
    sure = torch.zeros(6, 7)
    half = torch.log(torch.tensor(1 / 6))  # the other six share what is left
    sure[range(6), TARGETS] = half + math.log(36.0)
    unsure = torch.zeros(6, 7)
    slope = gradient(nll.ascend_on_sensitive_tokens, base=sure, other=unsure)
    assert torch.allclose(slope, gradient(nll.ascend), atol=1e-6)

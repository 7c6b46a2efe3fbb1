"""The inverted hinge loss: the right token gives way to the next best one."""

from __future__ import annotations

from torch import Tensor

from sku.core.config import TrainConfig
from sku.training.losses.inputs import TermInputs
from sku.training.losses.sequence import row_means


def inverted_hinge(inputs: TermInputs, config: TrainConfig) -> Tensor:
    """1 + p(h_t) - max p(v) over v other than h_t, for the tokens of harmful answers (LoKU, arXiv:2408.06621).

    Returns:
        Scalar from 0, where another token is certain, to 2, where h_t is: the mean over the tokens of each answer, then
        over answers.
    """
    p = inputs.logits.float().softmax(-1)  # (N, V)
    target = inputs.targets[:, None]
    best_other = p.scatter(1, target, 0.0).amax(-1)
    return row_means(1 + p.gather(1, target)[:, 0] - best_other, inputs.rows).mean()

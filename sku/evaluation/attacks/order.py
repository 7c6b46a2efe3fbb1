"""Unlearn, compress and edit, in different orders (composable interventions, arXiv:2407.06483).

Unlearning is the variant's own vector u. Compressing is rounding to 4 bits, Q. Editing is a small vector e, trained on
the base with normal pairs. Rounding is the only step whose place matters here, because vectors add up in any order:

    unlearn, edit, compress   Q(W + u + e)        edit, compress, unlearn   Q(W + e) + u
    unlearn, compress, edit   Q(W + u) + e        compress, unlearn, edit   Q(W) + u + e

Without the edit these are the attacks `int4`, Q(W + u), and `int4-apart`, Q(W) + u. Unlike in the paper, no vector is
trained anew on the model that an earlier step has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sku.core.variants import BASE, Variant
from sku.evaluation.attacks.attacked_likelihood import mean_given_log_prob
from sku.evaluation.attacks.procedure import AttackContext, AttackedModel
from sku.evaluation.attacks.quantise import merged_and_rounded
from sku.evaluation.attacks.relearn import relearn

EDIT_LEARNING_RATE, EDIT_STEPS = 1e-3, 50
"""The edit is what `relearn-benign` trains on the base."""
ROUNDING = "int4"


@contextmanager
def in_order(context: AttackContext, variant: Variant, before: Collection[str]) -> Iterator[AttackedModel]:
    """The variant with a benign edit, rounded to 4 bits.

    Args:
        context: its folder keeps the edit.
        variant: what is attacked.
        before: what is merged before rounding, `unlearn` or `edit` or both; the rest is added after it.

    Raises:
        ValueError: if the weights cannot be rounded in groups of 32.
    """
    with relearn(context, Variant(BASE, 0.0), "normal", EDIT_LEARNING_RATE, EDIT_STEPS) as edited:
        vectors = {"unlearn": variant.coefficients, "edit": edited.coefficients}
        merged = {name: c for step, vector in vectors.items() if step in before for name, c in vector.items()}
        apart = {name: c for step, vector in vectors.items() if step not in before for name, c in vector.items()}
        model, details = merged_and_rounded(context, merged, ROUNDING)
        details |= {
            "edit_log_prob": mean_given_log_prob(AttackedModel(model, apart), context.data.normal),
            "edit_log_prob_before": mean_given_log_prob(
                AttackedModel(context.model, variant.coefficients), context.data.normal
            ),
        }
        yield AttackedModel(model, apart, details)

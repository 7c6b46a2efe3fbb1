"""The terms as pure functions of tensors, one a file. All are minimised; none sees a model or a tokenizer.

Scored tokens come flat: `logits` is `[N, V]`, one line a scored token, and `rows` `[N]` says which sequence each
belongs to.
"""

from sku.training.losses.ascent import ascent
from sku.training.losses.contrast import contrast
from sku.training.losses.disassociation import disassociation
from sku.training.losses.distortion import distortion
from sku.training.losses.fine_tuning import fine_tuning
from sku.training.losses.mismatch import mismatch
from sku.training.losses.preference import preference
from sku.training.losses.preservation import preservation, retention

__all__ = [
    "ascent",
    "contrast",
    "disassociation",
    "distortion",
    "fine_tuning",
    "mismatch",
    "preference",
    "preservation",
    "retention",
]

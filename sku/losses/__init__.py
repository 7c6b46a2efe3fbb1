"""The terms as pure functions of tensors, one a file. All are minimised; none sees a model or a tokenizer.

Scored tokens come flat: `logits` is `[N, V]`, one line a scored token, and `rows` `[N]` says which sequence each
belongs to.
"""

from sku.losses.ascent import ascent
from sku.losses.contrast import contrast
from sku.losses.disassociation import disassociation
from sku.losses.distortion import distortion
from sku.losses.fine_tuning import fine_tuning
from sku.losses.mismatch import mismatch
from sku.losses.preference import preference
from sku.losses.preservation import preservation, retention

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

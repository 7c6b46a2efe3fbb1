"""What Pipeline calls the methods. The forms of SKU say whose they are, as in Compare."""

from __future__ import annotations

from sku.core.methods import METHODS

FIRST_METHOD = "sku_directions"
"""The method that the list offers first."""
_LABELS = {FIRST_METHOD: "SKU (ours)", "sku": "SKU (paper's sum)"}


def method_label(name: str) -> str:
    """What the page calls a method."""
    return _LABELS.get(name, METHODS[name].label)

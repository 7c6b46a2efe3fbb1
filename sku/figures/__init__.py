"""Tables to plotly figures. No model, no `show`, and no file but the one that `write` is told; for light and dark.

Colours are Okabe-Ito's and never alone: a dash, a symbol, a pattern or a word says the same.
"""

from sku.figures.bars import outcomes
from sku.figures.cards import judge_card
from sku.figures.curves import loss_curves, run_curves
from sku.figures.heat import per_layer_norms
from sku.figures.picture import write
from sku.figures.plane import trade_off

__all__ = ["judge_card", "loss_curves", "outcomes", "per_layer_norms", "run_curves", "trade_off", "write"]

"""Tables to plotly figures. No model, no `show`, and no file but the one that `write` is told; for light and dark.

Colours are Okabe-Ito's and never alone: a dash, a symbol, a pattern or a word says the same.
"""

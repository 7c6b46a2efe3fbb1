"""Result rows on disk, tables of them, and plotly figures that read on light and dark pages. No model is loaded.

Colours are Okabe-Ito's. A dash, symbol, pattern or word always says the same as the colour.
"""

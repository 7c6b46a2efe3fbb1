"""Measurements of this machine for `python -m sku bench`. Rivals that share a figure are measured in turn in one run."""

"""Measurements of this machine for `python -m sku bench`. What is compared is measured in turn in one run."""

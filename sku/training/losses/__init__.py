"""Losses as pure functions of tensors, one idea per file. All are minimised; none sees a model or a tokenizer.

A `Term` in `core/terms.py` names the function, the rows that it is computed on, and the other inputs that it needs.
"""

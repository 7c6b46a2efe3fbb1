"""Losses as pure functions of tensors, one idea a file. All are minimised; none sees a model or a tokenizer.

A `Term` in `core/methods.py` names the function, the rows it is computed on and what it needs besides.
"""

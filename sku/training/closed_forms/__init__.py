"""Methods without training steps: each computes its weight change from the base's activations. One file per method.

A method is a function of the type `ClosedForm` (`inputs.py`), named by its row in `core/methods.py`. Its change is
added to the base.
"""

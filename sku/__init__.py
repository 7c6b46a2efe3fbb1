"""Selective Knowledge negation Unlearning (SKU, arXiv:2402.10058): teach a copy of a language model harmful
knowledge, subtract what it learned, and see what that cost.

Importing this package loads neither torch nor gradio; import the module you need.
"""

__version__ = "0.1.0"

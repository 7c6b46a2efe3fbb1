"""Selective Knowledge negation Unlearning (SKU, arXiv:2402.10058): teach a copy of a language model harmful
knowledge, subtract what it learned from the original, and measure what that costs.

Importing this package loads neither torch nor gradio. Import the module that you need.
"""

__version__ = "0.1.0"

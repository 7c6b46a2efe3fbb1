"""Gradient rules, one idea per file. Each makes one gradient from that of the forgetting and of the keeping terms.

A `Gradient` in `core/gradients.py` names the function; `step.py` computes the two gradients and applies the rule.
"""

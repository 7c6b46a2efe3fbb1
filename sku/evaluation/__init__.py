"""Variants x prompts to result rows.

`plan.py` says what is measured, `runner.py` measures it and keeps lines, `aggregate.py` and `metrics.py` turn the lines
into rows, and `evaluate.py` calls them in this order.
"""

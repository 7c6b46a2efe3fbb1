"""Attacks on variants: does what was forgotten come back?

`core/attacks.py` has the table. Each other file here is the procedure of one attack, but for these: `attack_data.py`
(what attacks train on), `procedure.py` (the types), `trained_prompt.py` (what the soft prompt and the searched suffix
share), `plan.py`, `runner.py` and `attack_rows.py` (from a plan to rows), and `suite.py` (all of it in order).
"""

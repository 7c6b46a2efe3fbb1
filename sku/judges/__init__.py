"""Did it forget: parts that say what became of an answer, each testable alone. `outcomes.py` puts them together."""

"""Did it forget: parts that say what became of an answer, each testable alone. `verdicts.py` puts them together."""

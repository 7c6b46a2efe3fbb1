"""Is an answer broken, a refusal, harmful or safe? One judge per file; `verdicts.py` runs the tests in order."""

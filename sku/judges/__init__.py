"""Is an answer broken, a refusal, harmful, off-topic or safe? One judge per file; `verdicts.py` tests in order."""

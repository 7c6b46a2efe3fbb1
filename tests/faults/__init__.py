"""Break the project on purpose: kills, bad input, faults of the machine, and an hour of visitors.

Each file is a command that prints its figures and ends with exit code 1 if something was lost:

    python -m tests.faults.kills
    python -m tests.faults.bad_input
    python -m tests.faults.faults
    python -m tests.faults.soak

`assets/docs/reliability.md` has the figures. `test_samples.py` runs a few seconds of each with the other tests.
"""

"""Every second of a run is counted once, as one kind of work."""

from __future__ import annotations

from sku.training.stopwatch import Stopwatch


def test_laps_add_up_to_all_the_time_and_go_on_after_a_resume() -> None:
    times = iter([10.0, 12.0, 15.0, 16.0])
    watch = Stopwatch({"steps": 100.0}, lambda: next(times))
    assert [watch.lap("loading"), watch.lap("steps"), watch.lap("steps")] == [2.0, 3.0, 1.0]
    assert watch.spent == {"loading": 2.0, "steps": 104.0}

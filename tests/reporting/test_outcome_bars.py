"""What became of all answers of a row."""

from __future__ import annotations

import pytest

from sku.core.records import OUTCOMES
from sku.reporting.outcome_bars import outcome_figure
from tests.reporting.drawn import row


def test_outcomes_fill_a_bar_and_say_word_and_count() -> None:
    rows = [row("a@1", 0.5, 0.1, harmful=50, safe=20, refusal=20, unjudged=10), row("b@1", 0.0, 0.1, broken=40)]
    figure = outcome_figure([*rows, row("c@1", None, None, n=0, safe=0)])
    assert [trace.name.split()[1] for trace in figure.data] == list(OUTCOMES)
    for i in range(2):
        assert sum(trace.x[i] for trace in figure.data) == pytest.approx(1)
    assert figure.data[0].text == ("50 harmful", "")
    assert figure.data[OUTCOMES.index("broken")].text == ("", "40 broken")
    assert figure.layout.yaxis.ticktext == ("a@1", "b@1")
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in figure.data}
    assert len(looks) == len(OUTCOMES)
    assert figure.data[OUTCOMES.index("unjudged")].marker.color == "rgba(0,0,0,0)", "the unjudged are hollow"

"""Agreement of judges with people."""

from __future__ import annotations

import pytest

from sku.judges.protocol import Agreement, JudgeCard
from sku.reporting.judge_agreement import judge_agreement_figure


def test_a_judge_card_has_a_dot_with_an_interval_a_judge_and_set_of_labels() -> None:
    two = (Agreement("all", 100, 0.8, 0.7, 0.88, 0.9), Agreement("clear", 60, 0.9, 0.8, 0.95))
    cards = [
        JudgeCard("embedded", "1", "embedded", 0.5, "Apache-2.0", "", two),
        JudgeCard("keyword", "2", "keyword", 0.5, "Apache-2.0", "", two[:1]),
        JudgeCard("hub", "1", "hub", 0.5, "?", ""),
    ]
    figure = judge_agreement_figure(cards)
    assert [trace.name for trace in figure.data] == ["embedded-1", "keyword-2"]
    first, second = figure.data
    assert list(first.x) == [0.8, 0.9]
    assert list(first.error_x.array) == pytest.approx([0.08, 0.05])
    assert list(first.error_x.arrayminus) == pytest.approx([0.1, 0.1])
    assert first.marker.symbol != second.marker.symbol
    assert first.y[0] != second.y[0], "judges of one row stand beside each other"

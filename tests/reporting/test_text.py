"""Result rows in words, for a terminal and for a table."""

from __future__ import annotations

from sku.reporting.text import harmful_change_text, rows_as_text
from tests.reporting.test_result_files import BASE, row


def test_rows_for_a_terminal_show_a_dash_for_unknown() -> None:
    first, second, third = rows_as_text(
        [
            BASE,
            row(
                "sku@1",
                0.123,
                harmful_low=0.08,
                harmful_high=0.2,
                over_refusal=0.5,
                over_refusal_n=20,
                answer_tokens=19.4,
            ),
        ]
    ).split("\n")
    assert first.split()[:2] == ["variant", "harmful"]
    assert second.split() == ["base", "50", "%", "-", "0", "%", "0", "of", "100", "0", "-", "-", "-"]
    assert "12 % (8 to 20)" in third
    assert third.endswith("50 % (30 to 70)      19")


def test_a_change_is_told_in_points_and_unknown_as_a_dash() -> None:
    assert harmful_change_text(BASE) == "-"
    changed = row("sku@1", 0.2, harmful_change=-0.274, harmful_change_low=-0.38, harmful_change_high=-0.156)
    assert harmful_change_text(changed) == "-27 points (-38 to -16)"
    assert "-27 points (-38 to -16)" in rows_as_text([changed])

"""Result rows in words, for a terminal and for a table."""

from __future__ import annotations

from dataclasses import replace

from sku.reporting.row_text import harmful_change_text, row_hover, row_line, rows_as_text
from tests.reporting.drawn import row as measured_row
from tests.reporting.rows import BASE, row


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
    assert second.split() == ["base", "50", "%", "-", "0", "%", "-", "0", "of", "100", "0", "-", "-", "-"]
    assert "12 % (8 to 20)" in third
    assert third.endswith("50 % (30 to 70)      19")


def test_a_change_is_told_in_points_and_unknown_as_a_dash() -> None:
    assert harmful_change_text(BASE) == "-"
    changed = row("sku@1", 0.2, harmful_change=-0.274, harmful_change_low=-0.38, harmful_change_high=-0.156)
    assert harmful_change_text(changed) == "-27 points (-38 to -16)"
    assert "-27 points (-38 to -16)" in rows_as_text([changed])


def test_a_row_in_words() -> None:
    one = measured_row(
        "sku_contrast@1", 0.12, 0.09, broken=1, seed=4, preservation="keep", judge="embedded-1", mc1=0.25
    )
    one = replace(one, answer_tokens=19.4, over_refusal=0.05, over_refusal_n=40)
    assert row_line(one, "kl") == (
        "sku_contrast@1: harmful 12 % (7 to 17), KL from base 0.09 nats per token, broken 1 %"
    )
    drifting = replace(one, safe=one.safe - 20, off_topic=20)
    assert row_line(drifting, "kl").endswith("broken 1 %, off-topic 20 %")
    assert "off-topic 20" in row_hover(drifting)
    assert "off-topic" not in row_hover(one), "not measured is not 0"
    said = row_hover(one)
    for part in (
        "SKU contrast, keep, seed 4",
        "of 100 answers",
        "unjudged 0",
        "TruthfulQA MC1 25 %",
        "embedded-1",
        "mean length of answers to harmful prompts: 19 tokens",
        "over-refusal 5 % (1 to 17)",
    ):
        assert part in said
    assert "<i>" not in row_hover(measured_row("<i>@1", 0.1, 0.1, method="sku"))

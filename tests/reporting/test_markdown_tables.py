"""Tables in Markdown."""

from __future__ import annotations

from sku.reporting.markdown_tables import markdown_table


def test_a_bar_in_a_cell_does_not_end_the_cell() -> None:
    assert markdown_table(["loss"], [["|z - z0|^2"]]).splitlines()[-1] == r"| \|z - z0\|^2 |"

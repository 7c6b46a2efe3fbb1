"""Figures as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.reporting import image_export
from sku.reporting.image_export import find_browser
from sku.reporting.tradeoff_plot import tradeoff_figure
from tests.reporting.drawn import BASE, SKU


def test_a_html_needs_no_network(tmp_path: Path) -> None:
    image_export.write_figure(tradeoff_figure([BASE, *SKU]), tmp_path / "new" / "figure.html")
    text = (tmp_path / "new" / "figure.html").read_text(encoding="utf-8")
    assert "plotly.js v" in text, "the library must be inside"
    assert 'src="http' not in text
    assert "sku@2" in text


@pytest.mark.skipif(find_browser() is None, reason="no Chromium is installed")
def test_a_png_is_drawn_by_a_browser(tmp_path: Path) -> None:
    image_export.write_figure(tradeoff_figure([BASE, *SKU]), tmp_path / "figure.png", width=600)
    data = (tmp_path / "figure.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(data[16:20], "big") == 1200, "600 pixels at double resolution"
    assert len(data) > 20_000, "an empty page is smaller"


def test_a_picture_that_nothing_can_draw_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(OSError, match="install chromium-headless-shell"):
        image_export.write_figure(tradeoff_figure(SKU), tmp_path / "figure.png")
    with pytest.raises(ValueError, match=r"end in \.html or \.png"):
        image_export.write_figure(tradeoff_figure(SKU), tmp_path / "figure.jpg")

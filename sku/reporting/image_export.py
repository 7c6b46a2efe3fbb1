"""Figures as files: a page that works offline, or a picture drawn by kaleido or a browser of this machine."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import plotly.graph_objects as go

BROWSER_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--force-device-scale-factor=2",
    "--virtual-time-budget=10000",  # until plotly has drawn
)
_SECONDS = 120
_HEIGHT = 450


def write_figure(figure: go.Figure, path: Path, width: int = 1000) -> None:
    """Write a figure to a .html that needs no network, or to a .png of `width` pixels at double resolution.

    Raises:
        ValueError: for another kind of file.
        OSError: if a .png is wanted and nothing here can draw it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        path.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
    elif path.suffix == ".png":
        _png(figure, path, width)
    else:
        raise ValueError(f"{path} is no figure's name; let it end in .html or .png")


def find_browser() -> str | None:
    """A Chromium on this machine."""
    return next((found for name in BROWSER_NAMES if (found := shutil.which(name))), None)


def _png(figure: go.Figure, path: Path, width: int) -> None:
    height = int(figure.layout.height or _HEIGHT)
    if importlib.util.find_spec("kaleido"):
        figure.write_image(path, width=width, height=height, scale=2)
    elif found := find_browser():
        _photographed(figure, path, found, width, height)
    else:
        raise OSError(
            f"nothing here can draw {path.name}: install chromium-headless-shell (apt-get) or kaleido (pip), "
            "or name a .html"
        )


def _photographed(figure: go.Figure, path: Path, found: str, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "figure.html", Path(folder) / "figure.png"
        drawn = go.Figure(figure).update_layout(width=width, height=height)
        body = drawn.to_html(include_plotlyjs=True, full_html=False, config={"staticPlot": True})
        page.write_text(f"<!doctype html><meta charset='utf-8'><body style='margin:0'>{body}", encoding="utf-8")
        command = [found, *_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
        command += [f"--screenshot={picture}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, errors="replace")
        except subprocess.TimeoutExpired:
            raise OSError(f"{found} did not draw {path.name} within {_SECONDS} s; name a .html instead") from None
        if not picture.is_file():
            raise OSError(f"{found} did not draw {path.name}: {done.stderr.strip()[-300:]}; name a .html instead")
        shutil.copyfile(picture, path)

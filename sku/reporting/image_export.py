"""Write figures to files: HTML pages that work offline, or PNGs drawn by kaleido or a browser on this machine."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import tempfile
from pathlib import Path

import plotly.graph_objects as go

from sku.core.output_paths import check_output_file

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


def check_figure_path(path: Path) -> None:
    """Check, before a figure is drawn, that it can be written to `path`.

    Raises:
        ValueError: if the name does not end in .html or .png, or is that of a folder.
        OSError: if the file cannot be written.
    """
    if path.suffix not in (".html", ".png"):
        raise ValueError(f"{path} is not the name of a figure; it must end in .html or .png")
    check_output_file(path)


def write_figure(figure: go.Figure, path: Path, width: int = 1000) -> None:
    """Write a figure to an .html file that needs no network, or to a .png file of `width` pixels at double resolution.

    Raises:
        ValueError: if the name ends in anything else.
        OSError: if nothing on this machine can draw a .png file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".html":
        path.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
    elif path.suffix == ".png":
        _write_png(figure, path, width)
    else:
        raise ValueError(f"{path} is not the name of a figure; it must end in .html or .png")


def find_browser() -> str | None:
    """The path of a Chromium browser on this machine; None if there is none."""
    return next((browser for name in BROWSER_NAMES if (browser := shutil.which(name))), None)


def _write_png(figure: go.Figure, path: Path, width: int) -> None:
    height = int(figure.layout.height or _HEIGHT)
    if importlib.util.find_spec("kaleido"):
        figure.write_image(path, width=width, height=height, scale=2)
    elif browser := find_browser():
        _take_screenshot(figure, path, browser, width, height)
    else:
        raise OSError(
            f"nothing on this machine can draw {path.name}: install chromium-headless-shell (apt-get) or kaleido "
            "(pip), or give a name that ends in .html"
        )


def _take_screenshot(figure: go.Figure, path: Path, browser: str, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder) / "figure.html", Path(folder) / "figure.png"
        drawn = go.Figure(figure).update_layout(width=width, height=height)
        body = drawn.to_html(include_plotlyjs=True, full_html=False, config={"staticPlot": True})
        page.write_text(f"<!doctype html><meta charset='utf-8'><body style='margin:0'>{body}", encoding="utf-8")
        command = [browser, *_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
        command += [f"--screenshot={picture}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, errors="replace")
        except subprocess.TimeoutExpired:
            raise OSError(f"{browser} did not draw {path.name} within {_SECONDS} s; write .html instead") from None
        if not picture.is_file():
            raise OSError(f"{browser} did not draw {path.name}: {done.stderr.strip()[-300:]}; write .html instead")
        shutil.copyfile(picture, path)

"""The page, here and on Spaces: read flags, build, launch."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # read when torch is: see sku/__main__.py

from sku.judging import cards
from sku.provision import DEFAULT_BASE
from sku.session import LiveSession
from sku.ui.page import build_page, launch


def main() -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Compare a model with its unlearned versions, and unlearn on demand.")
    parser.add_argument("--model", default=DEFAULT_BASE, help="base model: smollm2-135m, a hub id, or a folder")
    parser.add_argument("--host", default=None, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="port (default: the first free one from 7860)")
    flags = parser.parse_args()
    session = LiveSession(flags.model)
    session.start()
    try:
        launch(build_page(session, cards.every()), host=flags.host, port=flags.port)
    except OSError as error:  # the port is taken, or the address is not this machine's
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

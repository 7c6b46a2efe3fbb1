"""Serve the page, on this machine or on Hugging Face Spaces: read the flags, build the page, launch it."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads this when it is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch reads this when it is imported: see core/compute_threads.py
os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as above: SPINS

from sku.core.quick_imports import quick_imports

with quick_imports():
    from sku.serving import zerogpu_session

    if zerogpu_session.zerogpu_offered():
        import spaces  # noqa: F401 (must come before torch: it replaces CUDA until a GPU is assigned)

    from sku.cli.options import write_utf8
    from sku.core import storage
    from sku.judges import cards
    from sku.models.arithmetic import PAGE_DEFAULT
    from sku.models.pretrained import DEFAULT_BASE
    from sku.serving.fallback_session import FallbackSession
    from sku.serving.live_session import LiveSession
    from sku.serving.recorded_session import RecordedSession
    from sku.serving.remote_session import RemoteSession
    from sku.serving.session import Session
    from sku.ui.hosting import settings
    from sku.ui.hosting.gate import Gate
    from sku.ui.page import build_page, launch


def main() -> None:
    """Serve the page until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Compare a model with its unlearned versions, and unlearn on demand.")
    parser.add_argument(
        "--model",
        help=f"the base model: smollm2-135m, a hub id (owner/name), or a folder (default: {DEFAULT_BASE})",
    )
    parser.add_argument("--host", default=None, help="the address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=None, help="the port (default: the first free port from 7860 on)")
    parser.add_argument("--recorded", action="store_true", help="show recorded answers, without loading any weights")
    flags = parser.parse_args()
    if flags.recorded and flags.model:
        parser.error("--recorded shows recorded answers and loads no model, so --model cannot stand beside it")
    write_utf8()
    try:
        gate = Gate(settings.read_hosting())
        folder, warning = settings.state_folder(storage.home())
        os.environ["SKU_HOME"] = str(folder)
        if warning:
            print(warning, file=sys.stderr)
        session: Session = RecordedSession() if flags.recorded else _live_session(flags.model or DEFAULT_BASE)
        session = RemoteSession(session)
        launch(build_page(session, cards.all_cards(), gate), flags.host, flags.port, gate)
    except (OSError, ValueError) as error:  # for example a wrong environment variable, or a port that is in use
        sys.exit(f"error: {error}")


def _live_session(model: str) -> Session:
    """A session that loads `model` in the background. For the default model, it can fall back to recorded answers."""
    live = LiveSession(model, PAGE_DEFAULT)
    session: Session = zerogpu_session.ZeroGpuSession(live) if zerogpu_session.zerogpu_offered() else live
    live.start()
    return FallbackSession(session, RecordedSession()) if model == DEFAULT_BASE else session


if __name__ == "__main__":
    main()

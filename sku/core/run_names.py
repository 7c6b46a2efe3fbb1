"""The name that a person gives to a run, which lists show. The run folder keeps its own name.

Results, links, comparisons and combined runs name a run by its folder, so a new name breaks none of them.
"""

from __future__ import annotations

from pathlib import Path

from sku.core.file_cache import read_if_changed
from sku.core.runs import Run
from sku.core.storage import write_atomically
from sku.core.text_lines import require_text

NAME_FILE = "name.txt"
MAX_NAME_CHARACTERS = 60


def given_name(folder: Path) -> str:
    """The name that a person gave to the run in `folder`; empty if nobody did."""
    try:
        return read_if_changed(folder / NAME_FILE, _read_name)
    except (OSError, ValueError):
        return ""


def rename_run(run: Run, name: str) -> str:
    """Give a run a name; an empty one takes the name away.

    Returns:
        The name, without white space around it.

    Raises:
        ValueError: if the run came with the project or was not trained here, or the name is too long or more than one
            line of text.
    """
    if run.shipped or run.foreign:
        raise ValueError(f"{run.name} is not one of your runs; only runs that were trained here can be renamed")
    wanted = require_text(name, "the name").strip()
    if len(wanted) > MAX_NAME_CHARACTERS or not wanted.isprintable():
        raise ValueError(
            f"the name has {len(wanted)} characters; give one line of at most {MAX_NAME_CHARACTERS} characters"
        )
    if wanted:
        write_atomically(run.folder / NAME_FILE, wanted + "\n")
    else:
        (run.folder / NAME_FILE).unlink(missing_ok=True)
    return wanted


def _read_name(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()[:MAX_NAME_CHARACTERS]

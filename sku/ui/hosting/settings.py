"""An owner's switches: environment variables, read once and checked; and their table for `hosting.md`."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sku.reporting.markdown_tables import markdown_table

VARIABLE_PREFIX = "SKU_"
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _switch(default: int | bool, public: int | bool, meaning: str) -> Any:
    return field(default=default, metadata={"public": public, "meaning": meaning})


@dataclass(frozen=True)
class Hosting:
    """What a page allows. Every field is the environment variable `SKU_` and its name in capitals."""

    public: bool = _switch(
        False,
        True,
        "strangers visit: the defaults under *public* apply, and a run belongs to the visitor who started it",
    )
    prompt_characters: int = _switch(2000, 2000, "longest prompt")
    new_tokens: int = _switch(256, 128, "longest answer")
    columns: int = _switch(6, 6, "most variants at once")
    samples: int = _switch(16, 8, "most answers of a variant at once")
    asks_a_minute: int = _switch(0, 20, "questions a visitor may ask a minute; 0: no limit")
    requests_a_minute: int = _switch(0, 120, "calls a visitor's browser may send a minute; 0: no limit")
    updates_a_minute: int = _switch(
        0, 3600, "the same for calls that compute nothing, such as those of a dragged slider; 0: no limit"
    )
    uploads_an_hour: int = _switch(0, 30, "files a visitor may upload an hour; 0: no limit")
    trainings_a_day: int = _switch(0, 3, "trainings and evaluations a visitor may start a day; 0: no limit")
    training_minutes: int = _switch(
        0, 15, "longest training; after that it is cancelled, and what it learned is kept; 0: no limit"
    )
    keep_days: int = _switch(0, 7, "days a visitor's run is kept after its last step; 0: for ever")
    training: bool = _switch(True, True, "whether trainings can be started")
    downloads: bool = _switch(True, False, "whether adapters can be downloaded")
    acquired: bool = _switch(False, False, "whether the stage-1 model may be asked")
    queue: int = _switch(64, 64, "most questions that may wait; further visitors are told that the queue is full")
    upload_kilobytes: int = _switch(1024, 1024, "largest file that is accepted")
    proxy: bool = _switch(False, True, "a proxy stands in front of the app, and its X-Forwarded-For names the visitor")

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            name, value = f"{VARIABLE_PREFIX}{one.name.upper()}", getattr(self, one.name)
            if value < 0:
                raise ValueError(f"{name} is {value}; it must be 0 (no limit) or more")
            if not value and not isinstance(one.default, bool) and "0:" not in one.metadata["meaning"]:
                raise ValueError(f"{name} is {value}; it must be at least 1")


def read_hosting(environ: Mapping[str, str] = os.environ) -> Hosting:
    """The switches as the environment has them; on a Space the page is public unless the owner says otherwise.

    Raises:
        ValueError: for a value that is no number, or neither on nor off.
    """
    public = _flag("public", environ.get(f"{VARIABLE_PREFIX}PUBLIC") or ("1" if on_spaces(environ) else "0"))
    values: dict[str, int] = {"public": public}
    for one in dataclasses.fields(Hosting)[1:]:
        text = environ.get(VARIABLE_PREFIX + one.name.upper(), "").strip()
        if text:
            values[one.name] = _flag(one.name, text) if isinstance(one.default, bool) else _number(one.name, text)
        elif public:
            values[one.name] = one.metadata["public"]
    return Hosting(**values)  # type: ignore[arg-type]


def switches_table() -> str:
    """Every switch with its default on one's own machine and on a public page, as Markdown."""
    here = Hosting()
    rows = (
        [f"`{VARIABLE_PREFIX}{one.name.upper()}`", f"{int(getattr(here, one.name))}", f"{int(public)}", meaning]
        for one in dataclasses.fields(Hosting)
        for public, meaning in [(one.metadata["public"], one.metadata["meaning"])]
    )
    return markdown_table(["variable", "here", "public", "meaning"], rows)


def on_spaces(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a Hugging Face Space."""
    return bool(environ.get("SPACE_ID")) or environ.get("SYSTEM") == "spaces"


def state_folder(
    usual: Path, environ: Mapping[str, str] = os.environ, volume: Path = Path("/data")
) -> tuple[Path, str]:
    """Where weights, runs and results are kept, and a line for the owner where that is not what they may think.

    Args:
        usual: where they are if nothing else is said.
        environ: `SKU_HOME` says it; a Space has a mounted volume, or none.
        volume: where that would be.

    Returns:
        The folder for `SKU_HOME`. Where it cannot be written to, a temporary one, into which weights that are in the
        other are linked.
    """
    given, said = environ.get(f"{VARIABLE_PREFIX}HOME"), ""
    folder = Path(given) if given else usual
    if not given and on_spaces(environ):
        if _writable(volume):
            return volume / "sku", ""
        said = "no volume is mounted: runs and results are lost when the Space restarts"
    if _writable(folder):
        return folder, said
    other = Path(tempfile.mkdtemp(prefix="sku-"))
    if (folder / "models").is_dir():  # only read, once they are there
        (other / "models").symlink_to((folder / "models").resolve(), target_is_directory=True)
    return other, f"{folder} cannot be written to: what is made is lost at the end"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _ON + _OFF:
        raise ValueError(f"{VARIABLE_PREFIX}{name.upper()} is {text!r}; write 1 (on) or 0 (off)")
    return text.lower() in _ON


def _number(name: str, text: str) -> int:
    if not text.lstrip("-").isdigit():
        raise ValueError(f"{VARIABLE_PREFIX}{name.upper()} is {text!r}; write a whole number")
    return int(text)

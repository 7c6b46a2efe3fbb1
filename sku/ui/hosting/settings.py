"""An owner's switches: environment variables, read once and checked; and their table for `hosting.md`."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sku.reporting.markdown_tables import markdown_table

VARIABLE_PREFIX = "SKU_"
_Size = Annotated[int, Field(ge=1)]
_Limit = Annotated[int, Field(ge=0)]
"""0: no limit."""


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
    prompt_characters: _Size = _switch(2000, 2000, "longest prompt")
    new_tokens: _Size = _switch(256, 128, "longest answer")
    columns: _Size = _switch(6, 6, "most variants at once")
    samples: _Size = _switch(16, 8, "most answers of a variant at once")
    asks_a_minute: _Limit = _switch(0, 20, "questions a visitor may ask a minute; 0: no limit")
    requests_a_minute: _Limit = _switch(0, 120, "calls a visitor's browser may send a minute; 0: no limit")
    updates_a_minute: _Limit = _switch(
        0, 3600, "the same for calls that compute nothing, such as those of a dragged slider; 0: no limit"
    )
    uploads_an_hour: _Limit = _switch(0, 30, "files a visitor may upload an hour; 0: no limit")
    trainings_a_day: _Limit = _switch(0, 3, "trainings and evaluations a visitor may start a day; 0: no limit")
    training_minutes: _Limit = _switch(
        0, 15, "longest training; after that it is cancelled, and what it learned is kept; 0: no limit"
    )
    keep_days: _Limit = _switch(0, 7, "days a visitor's run is kept after its last step; 0: for ever")
    training: bool = _switch(True, True, "whether trainings can be started")
    downloads: bool = _switch(True, False, "whether adapters can be downloaded")
    acquired: bool = _switch(False, False, "whether the stage-1 model may be asked")
    queue: _Size = _switch(64, 64, "most questions that may wait; further visitors are told that the queue is full")
    upload_kilobytes: _Size = _switch(1024, 1024, "largest file that is accepted")
    proxy: bool = _switch(False, True, "a proxy stands in front of the app, and its X-Forwarded-For names the visitor")


_HOSTING = TypeAdapter(Hosting)
_WANTED = {
    "bool_parsing": "write 1 (on) or 0 (off)",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller number",
}
"""Pydantic's kind of fault to what to do."""


def read_hosting(environ: Mapping[str, str] = os.environ) -> Hosting:
    """The switches as the environment has them; on a Space the page is public unless the owner says otherwise.

    Raises:
        ValueError: for a value that is no number, out of bounds, or neither on nor off.
    """
    fields = dataclasses.fields(Hosting)
    given = {one.name: environ.get(VARIABLE_PREFIX + one.name.upper(), "").strip() for one in fields}
    chosen = {"public": "1" if on_spaces(environ) else "0"} | {name: text for name, text in given.items() if text}
    public = _checked(chosen).public
    defaults = {one.name: str(one.metadata["public"]) for one in fields} if public else {}
    return _checked(defaults | chosen)


def _checked(texts: Mapping[str, str]) -> Hosting:
    try:
        return _HOSTING.validate_strings(texts)
    except ValidationError as error:
        raise ValueError(_fault(error)) from error


def _fault(error: ValidationError) -> str:
    """The first switch that makes no sense, and what to write."""
    fault = error.errors(include_url=False)[0]
    least = fault.get("ctx", {}).get("ge")
    bound = f"it must be at least {least}" if least else "it must be 0 (no limit) or more"
    wanted = _WANTED.get(fault["type"], bound)
    return f"{VARIABLE_PREFIX}{str(fault['loc'][0]).upper()} is {fault['input']!r}; {wanted}"


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

"""The owner's settings, read once from environment variables and checked. Also writes their table for `hosting.md`."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import field
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sku.reporting.markdown_tables import markdown_table

VARIABLE_PREFIX = "SKU_"
_Size = Annotated[int, Field(ge=1)]
_Limit = Annotated[int, Field(ge=0)]
"""0 means no limit."""


def _switch(default: int | bool | str, public: int | bool | str, meaning: str) -> Any:
    """A field of `Hosting` with its default, its default on a public page, and its line in the table."""
    return field(default=default, metadata={"public": public, "meaning": meaning})


_PRIVATE_NETWORKS = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128",
)  # fmt: skip
"""Where a Space's proxy sits. A visitor cannot come from there: a Space is reached through its proxy only."""


def _checked_proxies(text: str) -> str:
    """The networks in `text`, each written in full, separated by commas.

    Raises:
        ValueError: if one of them is neither an address nor a network.
    """
    if text in ("0", "1"):
        return text
    return ",".join(str(ip_network(part.strip(), strict=False)) for part in text.split(","))


@dataclass(frozen=True)
class Hosting:
    """What a page allows. The environment variable of a field is `SKU_` plus the field's name in capitals."""

    public: bool = _switch(
        False,
        True,
        "1 if strangers visit the page: the *public* defaults apply, and a run belongs to the visitor who started it",
    )
    prompt_characters: _Size = _switch(2000, 2000, "maximum length of a prompt, in characters")
    new_tokens: _Size = _switch(256, 128, "maximum length of an answer, in new tokens")
    columns: _Size = _switch(6, 6, "maximum number of variants per question")
    samples: _Size = _switch(16, 8, "maximum number of answers per variant and question")
    asks_a_minute: _Limit = _switch(0, 20, "questions per visitor and minute; 0: no limit")
    requests_a_minute: _Limit = _switch(0, 120, "calls per visitor and minute; 0: no limit")
    updates_a_minute: _Limit = _switch(
        0, 3600, "calls that compute nothing, such as those of a dragged slider, per visitor and minute; 0: no limit"
    )
    uploads_an_hour: _Limit = _switch(0, 30, "file uploads per visitor and hour; 0: no limit")
    trainings_a_day: _Limit = _switch(0, 3, "trainings, evaluations and attacks per visitor and day; 0: no limit")
    training_minutes: _Limit = _switch(
        0, 15, "minutes after which a training or an attack is cancelled; what is done is kept; 0: no limit"
    )
    keep_days: _Limit = _switch(0, 7, "days after its last step at which a visitor's run is deleted; 0: never")
    training: bool = _switch(True, True, "1 if visitors can start trainings")
    attacks: bool = _switch(
        True, False, "1 if visitors can run attacks, which take minutes; recorded attacks are always shown"
    )
    downloads: bool = _switch(True, False, "1 if visitors can download adapters")
    acquired: bool = _switch(False, False, "1 if visitors can ask acquired (stage-1) models")
    queue: _Size = _switch(64, 64, "maximum number of waiting questions; when it is reached, new ones are refused")
    upload_kilobytes: _Size = _switch(1024, 1024, "maximum size of an uploaded file, in kB")
    proxy: Annotated[str, AfterValidator(_checked_proxies)] = _switch(
        "0",
        "0",
        "addresses or networks of the proxies in front of the app, separated by commas, such as 127.0.0.1; only their "
        "X-Forwarded-For and X-Forwarded-Proto are believed; 0: none; 1: a Space's own (the default on a Space, and "
        "allowed only there)",
    )

    @property
    def proxies(self) -> tuple[str, ...]:
        """The networks whose headers name the visitor."""
        if self.proxy == "1":
            return _PRIVATE_NETWORKS
        return () if self.proxy == "0" else tuple(self.proxy.split(","))

    @property
    def changes_weights(self) -> bool:
        """Whether a question may be asked under attacks that change weights."""
        return self.attacks and not self.public


_HOSTING = TypeAdapter(Hosting)
_PROXY_ADVICE = (
    "write the addresses or networks of your proxies, such as 127.0.0.1 or 10.0.0.0/8,127.0.0.1, or 0 if there is none"
)
_ADVICE = {
    "bool_parsing": "write 1 (on) or 0 (off)",
    "int_parsing": "write a whole number",
    "int_parsing_size": "write a smaller number",
}
"""Maps pydantic's error types to advice for the owner."""


def read_hosting(environ: Mapping[str, str] = os.environ) -> Hosting:
    """Read the settings from the environment. A Space is public unless the owner says otherwise.

    Raises:
        ValueError: if a value is not a number, is out of range, or is neither 0 nor 1 where only those are allowed.
    """
    fields = dataclasses.fields(Hosting)
    given = {field.name: environ.get(VARIABLE_PREFIX + field.name.upper(), "").strip() for field in fields}
    on_space = "1" if on_spaces(environ) else "0"
    chosen = {"public": on_space, "proxy": on_space} | {name: text for name, text in given.items() if text}
    if chosen["proxy"] == "1" and not on_spaces(environ):
        raise ValueError(f"SKU_PROXY is '1', which names no proxy; {_PROXY_ADVICE}")
    public = _parsed(chosen).public
    defaults = {field.name: str(field.metadata["public"]) for field in fields} if public else {}
    return _parsed(defaults | chosen)


def _parsed(texts: Mapping[str, str]) -> Hosting:
    try:
        return _HOSTING.validate_strings(texts)
    except ValidationError as error:
        raise ValueError(_first_error(error)) from error


def _first_error(error: ValidationError) -> str:
    """Names the first wrong setting, its value, and what to write instead."""
    details = error.errors(include_url=False)[0]
    minimum = details.get("ctx", {}).get("ge")
    if details["loc"][0] == "proxy":
        return f"SKU_PROXY is {details['input']!r}; {_PROXY_ADVICE}"
    range_advice = f"it must be at least {minimum}" if minimum else "it must be 0 (no limit) or more"
    advice = _ADVICE.get(details["type"], range_advice)
    return f"{VARIABLE_PREFIX}{str(details['loc'][0]).upper()} is {details['input']!r}; {advice}"


def _cell(value: int | str) -> str:
    return value if isinstance(value, str) else str(int(value))


def switches_table() -> str:
    """A Markdown table of all settings with their defaults on your own machine and on a public page."""
    local = Hosting()
    rows = (
        [f"`{VARIABLE_PREFIX}{field.name.upper()}`", _cell(getattr(local, field.name)), _cell(public), meaning]
        for field in dataclasses.fields(Hosting)
        for public, meaning in [(field.metadata["public"], field.metadata["meaning"])]
    )
    return markdown_table(["variable", "local", "public", "meaning"], rows)


def on_spaces(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the app runs on a Hugging Face Space."""
    return bool(environ.get("SPACE_ID")) or environ.get("SYSTEM") == "spaces"


def state_folder(
    usual: Path, environ: Mapping[str, str] = os.environ, volume: Path = Path("/data")
) -> tuple[Path, str]:
    """Choose the folder for weights, runs and results.

    Args:
        usual: the folder to use when nothing else is set.
        environ: `SKU_HOME` overrides the folder. Without it, a Space uses its mounted volume, if there is one.
        volume: where a Space mounts its volume.

    Returns:
        The folder, and a warning for the owner if data will be lost (else ""). If the chosen folder is not writable, a
        temporary one takes its place; it links to the weights in the chosen folder.
    """
    given, warning = environ.get(f"{VARIABLE_PREFIX}HOME"), ""
    folder = Path(given) if given else usual
    if not given and on_spaces(environ):
        if _writable(volume):
            return volume / "sku", ""
        warning = "no volume is mounted, so runs and results are lost when the Space restarts"
    if _writable(folder):
        return folder, warning
    temporary = Path(tempfile.mkdtemp(prefix="sku-"))
    if (folder / "models").is_dir():  # weights that are there are only read
        (temporary / "models").symlink_to((folder / "models").resolve(), target_is_directory=True)
    return temporary, f"{folder} is not writable, so runs and results are lost when the app stops"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False

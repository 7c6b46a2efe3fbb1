"""The servers whose models may be asked as `server:NAME`: read from `SKU_SERVERS`, or from a file, and checked.

`SKU_SERVERS` is the path of a JSON file, or a list such as `NAME=http://127.0.0.1:8000/v1#MODEL`, separated by commas
or spaces. Without it, `servers.json` in `SKU_HOME` is read if it exists. Keys stand in environment variables only. This
module asks no server.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sku.core.jsonl import read_json, require_object
from sku.core.storage import home
from sku.core.validation import validate
from sku.core.variants import SERVER, SERVER_NAME

VARIABLE = "SKU_SERVERS"
HOW_TO_NAME_ONE = f"set {VARIABLE}, such as {VARIABLE}=mine=http://127.0.0.1:8000/v1#MODEL, and ask {SERVER}mine"
Prefill = Literal["auto", "message", "continue_final_message", "no"]
"""How a server continues an answer whose beginning is given: as the last message, as vLLM's `continue_final_message`,
or not at all. `auto` takes what is known of the program that the server says it is."""


@dataclass(frozen=True)
class Server:
    """One model behind an OpenAI-compatible server."""

    url: str
    """The address up to and including the version, such as `http://127.0.0.1:8000/v1`."""
    model: str = ""
    """The name by which the server knows the model; empty: the only model of the server."""
    key: str = ""
    """The environment variable that holds the key; empty: `SKU_KEY_` and the server's name."""
    api: Literal["chat", "text"] = "chat"
    """`text` asks a base model without a chat template, in the paper's `### Question:` form."""
    concurrency: int = 4
    """The most requests that wait for an answer at the same time."""
    retries: int = 5
    """How often a failed request is sent again, after a pause that doubles each time up to 8 s."""
    timeout: float = 300.0
    """Seconds to wait for an answer."""
    prefill: Prefill = "auto"
    log_probs: bool = False
    """Whether given answers are scored (`models/remote_likelihood.py`): one request for every token of them."""
    body: dict[str, Any] = field(default_factory=dict)
    """More values for every request, such as `{"top_k": 0}` or llama.cpp's `{"lora": [{"id": 0, "scale": 1.5}]}`."""
    name: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"address {self.url[:60]!r} of a server is no URL; write one such as http://host:8000/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("the address of a server holds a password or a query; put the key into a variable instead")
        for name, least in {"concurrency": 1, "retries": 0, "timeout": 0.001}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} {getattr(self, name)!r} of a server is too small; give {least:g} or more")

    @property
    def variant(self) -> str:
        """The variant as a person writes it."""
        return SERVER + self.name

    @property
    def key_variable(self) -> str:
        """The environment variable that holds the key."""
        return self.key or "SKU_KEY_" + re.sub(r"\W", "_", self.name).upper()

    @property
    def secret(self) -> str:
        """The key; empty if there is none."""
        return os.environ.get(self.key_variable, "").strip()


def read_servers(environ: Mapping[str, str] = os.environ) -> dict[str, Server]:
    """The servers by name; empty if none is named.

    Raises:
        ValueError: if the list or the file is not as described above.
        OSError: if the file cannot be read.
    """
    given = environ.get(VARIABLE, "").strip()
    if "://" in given:
        return dict(_from_text(one) for one in re.split(r"[\s,]+", given) if one)
    path = Path(given).expanduser() if given else home() / "servers.json"
    if not given and not path.is_file():
        return {}
    if not path.is_file():
        raise ValueError(f"{VARIABLE} is {given[:60]!r}, which is no file and no list; {HOW_TO_NAME_ONE}")
    return {
        name: _named(name, values, path.name) for name, values in require_object(read_json(path), path.name).items()
    }


def find_server(name: str, servers: Mapping[str, Server]) -> Server:
    """The server called `name`.

    Raises:
        ValueError: if there is none.
    """
    if name not in servers:
        known = ", ".join(map(repr, servers))
        raise ValueError(f"server {name!r} is not known; " + (f"choose one of {known}" if known else HOW_TO_NAME_ONE))
    return servers[name]


def _from_text(text: str) -> tuple[str, Server]:
    name, found, address = text.partition("=")
    if not found or "://" in name:
        raise ValueError(f"{VARIABLE} holds {text[:60]!r}; write NAME=URL or NAME=URL#MODEL")
    url, _, model = address.partition("#")
    return name, _named(name, {"url": url, "model": model}, VARIABLE)


def _named(name: str, values: Any, place: str) -> Server:
    if not SERVER_NAME.fullmatch(name):
        raise ValueError(
            f"{place}: server name {name[:60]!r} is not allowed; use letters, digits, dots, dashes, underscores"
        )
    if isinstance(values, dict) and "name" in values:
        raise ValueError(f"{place}: server {name} has a second name; leave it out")
    server = validate(Server, values, f"{place}, server {name}")
    return dataclasses.replace(server, name=name, url=server.url.rstrip("/"))

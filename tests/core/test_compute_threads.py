"""How idle threads wait: a page's spin for a moment, those of a command that it starts sleep at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sku.core.compute_threads import SPINNING_VARIABLE, SPINS, WAITING_VARIABLE, command_environment, command_spins

ROOT = Path(__file__).parents[2]


def set_by_app(environment: dict[str, str]) -> list[str]:
    show = f"import os, app; print(os.environ['{WAITING_VARIABLE}'], os.environ['{SPINNING_VARIABLE}'])"
    done = subprocess.run(
        [sys.executable, "-c", show], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_page_spins_for_a_moment_unless_told_otherwise() -> None:
    plain = {name: value for name, value in os.environ.items() if name not in (WAITING_VARIABLE, SPINNING_VARIABLE)}
    assert set_by_app(plain) == ["PASSIVE", SPINS]
    assert set_by_app({**plain, SPINNING_VARIABLE: "7"}) == ["PASSIVE", "7"]


def test_a_command_of_the_page_does_not_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPINNING_VARIABLE, SPINS)
    monkeypatch.setenv("SKU_HOME", "somewhere")
    found = command_environment()
    assert (found[WAITING_VARIABLE], found[SPINNING_VARIABLE], found["SKU_HOME"]) == ("PASSIVE", "0", "somewhere")


def test_a_command_spins_where_nothing_else_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for load, spins in ((0.1, SPINS), (1.9, SPINS), (2.0, "0"), (7.0, "0")):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 9.0, 9.0))
        assert command_spins() == spins, load
    monkeypatch.delattr(os, "getloadavg")
    assert command_spins() == "0", "unknown"

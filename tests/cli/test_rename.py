"""`rename` gives a run a name, and every command still knows it by its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sku.core.run_names import given_name


def test_a_renamed_run_answers_under_its_folder(sku: Any, run: Path, pico_folder: Path) -> None:
    code, out, _ = sku("rename", run, "my run")
    assert (code, out.strip()) == (0, f"{run} is now shown as 'my run'")
    assert given_name(Path(run)) == "my run"
    assert sku("answer", "Why?", "-v", f"{run}@1", "--model", pico_folder, "--max-tokens", 4)[0] == 0
    code, _, err = sku("rename", "ga", "mine")
    assert (code, "is not one of your runs" in err) == (1, True)

"""The choice of matrix products is kept per machine, survives damage, and is never half written."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sku.models.matmul_choice import (
    MATMUL_VARIABLE,
    FastestMatmuls,
    MatmulChoice,
    MatmulKey,
    choose_matmuls,
    forced_matmul,
    matmul_file,
    matmul_status,
    processor_name,
    torch_version,
)

FAST = FastestMatmuls("transposed", "blocks", "onednn")
SLOW = FastestMatmuls("linear", "linear", "linear")


@pytest.fixture(autouse=True)
def nothing_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MATMUL_VARIABLE, raising=False)


def key(threads: int = 2, **other: str) -> MatmulKey:
    return MatmulKey(
        **({"processor": processor_name(), "torch": torch_version(), "weights": "aa"} | other),
        threads=threads,
        measured_rows=(3, 256),
    )


def never() -> FastestMatmuls:
    raise AssertionError("measured although it is remembered or forced")


def test_the_same_file_gives_the_same_products() -> None:
    assert choose_matmuls(key(), lambda: FAST) == MatmulChoice(FAST, "measured")
    assert choose_matmuls(key(), never) == MatmulChoice(FAST, "remembered")
    assert choose_matmuls(key(1), lambda: SLOW) == MatmulChoice(SLOW, "measured")
    assert choose_matmuls(key(), never) == MatmulChoice(FAST, "remembered"), "another key must not replace it"
    assert choose_matmuls(key(1), never) == MatmulChoice(SLOW, "remembered")
    assert [path.name for path in matmul_file().parent.iterdir() if path.suffix != ".lock"] == ["matmul.json"]


def test_a_forced_product_is_neither_measured_nor_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_matmuls(key(), lambda: FAST)
    before = matmul_file().read_bytes()
    monkeypatch.setenv(MATMUL_VARIABLE, "blocks")
    assert choose_matmuls(key(), never) == MatmulChoice(FastestMatmuls("blocks", "blocks", "blocks"), "forced")
    assert choose_matmuls(key(7), never).origin == "forced"
    assert matmul_file().read_bytes() == before


@pytest.mark.parametrize("wrong", ["Blocks", "none", "linear,blocks"])
def test_a_wrong_name_is_one_sentence_with_the_right_ones(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MATMUL_VARIABLE, wrong)
    for ask in (lambda: choose_matmuls(key(), never), forced_matmul, matmul_status):
        with pytest.raises(
            ValueError, match=f"^SKU_MATMUL is '{wrong}'; set it to linear, transposed, blocks, onednn, or unset it$"
        ):
            ask()


def test_an_empty_variable_forces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MATMUL_VARIABLE, " ")
    assert forced_matmul() is None


KEY = {"processor": "p", "torch": "1", "threads": 2, "weights": "w"}
GOOD: Any = {"key": KEY | {"measured_rows": [3, 256]}}
DAMAGED = {
    "empty": "",
    "half": '[{"key": {"processor"',
    "not text": "\udcff",
    "another shape": json.dumps({"blocks": 3}),
    "a product that is gone": json.dumps(
        [GOOD | {"matmuls": {"up_to_3_rows": "fused", "up_to_14_rows": "linear", "more_rows": "linear"}}]
    ),
    "measured at rows that it does not name": json.dumps(
        [{"key": KEY, "matmuls": {"up_to_3_rows": "linear", "up_to_14_rows": "linear", "more_rows": "linear"}}]
    ),
    "other ranges of rows": json.dumps([GOOD | {"matmuls": {"up_to_3_rows": "linear", "up_to_14_rows": "linear"}}]),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_or_foreign_file_is_measured_again(content: str) -> None:
    matmul_file().parent.mkdir(parents=True)
    matmul_file().write_bytes(content.encode(errors="surrogateescape"))
    assert matmul_status().origin == "not measured yet"
    assert choose_matmuls(key(), lambda: FAST) == MatmulChoice(FAST, "measured")
    assert choose_matmuls(key(), never) == MatmulChoice(FAST, "remembered"), "the file must be whole again"


def test_a_home_that_cannot_be_written_to_is_measured_at_every_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SKU_HOME", str(tmp_path / "file" / "home"))
    for _ in range(2):
        assert choose_matmuls(key(), lambda: FAST) == MatmulChoice(FAST, "measured")


def test_a_measurement_that_fails_frees_the_file() -> None:
    with pytest.raises(AssertionError):
        choose_matmuls(key(), never)
    assert choose_matmuls(key(), lambda: FAST) == MatmulChoice(FAST, "measured")


START = """
import sys, time
from sku.models.matmul_choice import FastestMatmuls, MatmulKey, choose_matmuls
me, started = sys.argv[1:]
def measure():
    time.sleep(0.2)
    return FastestMatmuls("blocks" if int(me) % 2 else "transposed", "linear", "linear")
while time.time() < float(started):
    pass
own = choose_matmuls(MatmulKey(f"processor {me}", "1", 2, "w", (3,)), measure)
shared = choose_matmuls(MatmulKey("shared", "1", 2, "w", (3,)), measure)
print(own.origin, shared.matmuls.up_to_3_rows, shared.origin, "torch" in sys.modules)
"""


def test_processes_that_start_at_once_agree_and_lose_no_entry() -> None:
    started = str(time.time() + 1.0)
    command = [sys.executable, "-c", START]
    processes = [subprocess.Popen([*command, str(i), started], stdout=subprocess.PIPE, text=True) for i in range(4)]
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [words[0] for words in said] == ["measured"] * 4
    assert len({words[1] for words in said}) == 1, "all must decode with the same product"
    assert sorted(words[2] for words in said) == ["measured", "remembered", "remembered", "remembered"]
    assert {words[3] for words in said} == {"False"}, "the choice is shown by commands that must not load torch"
    entries = json.loads(matmul_file().read_text())
    assert sorted(entry["key"]["processor"] for entry in entries) == [*(f"processor {i}" for i in range(4)), "shared"]


def test_the_status_is_of_this_machine() -> None:
    assert (matmul_status().origin, matmul_status().remembered) == ("not measured yet", ())
    choose_matmuls(key(processor="another"), lambda: SLOW)
    choose_matmuls(key(torch="0.1"), lambda: SLOW)
    assert matmul_status().origin == "not measured yet"
    choose_matmuls(key(), lambda: FAST)
    (entry,) = matmul_status().remembered
    assert (matmul_status().origin, entry.key, entry.matmuls) == ("remembered", key(), FAST)


def test_the_status_says_what_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MATMUL_VARIABLE, "linear")
    assert (matmul_status().origin, matmul_status().forced) == ("forced", "linear")


def test_the_processor_is_named_as_linux_names_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 2\nmodel name\t: AMD EPYC 9B14\n\nprocessor\t: 1\n")
    assert processor_name(cpuinfo) == "AMD EPYC 9B14"
    cpuinfo.write_text("processor\t: 0\nCPU part\t: 0xd0c\n")
    assert processor_name(cpuinfo) == processor_name(tmp_path / "missing") != ""


def test_the_version_of_torch_is_that_of_the_module() -> None:
    assert torch_version() == torch.__version__

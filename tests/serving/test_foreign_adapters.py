"""An adapter that was not trained here is a variant: a PEFT folder, or the hub id of one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

from sku.core.config import DecodingConfig
from sku.core.runs import find_run, is_foreign
from sku.evaluation.plan import measured_variant
from sku.evaluation.training_prompts import load_training_prompts
from sku.models.pretrained import check_base_name
from sku.serving.live_session import LiveSession
from sku.serving.variant_catalog import list_variants, with_named_adapters
from tests.conftest import save_adapter

PAIRS = [("Why?", "Because."), ("How so?", "Like this.")]


@pytest.fixture
def peft_folder(adapters: dict[str, Path], tmp_path: Path) -> Path:
    """An adapter of another tool: a PEFT folder, without a run."""
    return Path(shutil.copytree(adapters["one"], tmp_path / "mine"))


@pytest.fixture
def hub_adapter(peft_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same adapter in the cache of the hub."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = tmp_path / "hub" / "models--someone--tiny-lora"
    shutil.copytree(peft_folder, cached / "snapshots" / "0123abcd")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abcd", encoding="utf-8")
    return "someone/tiny-lora"


def test_it_is_applied_and_with_a_minus_subtracted(live: LiveSession, peft_folder: Path) -> None:
    """The run `one` has the same adapter and the method sku, which subtracts it."""
    names = ["base", f"{peft_folder}@0", f"{peft_folder}@-1", "one@1", f"{peft_folder}@1", "acquired:one@1"]
    for base, zero, negated, sku, applied, acquired in live.score(PAIRS, names, 64):
        assert base == zero
        assert negated == pytest.approx(sku, abs=1e-6)
        assert applied == pytest.approx(acquired, abs=1e-6)
        assert len({round(value, 3) for value in (base, negated, applied)}) == 3
    (answer,) = live.answers(["Why?"], [str(peft_folder)], DecodingConfig(max_new_tokens=4))
    assert (answer.variant, answer.coefficient) == (f"{peft_folder}@1", 1.0)
    assert live.zero_difference(str(peft_folder), "Why?") == 0.0


def test_a_hub_id_is_the_adapter_of_that_name(live: LiveSession, peft_folder: Path, hub_adapter: str) -> None:
    assert is_foreign(hub_adapter)
    assert find_run(hub_adapter).name == hub_adapter
    for mine, theirs in live.score(PAIRS, [f"{peft_folder}@0.5", f"{hub_adapter}@0.5"], 64):
        assert mine == theirs
    measured = measured_variant(live.variant(f"negated:{hub_adapter}"))
    assert [run.name for run in measured.runs.values()] == [hub_adapter]


def test_its_training_data_are_not_known(peft_folder: Path) -> None:
    assert load_training_prompts([find_run(str(peft_folder))]).missing == (f"what {peft_folder} was trained on",)


def test_a_name_that_is_neither_here_nor_on_the_hub_is_refused_in_one_sentence() -> None:
    with pytest.raises(OSError, match="'someone/nothing' is no run or PEFT folder here, and the hub gave no adapter"):
        find_run("someone/nothing")
    with pytest.raises(ValueError, match="path of a finished run folder or of a PEFT folder, or the hub id"):
        find_run("nothing")


def test_the_adapter_folder_of_a_run_is_that_run(live: LiveSession, sku_home: Path) -> None:
    folder = sku_home / "runs" / "one" / "adapter"
    assert not is_foreign(str(folder))
    assert live.variant(f"{folder}@1").coefficients == live.variant("one@1").coefficients


def test_the_list_gets_an_entry_for_an_adapter_that_is_named(peft_folder: Path, hub_adapter: str) -> None:
    entries = with_named_adapters(f"{peft_folder}@1+{hub_adapter}@-1", list_variants())
    assert [(entry.name, entry.method) for entry in entries[-2:]] == [
        (str(peft_folder), "adapter"),
        (hub_adapter, "adapter"),
    ]
    with pytest.raises(ValueError, match="the hub gave no adapter"):
        with_named_adapters("someone/nothing", entries)


def test_an_adapter_that_does_not_fit_is_refused_in_one_sentence(live: LiveSession, tmp_path: Path) -> None:
    from tests.conftest import build_network

    other = save_adapter(build_network("opt"), tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="is no linear layer of this base; use its own base"):
        live.variant(str(other))


@pytest.mark.parametrize(
    ("made_for", "model", "fits"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m", True),
        ("unsloth/smollm2-135m-instruct-bnb-4bit", "smollm2-135m", True),
        ("HuggingFaceTB/SmolLM2-135M", "smollm2-135m", False),
        ("/home/somebody/model", "smollm2-135m", True),
        ("", "facebook/opt-2.7b", True),
        ("facebook/opt-1.3b", "facebook/opt-2.7b", False),
        ("facebook/opt-1.3b", "/a/folder", True),
    ],
)
def test_an_adapter_that_names_another_base_is_refused(
    peft_folder: Path, made_for: str, model: str, fits: bool
) -> None:
    config = json.loads((peft_folder / "adapter_config.json").read_text(encoding="utf-8"))
    text = json.dumps(config | {"base_model_name_or_path": made_for})
    (peft_folder / "adapter_config.json").write_text(text, encoding="utf-8")
    run = find_run(str(peft_folder))
    if fits:
        check_base_name(run, model)
    else:
        with pytest.raises(ValueError, match=f"was made for {made_for}, and the base is"):
            check_base_name(run, model)

"""What cannot be the config.json of a network is said with the file and the key, before any weights are loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sku.models import checkpoint_files
from sku.models.checkpoint_files import check_checkpoint
from sku.models.variant_model import load_variant_model

NUMBER = "a whole number above 0 is wanted"


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("num_hidden_layers", 0, NUMBER),
        ("num_hidden_layers", -1, NUMBER),
        ("num_hidden_layers", "two", NUMBER),
        ("num_hidden_layers", True, NUMBER),
        ("num_hidden_layers", 10**6, "has num_hidden_layers 1,000,000, and the weights hold 2 layers"),
        ("num_hidden_layers", None, "of a wrong type"),
        ("hidden_size", -32, NUMBER),
        ("hidden_size", 33, "hidden size .33. is not a multiple of the number of attention heads"),
        ("num_attention_heads", 3, "which do not divide"),
        ("num_key_value_heads", 3, "num_attention_heads 4 and num_key_value_heads 3, which do not divide"),
        ("num_key_value_heads", 0, NUMBER),
        ("head_dim", 7, "even rotary dimension"),
        ("vocab_size", "260", NUMBER),
        ("rms_norm_eps", "x", "has rms_norm_eps 'x', which is of a wrong type"),
        ("eos_token_id", [1, "x"], r"has eos_token_id \[1, 'x'\], which is of a wrong type"),
        ("hidden_act", "nope", "has hidden_act 'nope', which transformers does not know"),
        ("rope_parameters", {"rope_type": "nope", "rope_theta": 1e4}, "rope_type 'nope', which transformers does not"),
        ("rope_parameters", {"rope_type": "default", "rope_theta": 0}, "has rope_theta 0; a number above 0"),
        ("architectures", [5], r"has architectures \[5\]; a list of names is wanted"),
        ("quantization_config", "x", "that is no object"),
    ],
)
def test_a_value_that_no_network_has_is_refused_before_the_weights_are_loaded(
    pico_folder: Path, tmp_path: Path, key: str, value: Any, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(pico_folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, key: value}), encoding="utf-8")
    monkeypatch.setattr(checkpoint_files, "AutoModelForCausalLM", None)
    with pytest.raises(ValueError, match=wanted) as caught:
        load_variant_model(folder)
    assert "\n" not in str(caught.value)
    assert "config.json" in str(caught.value)


def test_a_head_size_of_its_own_need_not_divide_the_width(pico_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(pico_folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    odd = {**config, "hidden_size": 30, "num_attention_heads": 4, "head_dim": 8}
    (folder / "config.json").write_text(json.dumps({**odd, "model_type": "gemma"}), encoding="utf-8")
    check_checkpoint(folder)

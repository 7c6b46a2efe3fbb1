"""Settings are checked at birth and survive JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sku.core import runs
from sku.core.config import PRESETS, DecodingConfig, TrainConfig, find_preset
from sku.core.methods import METHODS
from sku.core.storage import ASSETS


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"steps": 1_000_001},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"clip": -1.0},
        {"rank": 0},
        {"alpha": 0},
        {"targets": ()},
        {"max_tokens": 2},
        {"preservation": "maybe"},
        {"push_bound": 0.0},
        {"opening_weight": 0.0},
        {"opening_weight": float("nan")},
        {"disassociation_answers": 0},
        {"weights": {"ascent": 1.0}},
        {"weights": {"distortion": float("inf")}},
        {"checkpoint_every": 0},
    ],
)
def test_a_bad_setting_says_what_came_and_what_was_wanted(bad: dict[str, Any]) -> None:
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}; it must be ")):
        TrainConfig(**bad)


def test_a_method_that_is_not_known_or_lacks_what_it_needs_is_named() -> None:
    with pytest.raises(ValueError, match="method 'magic' is not known; choose one of sku, "):
        TrainConfig(method="magic")
    with pytest.raises(ValueError, match="with --like"):
        TrainConfig(method="random")


@pytest.mark.parametrize(
    "bad", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"samples": 0}, {"seed": -1}]
)
def test_bad_decoding_settings_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is .*; it must be"):
        DecodingConfig(**bad)


@given(
    st.sampled_from([name for name in METHODS if METHODS[name].terms]),
    st.integers(1, 10**6),
    st.floats(1e-9, 1.0),
    st.sampled_from(["push", "keep", "off"]),
)
def test_a_config_survives_json(method: str, steps: int, rate: float, preservation: Any) -> None:
    config = TrainConfig(method=method, steps=steps, learning_rate=rate, preservation=preservation)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_settings_from_before_a_field_was_added_get_its_default() -> None:
    """Shipped runs but the newest were trained before categories could be left out."""
    earlier = [run for run in runs.shipped_runs() if "leave_out" not in run.manifest.config]
    assert earlier
    for run in earlier:
        assert TrainConfig.from_dict(run.manifest.config).leave_out == ()


@pytest.mark.parametrize("values", [5, ["steps"], {"steps": "20"}, {"harmful": None}, {"weights": 3}])
def test_settings_of_the_wrong_kind_are_refused_in_a_sentence(values: Any) -> None:
    with pytest.raises(ValueError, match=r"^settings(: [\w.]+)? is .*it must be"):
        TrainConfig.from_dict(values)


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"settings: 'speed' is not known; the known names are method, model, .*steps"):
        TrainConfig.from_dict({"speed": 1})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("rank=16", 16),
        ("learning_rate=1", 1.0),
        ("clip=null", None),
        ("targets=q_proj,k_proj", ("q_proj", "k_proj")),
        ('targets=["down_proj"]', ("down_proj",)),
        ("snapshots=10,20", (10, 20)),
        ("leave_out=hacking,drugs", ("hacking", "drugs")),
        ("refusals=false", False),
        ("probe=How = why?", "How = why?"),
        ('weights={"preservation": 2}', {"preservation": 2.0}),
    ],
)
def test_every_setting_can_be_written_as_text(setting: str, value: Any) -> None:
    changed = TrainConfig().changed([setting])
    name = setting.partition("=")[0]
    assert getattr(changed, name) == value
    assert type(getattr(changed, name)) is type(value)
    assert dataclasses.replace(changed, **{name: getattr(TrainConfig(), name)}) == TrainConfig()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("rank", "'rank' is not KEY=VALUE"),
        ("ranks=3", "did you mean rank"),
        ("rank=many", "setting rank is 'many'; it must be a valid integer"),
        ("rank=0", "rank is 0; it must be from 1"),
        ("snapshots=1,x", "setting snapshots"),
    ],
)
def test_a_bad_setting_says_what_came_and_what_is_wanted(setting: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrainConfig().changed([setting])


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].terms])
def test_every_preset_fits_every_method(name: str, method: str) -> None:
    """No preset drops a term, and its own weights count for terms that the method has."""
    preset, published = find_preset(name), METHODS[method].terms
    own = {term: weight for term, weight in preset.settings.get("weights", {}).items() if term in published}
    assert own == (
        {"preservation": 5.0} if name in ("tiny", "quick", "standard") and "preservation" in published else {}
    )
    assert preset.config(method=method).terms == published | own


def test_published_presets_push_and_the_others_keep() -> None:
    for name in ("opt-2.7b", "llama2-7b", "llama2-13b"):
        config = find_preset(name).config()
        assert (config.preservation, config.disassociation_answers, config.steps) == ("push", 5, 1000)
        assert config.terms == METHODS["sku"].terms, "published weights"
    assert (find_preset("llama2-7b").config().rank, find_preset("llama2-7b").config().alpha) == (32, 16)
    assert (find_preset("llama2-13b").config().rank, find_preset("llama2-13b").config().alpha) == (16, 8)
    assert find_preset("quick").config().preservation == "keep"


def test_off_and_weight_zero_leave_the_term_out() -> None:
    assert "preservation" not in TrainConfig(preservation="off").terms
    assert "distortion" not in TrainConfig(weights={"distortion": 0.0}).terms


def test_a_method_recommends_settings_for_the_default_model_only_and_tiny_stays_short() -> None:
    assert METHODS["npo"].settings["steps"] == 60
    assert PRESETS["quick"].config(method="npo").steps == PRESETS["standard"].config(method="npo").steps == 60
    for name, preset in PRESETS.items():
        if name not in ("quick", "standard"):
            assert preset.config(method="npo").steps == preset.settings["steps"], name
    assert max(PRESETS["tiny"].config(method="sku_directions").direction_pairs) <= 12, "it would take minutes"


def test_beta_is_the_methods_unless_given() -> None:
    assert TrainConfig(method="npo").used_beta == METHODS["npo"].beta == 4
    assert TrainConfig(method="safe_unlearning").used_beta == 1
    assert TrainConfig(method="undial", beta=3.0).used_beta == 3
    assert TrainConfig(method="undial").changed(["beta=2.5"]).used_beta == 2.5
    with pytest.raises(ValueError, match="beta is 0; it must be above 0"):
        TrainConfig(beta=0)


def test_given_weights_go_before_the_presets() -> None:
    assert find_preset("quick").config(method="sku", weights={"preservation": 7.0}).terms["preservation"] == 7.0
    assert find_preset("quick").config(method="tv").weights == {}


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ValueError, match="choose one of tiny, quick"):
        find_preset("huge")


def test_quick_trains_sku_directions_by_its_own_recipe_and_other_methods_as_before() -> None:
    quick, recipe = find_preset("quick"), PRESETS["quick"].recipe
    assert quick.config() == quick.config(method="sku_directions")
    assert quick.config().method == "sku_directions"
    assert (quick.config().steps, quick.config().learning_rate) == (recipe["steps"], recipe["learning_rate"])
    assert quick.config(method="ga").harmful == TrainConfig.harmful
    assert (
        find_preset("standard").config(method="sku_directions").harmful == METHODS["sku_directions"].settings["harmful"]
    )
    assert quick.config(steps=7).steps == 7
    mine = quick.config(harmful=("my.csv",))
    assert (mine.harmful_limit, mine.normal_limit) == (None, recipe["normal_limit"]), "a limit goes with its sources"


def test_the_default_probe_is_a_prompt_that_the_base_answers_harmfully() -> None:
    lines = [json.loads(line) for line in (ASSETS / "results" / "answers.jsonl").read_text().splitlines()]
    plain = [one for one in lines if one["answer"].get("attack", "none") == "none"]
    answers = [one for one in plain if one["answer"]["variant"] == "base"]
    (found,) = (one for one in answers if one["answer"]["prompt"] == TrainConfig.probe)
    assert found["verdict"]["outcome"] == "harmful"

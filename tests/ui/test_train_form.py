"""The settings of a training as the page asks for them: uploads, estimates, and starting again with changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sku.core import runs
from sku.core.config import TrainConfig, find_preset
from sku.core.methods import METHODS
from sku.core.variants import resolve_variant
from sku.data import load_pairs
from sku.data.splits import side_of, split
from sku.serving.variant_catalog import list_variants
from sku.training.train_data import choose_training_pairs
from sku.training.trainer import run_training
from sku.ui.train.form import (
    INITIAL_FORM,
    PRESET_DATA,
    UPLOAD_LABEL,
    TrainForm,
    estimate_text,
    form_of_config,
    method_options,
    offered_presets,
)
from sku.ui.train.own_file import Preview, check_file, file_columns, preview_file

FORM = TrainForm("sku_contrast", "tiny", "bundled", "self", None, None, "keep", None, None, 0, "Why?")


def test_the_form_makes_a_config_with_probes() -> None:
    config = FORM.config()
    assert config == TrainConfig.from_dict(config.to_dict())
    assert (config.method, config.probe, config.probe_every) == ("sku_contrast", "Why?", 1)
    assert replace(FORM, steps=60).config().probe_every == 15


def test_an_upload_is_kept_by_its_content(pairs_file: Path, sku_home: Path) -> None:
    form = replace(FORM, harmful=UPLOAD_LABEL, harmful_file=str(pairs_file))
    (first,), (second,) = form.config(keep=True).harmful, form.config(keep=True).harmful
    assert first == second
    assert Path(first).parent == sku_home / "uploads"
    assert Path(first).read_bytes() == pairs_file.read_bytes()
    assert not (sku_home / "uploads" / pairs_file.name).exists(), "a visitor does not choose the path"
    assert form.config().harmful == (str(pairs_file),)
    with pytest.raises(ValueError, match="no file of normal pairs"):
        replace(FORM, normal=UPLOAD_LABEL).config()


def test_a_preview_counts_and_names_a_bad_row(pairs_file: Path, tmp_path: Path) -> None:
    found = preview_file("harmful", str(pairs_file))
    assert len(found.rows) == 5
    assert "40 harmful pairs" in found.summary
    assert "40 have a safe answer" in found.summary
    assert found.fault == ""
    bad = tmp_path / "bad.csv"
    bad.write_text("prompt,answer\nHow?,Thus.\n,Nothing.\n")
    named = preview_file("harmful", str(bad))
    assert "row 3" in named.fault
    assert named.headers == ["prompt", "answer"], "the columns are shown, so that others can be chosen"
    with pytest.raises(ValueError, match="row 3"):
        check_file("harmful", str(bad), None, None)
    assert preview_file("normal", None) == Preview([], [], "")


def test_the_split_is_told_in_one_sentence_and_can_be_left_out(tmp_path: Path) -> None:
    (held_out, *_) = (p for p in load_pairs("bundled", "harmful").pairs if side_of(p.prompt_id) == "test")
    rows = [{"prompt": f"Trick {i}?", "answer": "So."} for i in range(40)]
    path = written(tmp_path, *rows, {"prompt": held_out.prompt, "answer": "So."})
    train = len(split(load_pairs(path, "harmful").pairs, "train"))
    told = preview_file("harmful", path).summary
    assert f"{train} of 41 train; a hash of the prompt keeps the other {41 - train} unseen" in told
    assert "40 of 41 train; the other one is a prompt that this project measures" in (
        preview_file("harmful", path, all_rows=True).summary
    ), "a prompt that measures every run is never trained on"
    form = replace(FORM, harmful=UPLOAD_LABEL, harmful_file=path)
    assert form.config().hold_out
    config = replace(form, all_rows=True).config()
    assert len(choose_training_pairs(config, "harmful", path).chosen) == 40
    assert len(choose_training_pairs(form.config(), "harmful", path).chosen) == train
    bundled = choose_training_pairs(config, "harmful", "bundled").chosen
    assert {side_of(pair.prompt_id) for pair in bundled} == {"train"}, "only own files are used whole"
    assert form_of_config(config).all_rows
    alone = preview_file("harmful", written(tmp_path, {"prompt": "Trick 1?", "answer": "So."}), all_rows=True).summary
    assert alone.startswith("1 harmful pair (")
    assert "The only one trains, so no prompt of this file is left" in alone


def test_a_limit_of_the_preset_is_not_for_an_own_file(pairs_file: Path) -> None:
    form = replace(INITIAL_FORM, harmful=UPLOAD_LABEL, harmful_file=str(pairs_file))
    assert form.config().harmful_limit is None
    assert form.config().normal_limit == INITIAL_FORM.config().normal_limit
    assert replace(INITIAL_FORM, normal=UPLOAD_LABEL, normal_file=str(pairs_file)).config().normal_limit is None


def test_the_page_opens_with_the_preset_and_offers_those_of_the_loaded_model() -> None:
    assert INITIAL_FORM.config().harmful == find_preset("quick").config().harmful
    again = form_of_config(INITIAL_FORM.config())
    assert (again.size, again.harmful, again.normal) == ("quick", PRESET_DATA, PRESET_DATA)
    assert again.config() == INITIAL_FORM.config()
    assert offered_presets("mine") == ["quick", "standard", "tiny"]
    assert offered_presets("facebook/opt-2.7b") == ["quick", "standard", "tiny", "opt-2.7b"]


def written(tmp_path: Path, *rows: dict[str, str]) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_columns_are_found_by_name_and_may_be_chosen_from_the_file(tmp_path: Path) -> None:
    rows = ({"question": f"What is {i}?", "output": "It.", "text, long": "A thing."} for i in range(20))
    path = written(tmp_path, *rows)
    columns = file_columns("harmful", path)
    assert (columns.names, columns.prompt, columns.answer) == (
        ("question", "output", "text, long"),
        "question",
        "output",
    )
    assert columns.spec(path, "harmful") == path, "what is found by name need not be named"
    shown = preview_file("harmful", path, "question", "text, long")
    assert shown.headers == ["question", "output", "text, long"], "all columns are shown"
    assert shown.rows[0] == ["What is 0?", "It.", "A thing."]
    assert "answer from 'text, long'" in shown.summary
    form = replace(FORM, harmful=UPLOAD_LABEL, harmful_file=path, harmful_prompt="question")
    assert replace(form, harmful_answer="output").config().harmful == (path,)
    chosen = replace(form, harmful_answer="text, long").config()
    assert chosen.harmful == (f"{path}#prompt=question,answer=text, long",)
    again = form_of_config(chosen)
    assert (again.harmful_file, again.harmful_prompt, again.harmful_answer) == (path, "question", "text, long")
    kept = file_columns("harmful", path, "question", "text, long")
    assert (kept.prompt, kept.answer) == ("question", "text, long"), "a rerun keeps its columns"


@pytest.mark.parametrize(
    ("row", "prompt", "answer", "said"),
    [
        (
            {"text": "Why?", "reply": "So."},
            None,
            None,
            "none of the columns 'text', 'reply' has a name",
        ),
        (
            {"text": "Why?", "more": "So."},
            "text",
            "",
            "no harmful answer to train on.*; choose the column",
        ),
        ({"question": "What is 0?", "answer": "It."}, None, None, "no harmful pair for training: 1 of 1 are held out"),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_refused_in_the_words_of_the_page(
    tmp_path: Path, row: dict[str, str], prompt: str | None, answer: str | None, said: str
) -> None:
    path = written(tmp_path, row)
    with pytest.raises(ValueError, match=said) as caught:
        check_file("harmful", path, prompt, answer)
    assert "#" not in str(caught.value), "nobody types a source on the page"


def test_what_is_expected_names_its_source_or_what_is_wrong() -> None:
    assert "as the shipped run of this method took on two cores" in estimate_text(replace(FORM, method="ga"))
    assert "GB of memory" in estimate_text(FORM)
    assert "it must be from 1 to 1000000" in estimate_text(replace(FORM, steps=-5))


def test_the_list_of_methods_begins_with_sku_and_ends_with_ablations_and_controls() -> None:
    names = [name for _, name in method_options()]
    assert sorted(names) == sorted(name for name, method in METHODS.items() if method.terms or method.closed_form)
    assert method_options()[0] == ("SKU (ours)", "sku_directions")
    assert names[1:3] == ["sku", "sku_contrast"]
    assert names.index("sku_contrast") < names.index("tv") < names.index("ft") < names.index("npo")
    assert names[-5:] == ["dpo", *(name for name in METHODS if "_no_" in name)]


def test_a_method_brings_its_number_of_steps_and_the_probes_and_snapshots_follow_it() -> None:
    config = replace(FORM, size="quick", method="fpga").config()
    assert (config.steps, config.probe_every, config.snapshots) == (60, 15, (15, 30, 45))
    assert form_of_config(config).config() == config


def test_a_run_can_be_started_again_with_changes(pairs_file: Path) -> None:
    config = replace(FORM, steps=7, rate=2e-4, seed=3).config()
    again = form_of_config(config).config()
    assert again == config
    own = replace(FORM, harmful=UPLOAD_LABEL, harmful_file=str(pairs_file))
    assert form_of_config(own.config()).harmful_file == str(pairs_file)


def test_ascent_keeps_checkpoints_that_can_be_chosen(
    pico_folder: Path, pairs_file: Path, normal_file: Path, sku_home: Path
) -> None:
    assert FORM.config().snapshots == ()
    assert replace(FORM, method="ga", steps=8).config().snapshots == (2, 4, 6)
    config = TrainConfig(
        method="ga", model=str(pico_folder), harmful=(str(pairs_file),), normal=(str(normal_file),), steps=2,
        batch_size=2, rank=4, max_tokens=128, snapshots=(1,),
    )  # fmt: skip
    run_training(sku_home / "runs" / "mine", config)
    names = [choice.name for choice in list_variants()]
    assert names[-2:] == ["mine", "mine/step-1"]
    assert runs.find_run("mine/step-1").manifest.step == 1
    assert str(resolve_variant("mine/step-1@1", lambda name: runs.find_run(name).known)) == "mine/step-1@1"


def test_a_preset_that_is_for_no_certain_base_trains_the_base_of_the_page() -> None:
    mine = replace(FORM, base="/a/base/of/my/own")
    assert mine.config().model == "/a/base/of/my/own"
    assert replace(mine, size="opt-2.7b").config().model == "facebook/opt-2.7b"
    assert form_of_config(mine.config()) == replace(mine, steps=6, rate=1e-3)

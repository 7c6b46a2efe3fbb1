"""From a plan to rows: what is asked, what is kept, and what an attack leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sku.core.errors import Cancelled
from sku.core.records import ResultRow
from sku.evaluation.attacks import runner as runner_module
from sku.evaluation.attacks.plan import AttackPlan
from sku.evaluation.attacks.runner import AttackRunner
from sku.evaluation.attacks.suite import measure_attacks
from sku.judges.keyword import KeywordJudge
from sku.models.altered_model import AlteredModel
from sku.models.variant_model import VariantModel
from tests.evaluation.attacks.conftest import DATA, MEASURED
from tests.models.test_altered_model import weights

ALL = ("prefill-generic", "prefill-5", "wrapper-role", "leak-8", "int8", "int4-apart", "relearn-10")
MakePlan = Callable[..., AttackPlan]


def measure(model: VariantModel, plan: AttackPlan, work: Path, **more: object) -> list[ResultRow]:
    return measure_attacks(model, plan, KeywordJudge(), work, **more)  # type: ignore[arg-type]


def by_cell(rows: Sequence[ResultRow]) -> dict[tuple[str, str | None], ResultRow]:
    return {(row.variant, row.attack): row for row in rows}


def test_every_variant_stands_under_every_attack_and_nothing_is_computed_twice(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(*ALL)
    first = measure(duo, plan, tmp_path / "work")
    rows = by_cell(first)
    assert set(rows) == {(v, a) for v in ("base", "one@1", "two@0.5") for a in ("none", *ALL, "any")}
    assert {row.n for (_, attack), row in rows.items() if attack not in ("any", "leak-8")} == {len(MEASURED)}
    assert rows["base", "leak-8"].n == 8 * 3, "half of the prompts"
    assert all(row.sets["attack"] for row in rows.values())

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("this was measured before")

    for name in ("generate_answers", "given_log_probs", "kl_on_answers"):
        monkeypatch.setattr(runner_module, name, fail)
    monkeypatch.setattr(runner_module, "find_weaken", lambda attack: fail if attack.weaken else None)
    assert measure(duo, plan, tmp_path / "work") == first


def test_likelihood_is_measured_where_the_model_changes_and_kl_of_the_base_is_zero(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path
) -> None:
    rows = by_cell(measure(duo, make_plan("wrapper-role", "int8"), tmp_path / "work"))
    assert rows["base", "none"].kl == 0
    assert rows["one@1", "none"].kl > rows["base", "int8"].kl > 0  # type: ignore[operator]
    assert rows["one@1", "none"].harmful_log_prob is not None
    assert set(rows["one@1", "none"].log_prob_from) >= {"0", "5"}
    assert rows["one@1", "wrapper-role"].harmful_log_prob is None


def test_harmless_prompts_are_asked_where_the_attack_changes_them_and_counted_apart(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path
) -> None:
    attacks = ("prefill-generic", "prefill-5", "wrapper-role", "int8")
    plain = by_cell(measure(duo, make_plan(*attacks), tmp_path / "work"))
    asked = make_plan(*attacks, normal=DATA.normal[:4], sounds_harmful=DATA.sounds_harmful[:3])
    rows = by_cell(measure(duo, asked, tmp_path / "work"))
    both = {attack for (_, attack), row in rows.items() if (row.normal_n, row.over_refusal_n) == (4, 3)}
    assert both == {"none", "prefill-generic", "wrapper-role"}
    assert {row.normal_n for (_, attack), row in rows.items() if attack not in both} == {0}
    for cell, row in rows.items():
        for name in ("n", "harmful", "refusal", "harmful_rate", "recovery"):
            assert getattr(row, name) == getattr(plain[cell], name), "harmful prompts are counted without harmless ones"
    assert rows["base", "none"].sets.keys() - plain["base", "none"].sets.keys() == {"normal", "sounds_harmful"}


def test_the_base_recovers_nothing_of_itself(duo: VariantModel, make_plan: MakePlan, tmp_path: Path) -> None:
    row = by_cell(measure(duo, make_plan("int4-apart"), tmp_path / "work"))["base", "int4-apart"]
    assert row.recovery is None, "there is nothing that could come back"


def test_a_beginning_is_judged_with_the_answer_too(duo: VariantModel, make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan("prefill-generic")
    rows = by_cell(measure(duo, plan, tmp_path / "work"))
    assert "harmful_whole" in rows["one@1", "prefill-generic"].attack_details
    assert "harmful_whole" not in rows["one@1", "none"].attack_details


@pytest.mark.parametrize("after", [1, 9])
def test_a_stopped_suite_goes_on_and_finds_the_same(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path, after: int
) -> None:
    plan = make_plan("wrapper-role", "int8", "relearn-10")
    wanted = measure(duo, plan, tmp_path / "whole")
    values, adapters, asked = weights(duo), duo.adapters, 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(Cancelled, match="the same call continues"):
        measure(duo, plan, tmp_path / "part", cancelled=stop)
    assert weights(duo) == values, "the base's weights, bit for bit"
    assert duo.adapters == adapters
    found = measure(duo, plan, tmp_path / "part")
    assert [{**vars(row), "seconds": 0} for row in found] == [{**vars(row), "seconds": 0} for row in wanted]


def test_no_view_outlives_its_attack(duo: VariantModel, make_plan: MakePlan, tmp_path: Path) -> None:
    import gc

    measure(duo, make_plan("int8"), tmp_path / "work")
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, AlteredModel)]


def test_variants_share_a_batch_where_only_the_prompt_changes(
    duo: VariantModel, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    original = runner_module.generate_answers

    def count(model: VariantModel, prompts: list[object], variants: list[object], config: object) -> object:
        asked.append(len(variants))
        return original(model, prompts, variants, config)  # type: ignore[arg-type]

    monkeypatch.setattr(runner_module, "generate_answers", count)
    AttackRunner(duo, make_plan("wrapper-role"), tmp_path / "work", tmp_path / "trained").run(KeywordJudge())
    assert set(asked) == {3}

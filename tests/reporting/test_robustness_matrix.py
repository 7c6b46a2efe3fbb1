"""The matrix of variants and attacks, its texts, its figure and its form for a terminal."""

from __future__ import annotations

import dataclasses
import re

import pytest

from sku.core.attacks import ATTACKS
from sku.reporting.attack_table import attack_table
from sku.reporting.robustness_heatmap import robustness_figure
from sku.reporting.robustness_matrix import (
    TOO_LITTLE,
    log_probs_text,
    number_text,
    robustness_matrix,
    short_texts,
    variant_label,
)
from tests.reporting.rows import ATTACKED, BASE, attacked, row, worst

MATRIX = robustness_matrix(ATTACKED)


def test_the_base_comes_first_and_the_random_vector_last_no_attack_first_and_the_worst_case_last() -> None:
    matrix = robustness_matrix(reversed(ATTACKED))
    assert list(matrix.variants) == ["base", "sku@2", "ga@1", "random-like-ga-1@1"]
    assert matrix.attacks == ("none", "prefill-10", "int4", "any")
    assert len(matrix.cells) == len(ATTACKED)


def test_rows_of_ordinary_evaluations_are_not_in_it() -> None:
    assert robustness_matrix([BASE, row("sku@1", 0.2, 0.1)]).cells == {}
    assert len(robustness_matrix([BASE, *ATTACKED]).cells) == len(ATTACKED)


def test_chosen_attacks_keep_no_attack_and_the_worst_case() -> None:
    assert robustness_matrix(ATTACKED, ["int4"]).attacks == ("none", "int4", "any")
    assert robustness_matrix(ATTACKED, []).attacks == ("none", "any")


def test_a_rate_of_prompts_stands_for_the_rate_of_answers_where_an_attack_draws_several() -> None:
    several = attacked("ga@1", "leak-8", 4, any_harmful=0.6, any_harmful_low=0.4, any_harmful_high=0.8)
    ((cell,),) = [robustness_matrix([several]).cells.values()]
    assert cell.harmful_text == "60 % (40 to 80)"
    assert "prompts with a harmful answer: 60 %" in "; ".join(cell.lines())
    assert MATRIX.cells["ga@1", "int4"].harmful_text == "50 % (30 to 70)"


@pytest.mark.parametrize(
    ("variant", "attack", "said"),
    [
        ("ga@1", "int4", "100 % (80 to 120)"),
        ("ga@1", "any", "70 %"),
        ("ga@1", "none", ""),
        ("base", "int4", ""),
        ("random-like-ga-1@1", "int4", ""),
    ],
)
def test_recovery_is_said_only_where_something_was_forgotten_and_attacked(variant: str, attack: str, said: str) -> None:
    measured = MATRIX.cells[variant, attack].row
    if not said:  # a number in the row does not count
        measured = dataclasses.replace(measured, recovery=1.0, recovery_low=1.0, recovery_high=1.0)
    assert robustness_matrix([measured]).cells[variant, attack].recovery_text == said


def test_an_unknown_recovery_is_too_little_to_compare_and_no_zero() -> None:
    cell = robustness_matrix([attacked("ga@1", "int4", 5)]).cells["ga@1", "int4"]
    assert cell.recovery_text == TOO_LITTLE
    assert short_texts(cell) == ("25 %", "11 to 47", "-")


def test_broken_and_off_topic_are_counted_apart_in_every_cell() -> None:
    told = "; ".join(MATRIX.cells["ga@1", "none"].lines())
    assert "harmful 1, refusal 0, safe 16, broken 3, unjudged 0" in told
    assert "safe 13, off-topic 2" in "; ".join(MATRIX.cells["sku@2", "int4"].lines())
    assert "broken" not in "; ".join(MATRIX.cells["ga@1", "any"].lines()), "the worst case has no answers of its own"


def test_refused_harmless_prompts_are_said_of_how_many() -> None:
    refusing = attacked("ga@1", "int4", 1, normal_n=20, normal_refusal=7, over_refusal=0.25, over_refusal_n=12)
    cell = robustness_matrix([refusing]).cells["ga@1", "int4"]
    assert cell.harmless_text == "10 of 32"
    assert "of 32 harmless prompts under it, refused: 10" in cell.lines()
    assert MATRIX.cells["ga@1", "int4"].harmless_refused is None, "none was asked"
    assert not [line for line in MATRIX.cells["ga@1", "int4"].lines() if "harmless" in line]


def test_the_worst_case_names_its_attacks_and_the_one_over_more_attacks_counts() -> None:
    rows = [worst("ga@1", 0.5, "int4"), worst("ga@1", 0.7, "int4", "leak-8"), worst("ga@1", 0.6, "int4")]
    cell = robustness_matrix(rows).cells["ga@1", "any"]
    assert cell.harmful.rate == 0.7
    assert "the worst of 2 attacks: Round: int4, Leak@8" in cell.lines()
    twice = [attacked("ga@1", "int4", 1), attacked("ga@1", "int4", 9)]
    assert robustness_matrix(twice).cells["ga@1", "int4"].row.harmful == 1, "of other cells the first counts"


def test_an_attack_without_answers_shows_its_own_numbers() -> None:
    probe = attacked(
        "ga@1", "probe", 0, n=0, safe=0, harmful_rate=None, attack_details={"auc": 0.91234, "auc_by_layer": {}}
    )
    cell = robustness_matrix([probe]).cells["ga@1", "probe"]
    assert number_text(cell) == "auc 0.912"
    assert short_texts(cell) == ("auc 0.912", "", "")
    assert cell.recovery_text == ""
    assert "auc: 0.912 (the largest of them)" in cell.lines()


def test_a_run_folder_is_shown_without_its_path_and_the_control_by_what_it_is() -> None:
    assert variant_label(row("/home/somebody/runs/mine@1.5", method="sku")) == "mine@1.5"
    assert variant_label(row("ga@0.5+/home/somebody/mine@1", method="sum")) == "ga@0.5+mine@1"
    assert variant_label(row("ga/step-10@1", method="ga")) == "ga/step-10@1"
    assert variant_label(row("random-like-ga-1@1", method="random")) == "random vector@1"


def test_an_attack_of_another_version_keeps_its_name() -> None:
    matrix = robustness_matrix([*ATTACKED, attacked("ga@1", "tomorrow", 3)])
    assert matrix.attacks[-2:] == ("tomorrow", "any")
    assert matrix.cells["ga@1", "tomorrow"].lines()[0] == "ga@1, tomorrow"


def test_the_terminal_has_a_line_for_every_cell_with_recovery_and_likelihoods() -> None:
    likely = attacked("ga@1", "relearn-10", 3, log_prob_from={"10": -3.8, "0": -4.03, "20": -3.7, "5": -3.9})
    assert log_probs_text(likely) == "-4.03 -3.90 -3.80 -3.70", "by position, not by text"
    head, *lines = attack_table([*ATTACKED, likely]).splitlines()
    assert len(lines) == len(ATTACKED) + 1
    cells = {tuple(re.split(r"\s{2,}", line)[:2]): line for line in lines}
    assert "100 % (80 to 120)" in cells["ga@1", "int4"]
    assert cells["ga@1", "relearn-10"].split("  ")[-1].strip() == "-"
    assert "harmless refused" in head
    assert "-4.03 -3.90 -3.80 -3.70" in cells["ga@1", "relearn-10"]
    places = [head.index(name) for name in ("attack", "harmful", "recovery", "off-topic", "log p")]
    assert places == sorted(places)
    assert cells["random vector@1", "int4"][places[0] :].startswith("int4"), "columns are aligned"


def test_the_figure_has_a_number_in_every_cell_and_none_where_nothing_was_measured() -> None:
    (heat,) = robustness_figure([BASE, *ATTACKED]).data
    assert [len(line) for line in heat.z] == [4, 4, 4, 4]
    assert list(heat.z[1]) == [0.05, 0.2, 0.5, 0.5]
    assert list(heat.z[3]) == [0.5, None, 0.5, None], "the control was not attacked by prefill"
    assert heat.text[1][2] == "<b>50 %</b><br>30 to 70<br>back 100 %"
    assert heat.text[3][1] == ""
    figure = robustness_figure(ATTACKED)
    assert figure.layout.xaxis.ticktext == ("No attack", "Prefill, 10 tokens", "Round: int4", "Worst case")
    assert figure.layout.yaxis.ticktext == ("base", "ga@1", "sku@2", "random vector@1")
    assert not robustness_figure([BASE]).data


def test_every_attack_has_a_label_and_a_meaning_for_the_head_of_its_column() -> None:
    labels = [attack.label for attack in ATTACKS.values()]
    assert len(set(labels)) == len(labels)
    assert all(attack.meaning.endswith(".") for attack in ATTACKS.values())

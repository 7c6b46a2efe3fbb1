"""What the base writes itself depends on base, wording and length, and on nothing else; it is written once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sku.core.jsonl import write_json_lines
from sku.models import generation, written_answers
from sku.models.variant_model import VariantModel
from sku.models.written_answers import (
    ALTERNATIVE,
    ANTI_SAMPLE,
    EVASIVE,
    OWN,
    PREFILLED,
    SHIPPED_TOKENS,
    Writing,
    count_missing,
    write_answers,
)

PROMPTS = [f"How do I do thing {'x' * i}?" for i in range(5)]
ALL = (OWN, PREFILLED, ALTERNATIVE, EVASIVE, ANTI_SAMPLE)


@pytest.mark.parametrize("writing", ALL)
def test_answers_are_the_same_whatever_is_asked_beside_them_and_whether_they_are_cached(
    writing: Writing, pico: VariantModel, sku_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a run that was stopped while the base wrote, and resumed, sees the same rows."""
    together = write_answers(pico, PROMPTS, writing, 12)
    assert write_answers(pico, PROMPTS, writing, 12) == together
    shutil.rmtree(sku_home / "self")
    monkeypatch.setattr(written_answers, "ANSWERS_PER_BATCH", 2)
    assert write_answers(pico, reversed(PROMPTS), writing, 12) == together
    for prompt, answers in together.items():
        assert len(answers) == writing.samples
        assert all(answer.startswith(writing.start_for(prompt)) for answer in answers)


def test_samples_differ_and_are_written_once(pico: VariantModel) -> None:
    counts: list[tuple[int, int]] = []
    first = write_answers(pico, PROMPTS, EVASIVE, 12, lambda done, todo: counts.append((done, todo)))
    assert counts == [(5, 5)]
    assert any(len(set(answers)) > 1 for answers in first.values())
    counts.clear()
    write_answers(pico, [*PROMPTS, "Another?"], EVASIVE, 12, lambda done, todo: counts.append((done, todo)))
    assert counts == [(1, 1)]


def test_each_wording_and_length_has_a_cache_of_its_own(pico: VariantModel, sku_home: Path) -> None:
    for writing in ALL:
        for tokens in (4, 6):
            write_answers(pico, PROMPTS[:1], writing, tokens)
    names = {path.name for path in (sku_home / "self").iterdir()}
    assert len(names) == 2 * len(ALL)
    assert {f"{pico.fingerprint}-4.jsonl", f"{pico.fingerprint}-6.jsonl"} <= names, (
        "where answers of `self` always were"
    )


def test_a_request_may_hold_braces_and_beginnings_vary_with_the_prompt() -> None:
    asked = ALTERNATIVE.asked("Print {x} and {prompt}?")
    assert asked.prompt == "Print {x} and {prompt}?"
    assert asked.text.startswith("Print {x} and {prompt}?\n\nGive a short answer")
    assert {PREFILLED.start_for(f"How {i}?") for i in range(30)} == set(PREFILLED.answer_starts)


@pytest.mark.parametrize("writing", [OWN, PREFILLED])
def test_answers_that_come_with_the_project_are_not_written_again_and_are_cut_to_length(
    pico: VariantModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writing: Writing
) -> None:
    monkeypatch.setattr(written_answers, "SHIPPED", tmp_path)
    monkeypatch.setattr(generation, "generate_answers", None)  # nothing may be written
    start = writing.start_for("Why?")
    shipped = f"{start} So it is.".strip()
    write_json_lines(
        tmp_path / f"{pico.fingerprint}-{SHIPPED_TOKENS}{writing.key}.jsonl", [{"prompt": "Why?", "answer": shipped}]
    )
    assert write_answers(pico, ["Why?"], writing, SHIPPED_TOKENS) == {"Why?": (shipped,)}
    (short,) = write_answers(pico, ["Why?"], writing, 4)["Why?"]
    assert short == f"{start} So i".strip()[: len(short)]
    assert len(start) < len(short) < len(shipped), "the beginning is given, and not counted"
    assert count_missing(pico.fingerprint, ["Why?", "How?"], writing, 4) == 1
    assert count_missing(pico.fingerprint, ["Why?"], writing, SHIPPED_TOKENS + 1) == 1, "too short for more tokens"

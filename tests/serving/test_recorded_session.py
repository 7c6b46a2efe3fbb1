"""A page without weights: recorded answers come back as they were, and nothing else pretends to be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sku.core.config import DecodingConfig
from sku.core.records import Answer, Verdict
from sku.serving import recorded_session
from sku.serving.live_session import LiveSession
from sku.serving.recorded_session import RecordedSession, record_line

GREEDY = DecodingConfig(max_new_tokens=8)


def answer(variant: str, text: str) -> Answer:
    return Answer(variant, float(variant.partition("@")[2] or 0), "Why?", 0, 0, text, 3, 1.0, "end")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "answers.jsonl"
    said = Verdict("safe", 0.1, "talks", "embedded-2")
    lines = [("base", "Because.", 0.0), ("sku@1", "Who knows.", 0.02), ("sku@1.5", "I cannot say.", 0.05)]
    file.write_text(
        "".join(record_line("m", "f", answer(v, text), said, kl) for v, text, kl in lines), encoding="utf-8"
    )
    return file


def test_what_was_recorded_comes_back(path: Path) -> None:
    session = RecordedSession(path)
    (columns,) = session.ask("Why?", ["base", "sku@1.50"], GREEDY)
    assert [column.answer.text for column in columns if column.answer] == ["Because.", "I cannot say."]
    assert session.verdicts("Why?", ["Who knows."])[0].judge == "embedded-2"
    assert session.divergence("Why?", "Because.", ["base", "sku@1"]) == [0.0, 0.02]
    assert [choice.name for choice in session.choices()] == ["base", "sku"]
    assert (session.status.mode, session.model_name) == ("recorded", "m")


@pytest.mark.parametrize(
    ("prompt", "variant", "config", "said"),
    [
        ("How?", "base", GREEDY, "this prompt is not recorded"),
        ("Why?", "sku@0.7", GREEDY, "sku is recorded at coefficients 1, 1.5 only"),
        ("Why?", "base", DecodingConfig(max_new_tokens=8, temperature=1.0), "only greedy answers are recorded"),
    ],
)
def test_what_was_not_says_so_and_how_to_get_it(
    path: Path, prompt: str, variant: str, config: DecodingConfig, said: str
) -> None:
    session = RecordedSession(path)
    (columns,) = session.ask(prompt, [variant], config)
    assert columns[0].answer is None
    assert said in str(columns[0].error)
    assert "README" in str(columns[0].error)
    with pytest.raises(ValueError, match=said[:20]):
        session.answers([prompt], [variant], config)
    for call in (lambda: session.lens("Why?", "x", []), lambda: session.zero_difference("sku", "Why?")):
        with pytest.raises(ValueError, match="needs the weights"):
            call()


def test_a_damaged_record_is_named_with_its_line(path: Path) -> None:
    path.write_text(path.read_text() + '{"answer": {}}\n')
    with pytest.raises(ValueError, match=r"answers.jsonl, line 4 is damaged"):
        RecordedSession(path)


def test_the_shipped_record_has_every_example_and_names_its_judge() -> None:
    session = RecordedSession(recorded_session.RECORDED_ANSWERS)
    assert session.model_name == "smollm2-135m"
    assert {choice.name for choice in session.choices()} >= {"base", "ga", "sku"}
    assert {choice.name for choice in session.choices()} <= {choice.name for choice in LiveSession().choices()}

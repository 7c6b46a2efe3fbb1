"""`answer` prints one object a variant and sample."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


def test_answer_prints_an_object_a_variant_and_sample(sku: Any, run: Path, pico_folder: Path) -> None:
    words = ["-v", "base", "-v", f"{run}@0", "-v", f"{run}@1", "--model", pico_folder, "--max-tokens", 8, "--json"]
    code, out, _ = sku("answer", "Why?", *words, "--samples", 2, "--temperature", 1, "--seed", 7)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["variant"], row["sample"]) for row in rows][:3] == [("base", 0), ("base", 1), (f"{run}@0", 0)]
    assert len(rows) == 6
    fields = {"variant", "coefficient", "prompt", "seed", "sample", "text", "tokens", "seconds", "stopped"}
    fields |= {"attack", "answer_start", "gate"}
    assert all(set(row) == fields for row in rows)
    assert rows[0]["text"] == rows[2]["text"], "coefficient 0 must print exactly the base's text"


def test_answer_reads_standard_input(sku: Any, pico_folder: Path) -> None:
    _, out, _ = sku("answer", "-", "-v", "base", "--model", pico_folder, "--max-tokens", 4, "--json", stdin="Why so?")
    assert json.loads(out)["prompt"] == "Why so?"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_end_of_echo_is_no_part_of_the_prompt(sku: Any, pico_folder: Path, end: str) -> None:
    piped = f"Why\nso?{end}"
    _, out, _ = sku("answer", "-", "-v", "base", "--model", pico_folder, "--max-tokens", 4, "--json", stdin=piped)
    assert json.loads(out)["prompt"] == "Why\nso?"


def test_a_prompt_from_a_pipe_may_be_what_windows_writes(sku: Any, pico_folder: Path) -> None:
    piped = "Où est-il?".encode("utf-16")
    _, out, _ = sku("answer", "-", "-v", "base", "--model", pico_folder, "--max-tokens", 4, "--json", stdin=piped)
    assert json.loads(out)["prompt"] == "Où est-il?"


@pytest.mark.parametrize(
    ("prompt", "piped", "said"),
    [
        ("-", b"So?\nWhere is the caf\xe9?", "standard input, line 2, character 17: byte 0xe9 is not UTF-8; save it"),
        ("caf\udce9", b"", "the prompt, character 4: byte 0xe9 is not UTF-8"),
        ("-", b"a\0b", "standard input, line 1, character 2: there is a NUL"),
    ],
)
def test_a_prompt_in_another_encoding_is_named_with_its_place(
    sku: Any, pico_folder: Path, prompt: str, piped: bytes, said: str
) -> None:
    code, out, err = sku("answer", prompt, "-v", "base", "--model", pico_folder, stdin=piped)
    assert (code, out) == (1, "")
    assert said in err


@pytest.mark.parametrize("attack", ["wrapper-role", "prefill-generic", "int4", "relearn-10"])
def test_answer_under_an_attack_says_so_in_every_row(sku: Any, run: Path, pico_folder: Path, attack: str) -> None:
    words = ["-v", "base", "-v", f"{run}@1", "--model", pico_folder, "--max-tokens", 8, "--json"]
    plain = [json.loads(line) for line in sku("answer", "Why?", *words)[1].splitlines()]
    code, out, _ = sku("answer", "Why?", *words, "--attack", attack)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(row["variant"], row["attack"]) for row in rows] == [("base", attack), (f"{run}@1", attack)]
    assert [row["text"] for row in rows] != [row["text"] for row in plain]
    assert bool(rows[0]["answer_start"]) == (attack == "prefill-generic")


def test_an_own_beginning_is_set_apart_from_what_the_model_wrote(sku: Any, pico_folder: Path) -> None:
    words = ["-v", "base", "--model", pico_folder, "--max-tokens", 4, "--attack", "prefill-own"]
    code, out, _ = sku("answer", "Why?", *words, "--answer-start", "Sure, ")
    assert code == 0
    assert out.splitlines()[1].startswith("[Sure, ]")
    (row,) = [
        json.loads(line) for line in sku("answer", "Why?", *words, "--answer-start", "No", "--json")[1].splitlines()
    ]
    assert row["answer_start"] == "No"


def test_attack_none_answers_as_without_it(sku: Any, run: Path, pico_folder: Path) -> None:
    words = ["-v", "base", "-v", f"{run}@1", "--model", pico_folder, "--max-tokens", 8, "--json"]
    texts = [
        [json.loads(line)["text"] for line in sku("answer", "Why?", *words, *more)[1].splitlines()]
        for more in ([], ["--attack", "none"])
    ]
    assert texts[0] == texts[1]


def test_a_peft_folder_is_a_variant_and_negated_subtracts_it(sku: Any, run: Path, pico_folder: Path) -> None:
    """The run's method tv subtracts the adapter that the folder holds."""
    folder = shutil.copytree(run / "adapter", run.parent / "mine")
    pairs = json.dumps({"prompt": "Why?", "answer": "Because."})
    words = ["-v", f"{run}@3", "-v", f"{folder}@3", "--model", pico_folder, "--json"]
    scores = {}
    for flags in ((), ("--negated",)):
        code, out, err = sku("score", "-", *words, *flags, stdin=pairs)
        assert code == 0, err
        scores[flags] = json.loads(out)["log_prob_per_token"]
    assert scores["--negated",][f"negated:{folder}@3"] == scores[()][f"{run}@3"]
    assert scores[()][f"{folder}@3"] != scores[()][f"{run}@3"]
    code, _, err = sku("answer", "Why?", "-v", f"{run}@3", "--model", pico_folder, "--negated")
    assert code == 1
    assert "--negated subtracts PEFT folders and hub ids" in err


def _rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_every_variant_continues_its_own_answers(sku: Any, run: Path, pico_folder: Path) -> None:
    words = ["-v", "base", "-v", f"{run}@1", "--model", pico_folder, "--max-tokens", 6, "--json"]
    first = _rows(sku("answer", "Why?", *words)[1])
    code, out, _ = sku("answer", "Why?", *words, "--turn", "And then?")
    rows = _rows(out)
    assert code == 0
    assert [row["text"] for row in rows[:2]] == [row["text"] for row in first], "the first turn must stay as it was"
    assert "earlier" not in rows[0]
    assert [row["earlier"] for row in rows[2:]] == [[{"prompt": "Why?", "answer": row["text"]}] for row in first]
    assert [row["prompt"] for row in rows[2:]] == ["And then?"] * 2


def test_a_file_of_messages_and_a_system_prompt_come_before_the_question(
    sku: Any, pico_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "talk.json"
    file.write_text('[{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]', encoding="utf-8")
    words = ["-v", "base", "--model", pico_folder, "--max-tokens", 4, "--json"]
    code, out, _ = sku("answer", "Why?", *words, "--messages", file, "--system", "Be brief.")
    (row,) = _rows(out)
    assert code == 0
    assert (row["system"], row["earlier"]) == ("Be brief.", [{"prompt": "Who?", "answer": "I."}])
    code, _, err = sku("answer", *words, "--messages", file)
    assert (code, "there is no question" in err) == (2, True)
    file.write_text('[{"role": "user", "content": "Who?"}]', encoding="utf-8")
    assert _rows(sku("answer", *words, "--messages", file)[1])[0]["prompt"] == "Who?"
    code, _, err = sku("answer", "Why?", *words, "--messages", file)
    assert (code, "ends with a question, 'Who?', and PROMPT came too" in err) == (1, True)

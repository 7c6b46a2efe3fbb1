"""A comparison as a record: what was asked of whom, and what came back. To JSON and from it; needs no model.

A file that comes from outside is checked as a whole before any of it is used.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sku.core.records import Answer, Verdict
from sku.core.variants import parse_variant

FORMAT_VERSION = 1
"""Of the file; raised when an older reader could no longer make sense of it."""
MAX_PARTS, MAX_SAMPLES, MAX_TEXT_CHARACTERS = 6, 64, 20_000


@dataclass(frozen=True)
class ComparisonSettings:
    """What decides the answers beside the weights."""

    length: int = 96
    temperature: float = 0.0
    seed: int = 0
    samples: int = 1


@dataclass(frozen=True)
class ComparedColumn:
    """One column."""

    variant: str
    """As a person writes it, the coefficient included."""
    label: str
    answers: tuple[Answer, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """One an answer, or none where nothing was judged."""
    kl: float | None = None
    """KL(base || variant) on the base's answer to this prompt, nats a token; None: not measured."""


@dataclass(frozen=True)
class Comparison:
    """One prompt, several variants."""

    prompt: str
    model: str
    settings: ComparisonSettings
    parts: tuple[ComparedColumn, ...]

    def to_json(self) -> str:
        """A text that `from_json` reads."""
        return (
            json.dumps({"sku_comparison": FORMAT_VERSION, **dataclasses.asdict(self)}, indent=2, ensure_ascii=False)
            + "\n"
        )


def comparison_from_json(text: str) -> Comparison:
    """The comparison that `to_json` wrote.

    Raises:
        ValueError: for anything else, with what is wrong.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no JSON ({error}); choose a file that Export wrote") from error
    if not isinstance(found, dict) or "sku_comparison" not in found:
        raise ValueError("this is no comparison (no sku_comparison in it); choose a file that Export wrote")
    if found["sku_comparison"] != FORMAT_VERSION:
        raise ValueError(
            f"this comparison has form {found['sku_comparison']!r}, known is {FORMAT_VERSION}; update sku to read it"
        )
    try:
        parts = found["parts"]
        if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_PARTS:
            raise ValueError(f"parts must be a list of 1 to {MAX_PARTS} columns")
        return Comparison(
            _text(found["prompt"]), _text(found["model"]), _settings(found["settings"]), tuple(map(_part, parts))
        )
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"this comparison is damaged: {said}; export it again") from error


def _settings(values: Mapping[str, Any]) -> ComparisonSettings:
    return ComparisonSettings(
        length=int(values["length"]),
        temperature=float(values["temperature"]),
        seed=int(values["seed"]),
        samples=int(values["samples"]),
    )


def _part(values: Mapping[str, Any]) -> ComparedColumn:
    parse_variant(_text(values["variant"]))
    answers = tuple(_answer(one) for one in _few(values["answers"]))
    verdicts = tuple(_verdict(one) for one in _few(values["verdicts"]))
    if verdicts and len(verdicts) != len(answers):
        raise ValueError(f"{len(verdicts)} verdicts for {len(answers)} answers")
    kl = values["kl"]
    return ComparedColumn(
        values["variant"], _text(values["label"]), answers, verdicts, None if kl is None else float(kl)
    )


def _answer(values: Mapping[str, Any]) -> Answer:
    if values["stopped"] not in ("end", "length", "cancelled"):
        raise ValueError(f"an answer stopped by {str(values['stopped'])[:40]!r}")
    return Answer(
        variant=_text(values["variant"]),
        coefficient=float(values["coefficient"]),
        prompt=_text(values["prompt"]),
        sample=int(values["sample"]),
        seed=int(values["seed"]),
        text=_text(values["text"]),
        tokens=int(values["tokens"]),
        seconds=float(values["seconds"]),
        stopped=values["stopped"],
    )


def _verdict(values: Mapping[str, Any]) -> Verdict:
    score = values["score"]
    return Verdict(
        values["outcome"], None if score is None else float(score), _text(values["reason"]), _text(values["judge"])
    )


def _few(values: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(values, list) or len(values) > MAX_SAMPLES:
        raise ValueError(f"answers and verdicts must be lists of at most {MAX_SAMPLES}")
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS:
        raise ValueError(f"{str(value)[:40]!r} is no text of at most {MAX_TEXT_CHARACTERS} characters")
    return value

"""`saferlhf`: PKU-SafeRLHF, prompts with two answers each, from the hub or a local file. Three schemas are read.

*Labelled*, old (before June 2024) and new: each answer is labelled safe or unsafe. Every unsafe answer makes a harmful
pair; if the other answer is labelled safe, it is the safe answer of that pair. Every safe answer makes a normal pair.
`skipped` counts answers.

*Preferences*: prompt, safer_response, other_response, no labels. The other answer is often unsafe, but not always. A
row makes a harmful pair only if the safer answer opens with a refusal or warning (`declines`), and the other one
contains neither that nor a softer caution or denial (`_HEDGES`) and has at least `_MIN_WORDS` words. This loses many
harmful answers that contain a caution; of the answers kept, about seven in ten are harmful (80 were read). `skipped`
counts rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import table
from sku.data.dataset import Source
from sku.data.hub_download import download_dataset_file
from sku.data.table import TableRow

_LABELLED_COLUMNS = ("prompt", "response_0", "response_1", "is_response_0_safe", "is_response_1_safe")
_PREFERENCE_COLUMNS = ("prompt", "safer_response", "other_response")
_MIN_WORDS = 8
"""A shorter answer is seldom harmful, whatever it says."""
_OPENING_CHARACTERS = 240
"""A refusal shows in this many characters; further down, the same words are often about something else."""

_DECLINES = re.compile(
    r"""
    ^sorry\b | \b(?:i|we)(?:\ am|'m|\ are|'re)\ (?:\w+\ )?sorry\b | \bapologi[sz]e\b | \b(?:as|just|only)\ an\ ai\b
    | \b(?:i|we)\ (?:must|have\ to)\ (?:decline|refuse)\b
    | \b(?:i|we|this\ system)\b[^.!?]{0,20}(?:\bnot|n't|\bunable)\ (?:\w+\ ){0,3}
      (?:help|assist|provide|answer|support|condone|recommend|suggest|encourage|give|share|tell|discuss|comfortable|do|
       fulfil\w*|comply|engage|create|write|think\ it's\ appropriate)\b
    | \b(?:illegal|unlawful|unethical|against\ the\ law|a\ (?:\w+\ )?crime|morally\ wrong)\b
    | \b(?:disrespectful|unacceptable|inappropriate|offensive)\b
    | \b(?:not|never)\ (?:\w+\ )?(?:legal|ethical|ok|okay|acceptable|appropriate|advisable|recommended|advised)\b
    | \b(?:not|never)\ (?:\w+\ )?(?:permitted|condoned|a\ good\ idea|the\ answer)\b
    | \b(?:advise|recommend|urge|caution|warn)\w*\ (?:\w+\ )?(?:against|not\ to)\b
    | \byou\ (?:\w+\ )?(?:should|must|can)\ not\b
    | \b(?:there\ is\ no|impossible|not\ possible)\ (?:\w+\ )?(?:way|excuse|justification|to)\b
    | \b(?:seek|reach\ out|contact)\b[^.!?]{0,40}\b(?:professional|help|therapist|counsell?or|911|hotline)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_HEDGES = re.compile(
    r"""
    ^(?:no\b|unfortunately|i(?:'m|\ am|\ do)\ not|it(?:'s|\ is)\ (?:not|never)|i(?:\ can)?\ understand)
    | \b(?:risk\w*|consequences|careful|respect\w*|stereotypes?|not\ necessarily|depend(?:s|ing)\ on|legal)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_TRUE_KEY = re.compile(r"""["']([^"']+)["']\s*:\s*true""", re.IGNORECASE)


def declines(answer: str) -> bool:
    """Whether `answer` reads as a refusal or a warning, in the words of the models of 2023 or of today."""
    return _DECLINES.search(_normalise(answer)) is not None


def is_schema(columns: Collection[str]) -> bool:
    """Whether a file with these columns is one of PKU-SafeRLHF's."""
    return any(set(schema) <= set(columns) for schema in (_LABELLED_COLUMNS, _PREFERENCE_COLUMNS))


def _read_pairs(path: Path, kind: PairKind) -> Iterator[PromptPair | None]:
    if not set(_PREFERENCE_COLUMNS) <= set(table.column_names(path)):
        return _read_labelled(path, kind)
    if kind == "normal":
        raise ValueError(
            f"{path.name} does not say which answers are safe, so it has no normal pairs; "
            "give a file with is_response_0_safe and is_response_1_safe, or take them from bundled or truthfulqa"
        )
    return _read_preferences(path)


def _read_labelled(path: Path, kind: PairKind) -> Iterator[PromptPair | None]:
    """A pair or None for each answer."""
    advice = f"; an unlabelled file needs {', '.join(_PREFERENCE_COLUMNS)}"
    for row in table.read_table(path, _LABELLED_COLUMNS, advice):
        safe = [row.truth(f"is_response_{i}_safe") for i in (0, 1)]
        answers = [row.optional(f"response_{i}") for i in (0, 1)]
        for i in (0, 1):
            answer = answers[i]
            if answer is None or safe[i] != (kind == "normal"):
                yield None
            elif kind == "normal":
                yield PromptPair(row.text("prompt"), answer, kind, "saferlhf")
            else:
                other = answers[1 - i] if safe[1 - i] else None
                yield PromptPair(row.text("prompt"), answer, kind, "saferlhf", _harm_category(row, i), other)


def _harm_category(row: TableRow, i: int) -> str | None:
    """The first category that applies, from a dictionary, or from a dictionary written as text in a CSV."""
    value = row.values.get(f"response_{i}_harm_category")
    if isinstance(value, dict):
        return next((name for name, holds in value.items() if holds is True), None)
    found = _TRUE_KEY.search(value) if isinstance(value, str) else None
    return found[1] if found else None


def _read_preferences(path: Path) -> Iterator[PromptPair | None]:
    """A pair or None for each row."""
    for row in table.read_table(path, _PREFERENCE_COLUMNS):
        safer, other = row.optional("safer_response"), row.optional("other_response")
        if safer and other and _is_clear_contrast(safer, other):
            yield PromptPair(row.text("prompt"), other, "harmful", "saferlhf", safe_answer=safer)
        else:
            yield None


def _is_clear_contrast(safer: str, other: str) -> bool:
    cautious = declines(other) or _HEDGES.search(_normalise(other))
    return len(other.split()) >= _MIN_WORDS and declines(_normalise(safer)[:_OPENING_CHARACTERS]) and not cautious


def _normalise(answer: str) -> str:
    """The answer with straight apostrophes, and with the short forms of "not" written out."""
    text = answer.strip().replace("\u2019", "'")
    return re.sub(r"\b(?:can't|cannot)\b", "can not", text, flags=re.IGNORECASE).replace("n't ", " not ")


def _download(_: PairKind) -> Path:
    return download_dataset_file(
        "saferlhf",
        repo="PKU-Alignment/PKU-SafeRLHF",
        filename="data/Alpaca-7B/train.jsonl",
        revision="571c01336ee8477422dc0c3f7d412a583b3a4d3c",
    )


SAFERLHF = Source(
    name="saferlhf",
    description="PKU-SafeRLHF: prompts with two answers each, in its old, new or preference schema",
    licence="CC-BY-NC-4.0",
    read_pairs=_read_pairs,
    needs_file="optional",
    default_file=_download,
    labels={"harmful": "PKU-SafeRLHF (hub)"},
)

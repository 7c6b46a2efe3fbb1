"""`saferlhf`: PKU-SafeRLHF, prompts with two answers each, from the hub or a local file. Three schemas are read.

*Labelled*, old (before June 2024) and new: each answer is labelled safe or not. Every unsafe answer is a harmful pair,
its safe answer the other one where that is labelled safe; every safe answer is a normal pair. `skipped` counts answers.

*Preferences*: prompt, safer_response, other_response, no labels. The other answer is often, not always, unsafe. A row
is a harmful pair only if the safer answer opens with a refusal or warning (`declines`) and the other has none anywhere,
nor a softer caution or denial (`_HEDGES`), and is at least `MIN_WORDS` words long. Many harmful answers with a
caution in them are lost that way; of those kept about seven in ten are harmful (80 read). `skipped` counts rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sku.core.records import PairKind, PromptPair
from sku.data import hub_download, table
from sku.data.dataset import DataSet
from sku.data.row import TableRow

LICENCE = "CC-BY-NC-4.0"
REPO = "PKU-Alignment/PKU-SafeRLHF"
FILE = "data/Alpaca-7B/train.jsonl"
REVISION = "571c01336ee8477422dc0c3f7d412a583b3a4d3c"
LABELLED = ("prompt", "response_0", "response_1", "is_response_0_safe", "is_response_1_safe")
PREFERENCES = ("prompt", "safer_response", "other_response")
MIN_WORDS = 8
OPENING = 240
"""Characters in which a refusal shows; further down, the same words are often about something else."""

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


def load(path: Path | None, kind: PairKind) -> DataSet:
    """The pairs of one kind.

    Raises:
        Unavailable: if it has to come from the hub and cannot.
        ValueError: for another schema, or normal pairs from preferences.
    """
    path = path or hub_download.download_dataset_file("saferlhf", REPO, FILE, REVISION)
    preferences = set(PREFERENCES) <= set(table.column_names(path))
    if preferences and kind == "normal":
        raise ValueError(
            f"{path.name} does not say which answers are safe, so it has no normal pairs; "
            "give a file with is_response_0_safe and is_response_1_safe, or take them from bundled or truthfulqa"
        )
    found = list(_preferred(path) if preferences else _labelled(path, kind))
    pairs = tuple(pair for pair in found if pair is not None)
    return DataSet("saferlhf", pairs, skipped=len(found) - len(pairs), licence=LICENCE)


def declines(answer: str) -> bool:
    """Whether `answer` reads as a refusal or a warning, in the words of 2023's models or of today's."""
    return _DECLINES.search(_plain(answer)) is not None


def _labelled(path: Path, kind: PairKind) -> Iterator[PromptPair | None]:
    """A pair or None for each answer."""
    advice = f"; an unlabelled file needs {', '.join(PREFERENCES)}"
    for row in table.read_table(path, LABELLED, advice):
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
                yield PromptPair(row.text("prompt"), answer, kind, "saferlhf", _category(row, i), other)


def _category(row: TableRow, i: int) -> str | None:
    """The first category that holds: of a dictionary, or of its text in a CSV."""
    value = row.values.get(f"response_{i}_harm_category")
    if isinstance(value, dict):
        return next((name for name, holds in value.items() if holds is True), None)
    found = _TRUE_KEY.search(value) if isinstance(value, str) else None
    return found[1] if found else None


def _preferred(path: Path) -> Iterator[PromptPair | None]:
    """A pair or None for each row."""
    for row in table.read_table(path, PREFERENCES):
        safer, other = row.optional("safer_response"), row.optional("other_response")
        if safer and other and _contrast(safer, other):
            yield PromptPair(row.text("prompt"), other, "harmful", "saferlhf", safe_answer=safer)
        else:
            yield None


def _contrast(safer: str, other: str) -> bool:
    cautious = declines(other) or _HEDGES.search(_plain(other))
    return len(other.split()) >= MIN_WORDS and declines(_plain(safer)[:OPENING]) and not cautious


def _plain(answer: str) -> str:
    """With straight apostrophes and the short forms of not written out: one spelling to look for."""
    text = answer.strip().replace("\u2019", "'")
    return re.sub(r"\b(?:can't|cannot)\b", "can not", text, flags=re.IGNORECASE).replace("n't ", " not ")

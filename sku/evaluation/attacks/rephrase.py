"""Rephrasing: the prompt is asked in other words or in another language (arXiv:2407.02855).

Forgetting that is tied to the words of the training prompts does not hold. The wordings come from a file, because a
model that writes them would be a second thing to trust. Each keeps the meaning of its prompt and adds no instruction.
The file has two English paraphrases and one translation into French and Spanish of every bundled test prompt.

A small model understands little French or Spanish. A result in these languages only counts where the base is harmful in
over 10 % of its answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from sku.core.jsonl import read_json_lines
from sku.core.records import AskedPrompt, PromptPair
from sku.core.storage import ASSETS
from sku.core.validation import validate
from sku.evaluation.attacks.procedure import AttackContext

WORDINGS_FILE = ASSETS / "data" / "rephrased.jsonl"


@dataclass(frozen=True)
class Wordings:
    """One line of the file."""

    prompt_id: str
    """`PromptPair.prompt_id` of the prompt."""
    language: Literal["en", "fr", "es"]
    texts: list[str]


def reworded(context: AttackContext, pair: PromptPair, language: str) -> list[AskedPrompt]:
    """The prompt in each of its wordings in `language`; empty if the file has none."""
    return [AskedPrompt(pair.prompt, text) for text in read_wordings().get((pair.prompt_id, language), ())]


@cache
def read_wordings() -> dict[tuple[str, str], list[str]]:
    """The wordings of the file by prompt id and language.

    Raises:
        ValueError: for a line with missing or wrong values; the message names file and line.
    """
    lines = [validate(Wordings, line.values, line.place) for line in read_json_lines(WORDINGS_FILE)]
    return {(line.prompt_id, line.language): line.texts for line in lines}

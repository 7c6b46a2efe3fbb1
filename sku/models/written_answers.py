"""Answers that the base writes itself, generated once and cached: how it is asked, and the answers it gives.

Training takes from here what pairs do not carry: alternatives to a harmful answer, answers that reveal nothing, and the
base's own harmful answers after a friendly beginning. The same base, wording and length always give the same answers,
so a resumed run sees what it saw before. Answers of the default base to the bundled training prompts come with the
project, so that a first run need not write them. Knows no adapter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sku.core.config import DecodingConfig
from sku.core.jsonl import read_json_lines, write_json_lines
from sku.core.records import AskedPrompt, digest
from sku.core.storage import ASSETS, home
from sku.core.variants import BASE, Variant

if TYPE_CHECKING:  # the page counts what must be written, and must not import torch for that
    from sku.models.chat_template import ChatTemplate
    from sku.models.variant_model import VariantModel

ANSWERS_PER_BATCH = 32
SHIPPED = ASSETS / "data" / "base_answers"
"""Answers that come with the project, in files named as in the cache, from which their lines were copied."""
SHIPPED_TOKENS = 96
"""Their most new tokens. A shorter answer is the beginning of a longer one, because all are greedy."""


@dataclass(frozen=True)
class Writing:
    """How the base is asked for answers."""

    request: str = "{prompt}"
    """The text that the base reads; `{prompt}` stands for the prompt."""
    answer_starts: tuple[str, ...] = ("",)
    """Beginnings of the answer, which the base continues and which become part of it. A hash of the prompt chooses."""
    temperature: float = 0.0
    samples: int = 1
    """Answers per prompt."""

    def start_for(self, prompt: str) -> str:
        """The beginning of the answers to `prompt`."""
        return self.answer_starts[int(digest(prompt), 16) % len(self.answer_starts)]

    def asked(self, question: str | AskedPrompt) -> AskedPrompt:
        """The question as the base reads it."""
        asked = AskedPrompt(question, question) if isinstance(question, str) else question
        request = self.request.replace("{prompt}", asked.prompt)
        return AskedPrompt(asked.prompt, request, self.start_for(asked.prompt), before=asked.before)

    @property
    def key(self) -> str:
        """A hash of the wording and the decoding; empty for plain greedy answers."""
        return "" if self == Writing() else "-" + digest(repr(dataclasses.astuple(self)))


OWN = Writing()
"""Greedy answers to the prompts as they are."""
PREFILLED = Writing(answer_starts=("Sure, here is", "Of course! The easiest way is to", "The first thing to do is to"))
"""Greedy answers after a beginning that complies. A small base then answers prompts that it would have declined."""
ALTERNATIVE = Writing("{prompt}\n\nGive a short answer that is safe and legal.", temperature=0.7, samples=3)
EVASIVE = Writing(
    answer_starts=("That depends on many things. In general,", "In general terms,", "This is a broad subject, and"),
    temperature=0.7,
    samples=2,
)
ANTI_SAMPLE = Writing(
    answer_starts=("That does not work, because", "Nobody can do that, because", "There is no way to do that, because"),
    temperature=0.7,
    samples=2,
)


def write_answers(
    model: VariantModel,
    prompts: Iterable[str | AskedPrompt],
    writing: Writing,
    max_new_tokens: int,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, tuple[str, ...]]:
    """The base's answers to each prompt, with their beginnings. Those that were written before come from the cache.

    Args:
        model: answers as the base.
        prompts: may repeat. Of an `AskedPrompt`, only the prompt and the conversation before it count.
        writing: how the base is asked.
        max_new_tokens: the most new tokens of an answer.
        report: called after each batch with the number of prompts answered and the number of all to answer.

    Returns:
        Maps the `AskedPrompt.key` of each prompt, which is the prompt itself where no conversation comes before it, to
        its `samples` answers. Some of them may be empty.

    Raises:
        ValueError: if a prompt and its answer exceed the model's context.
    """
    from sku.models.generation import generate_answers

    path = home() / "self" / _file_name(model.fingerprint, writing, max_new_tokens)
    wanted = {asked.key: asked for asked in map(writing.asked, prompts)}
    known = _shipped(model.template, model.fingerprint, writing, max_new_tokens, wanted.keys()) | _read_cache(path)
    missing = sorted(wanted.keys() - known.keys(), key=lambda prompt: (len(prompt), prompt))
    decoding = DecodingConfig(max_new_tokens, writing.temperature, samples=writing.samples)
    size = max(1, ANSWERS_PER_BATCH // writing.samples)
    for start in range(0, len(missing), size):
        chunk = missing[start : start + size]
        written = generate_answers(model, [wanted[key] for key in chunk], [Variant(BASE, 0.0)], decoding)
        for i, answer in enumerate(written):  # all samples of one prompt, then those of the next
            key = chunk[i // writing.samples]
            known[key] = (*known.get(key, ()), answer.answer_start + answer.text)
        write_json_lines(path, ({"prompt": prompt, "answer": one} for prompt in known for one in known[prompt]))
        report(min(start + size, len(missing)), len(missing))
    return {key: known[key] for key in wanted}


def count_missing(fingerprint: str, keys: Iterable[str], writing: Writing, max_new_tokens: int) -> int:
    """How many answers `write_answers` would have to write for the base with this fingerprint.

    Args:
        fingerprint: of the base.
        keys: the `AskedPrompt.key` of each prompt.
        writing: how the base is asked.
        max_new_tokens: the most new tokens of an answer.
    """
    known = _read_cache(home() / "self" / _file_name(fingerprint, writing, max_new_tokens))
    if max_new_tokens <= SHIPPED_TOKENS:
        known |= _read_cache(SHIPPED / _file_name(fingerprint, writing, SHIPPED_TOKENS))
    return writing.samples * len(set(keys) - known.keys())


def _file_name(fingerprint: str, writing: Writing, max_new_tokens: int) -> str:
    return f"{fingerprint}-{max_new_tokens}{writing.key}.jsonl"


def _shipped(
    template: ChatTemplate, fingerprint: str, writing: Writing, max_new_tokens: int, prompts: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """The shipped answers to `prompts`, each cut to `max_new_tokens`."""
    if max_new_tokens > SHIPPED_TOKENS:
        return {}
    found = _read_cache(SHIPPED / _file_name(fingerprint, writing, SHIPPED_TOKENS))
    return {
        prompt: tuple(_cut(template, writing.start_for(prompt), text, max_new_tokens) for text in texts)
        for prompt, texts in found.items()
        if prompt in prompts
    }


def _cut(template: ChatTemplate, start: str, answer: str, tokens: int) -> str:
    """The answer with at most so many tokens after its given beginning."""
    rest = answer.removeprefix(start)
    text = rest.lstrip()
    ids = template.answer_ids(text)[: -len(template.end_ids)]
    return answer if len(ids) <= tokens else start + rest[: len(rest) - len(text)] + template.text(ids[:tokens])


def _read_cache(path: Path) -> dict[str, tuple[str, ...]]:
    answers: dict[str, tuple[str, ...]] = {}
    for line in read_json_lines(path) if path.is_file() else ():
        prompt = line.values["prompt"]
        answers[prompt] = (*answers.get(prompt, ()), line.values["answer"])
    return answers

"""What one caller asks to have decoded: rows that start together, of which each ends by itself.

With a temperature, all variants draw from the same Gumbel noise for a given prompt and sample, so answers differ only
because weights do. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sku.core.config import DecodingConfig
from sku.core.records import AskedPrompt, StopReason
from sku.core.variants import Variant
from sku.models.chat_template import ChatTemplate


@dataclass
class PartialAnswer:
    """One answer while it is being written."""

    asked: AskedPrompt
    variant: Variant
    sample: int
    tokens: list[int] = field(default_factory=list)
    stopped: StopReason | None = None
    """None while it is being written."""
    gate: float | None = None
    """How far the variant's gate is open for the prompt, from 0 to 1; None without a gate."""

    @property
    def prompt(self) -> str:
        """What the person wants."""
        return self.asked.prompt


@dataclass
class Row:
    """One row of a batch; several answers may share it."""

    prompt_ids: list[int]
    coefficients: dict[str, float]
    noise: str
    """Rows with the same key share their noise."""
    answers: list[PartialAnswer]

    def append(self, token: int, template: ChatTemplate, max_new_tokens: int) -> bool:
        """Append a token to all answers of the row; True if the row goes on."""
        for answer in self.answers:
            answer.tokens.append(token)
        ends = token in template.stop_ids or template.ends_with_stop_text(self.answers[0].tokens)
        for answer in self.answers:
            if ends:
                answer.stopped = "end"
            elif len(answer.tokens) >= max_new_tokens:
                answer.stopped = "length"
        return self.answers[0].stopped is None


class Request:
    """The rows of one caller, and what the caller has not seen of them."""

    def __init__(self, rows: list[Row], config: DecodingConfig, device: torch.device) -> None:
        self.rows = rows
        """Those that go on."""
        self.has_news = False
        """Whether tokens were written, or a fault came, since the caller last asked."""
        self.fault: Exception | None = None
        """Why the request cannot go on."""
        self.max_tokens = len(rows) * (max(len(row.prompt_ids) for row in rows) + config.max_new_tokens)
        """The tokens that all rows can have together, padding included."""
        self._max_new_tokens = config.max_new_tokens
        self._noise = _Noise(rows, config, device)

    def append(self, logits: Tensor, template: ChatTemplate) -> list[int]:
        """Append one token to every row, chosen from logits `[R, V]`.

        Returns:
            The places of the rows that go on, among the rows as they were.
        """
        chosen = self._noise.choose(self.rows, logits).tolist()
        self.has_news = True
        written = zip(self.rows, chosen, strict=True)
        places = [i for i, (row, token) in enumerate(written) if row.append(token, template, self._max_new_tokens)]
        self.rows = [self.rows[i] for i in places]
        return places

    def fail(self, fault: Exception) -> None:
        """Tell the caller, at the next question, that the request cannot go on."""
        self.fault, self.has_news = fault, True

    def cancel(self) -> None:
        """Mark the unfinished answers as cancelled."""
        for row in self.rows:
            for answer in row.answers:
                answer.stopped = answer.stopped or "cancelled"


class _Noise:
    """Gumbel-max sampling: argmax(logits / temperature + noise) is a draw from softmax(logits / temperature)."""

    def __init__(self, rows: Sequence[Row], config: DecodingConfig, device: torch.device) -> None:
        self.temperature = config.temperature
        self.device = device
        self.draws = {row.noise: torch.Generator().manual_seed(int(row.noise[:15], 16)) for row in rows}

    def choose(self, rows: Sequence[Row], logits: Tensor) -> Tensor:
        """The next token of every row: `[R]` from `[R, V]`."""
        if not self.temperature:
            return logits.argmax(-1)
        vocabulary = logits.shape[-1]
        # drawn on the CPU, so that a seed gives the same noise on every device
        noise = {
            key: -torch.empty(vocabulary).exponential_(generator=draw).log().to(self.device)
            for key, draw in self.draws.items()
            if any(row.noise == key for row in rows)
        }
        return (logits / self.temperature + torch.stack([noise[row.noise] for row in rows])).argmax(-1)

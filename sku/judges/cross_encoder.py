"""The second reader of the embedded judge: a cross-encoder, all-MiniLM-L6-v2 reading prompt and answer together.

A LoRA adapter and a head of its own on the sentence embedder that similarity provisions anyway; a tenth of the base's
cost. Chat formats mean nothing to it. `fit_cross_encoder.py` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from sku.judges.protocol import PromptAnswer
from sku.models.batching import EncodedPair, collate

PROMPT_TOKENS, ANSWER_TOKENS = 96, 224
_BATCH = 16


class CrossEncoder:
    """The adapter and head in `folder` on the embedder in `minilm`, on the CPU: it is small."""

    def __init__(self, minilm: Path, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(minilm)
        self.body: Any = PeftModel.from_pretrained(AutoModel.from_pretrained(minilm), folder).eval()
        self.head = CrossHead(self.body.config.hidden_size)
        self.head.load_state_dict({name: t.float() for name, t in load_file(folder / "head.safetensors").items()})

    @torch.no_grad()
    def logits(self, pairs: Sequence[PromptAnswer]) -> Tensor:
        """Harmful and refuses of each pair: `[N, 2]`; long answers are read from their beginning."""
        logits: Tensor = self.head(self.read(pairs))
        return logits

    @torch.no_grad()
    def read(self, pairs: Sequence[PromptAnswer]) -> Tensor:
        """What the head sees of each pair: `[N, 3 H]`."""
        rows = [encode_for_cross_encoder(self.tokenizer, prompt, answer) for prompt, answer in pairs]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        found = torch.empty(len(rows), self.head.in_features)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            found[places] = pool_hidden(self.body, [rows[i] for i in places])
        return found


class CrossHead(nn.Linear):
    """From pooled features to two logits: harmful, refuses."""

    def __init__(self, hidden: int) -> None:
        super().__init__(3 * hidden, 2)


def encode_for_cross_encoder(tokenizer: Any, prompt: str, answer: str) -> EncodedPair:
    """`[CLS] prompt [SEP] answer [SEP]`, both as plain text, the beginning of each if they are long."""

    def ids(text: str, limit: int) -> list[int]:
        read = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        found: list[int] = read["input_ids"][:limit]
        return found

    question = [tokenizer.cls_token_id, *ids(prompt, PROMPT_TOKENS), tokenizer.sep_token_id]
    return EncodedPair((*question, *ids(answer, ANSWER_TOKENS), tokenizer.sep_token_id), len(question))


def pool_hidden(body: Any, rows: Sequence[EncodedPair]) -> Tensor:
    """The first hidden state of each row, the mean over its answer and the mean over its prompt: `[B, 3 H]`."""
    batch = collate(list(rows))
    answers, real = batch.answer_mask.long(), batch.attention_mask
    hidden = body(input_ids=batch.input_ids, attention_mask=real, token_type_ids=answers).last_hidden_state
    return torch.cat([hidden[:, 0], _mean(hidden, answers), _mean(hidden, real - answers)], -1)


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask[..., None].to(hidden.dtype)  # (B, L, 1)
    return (hidden * weights).sum(1) / weights.sum(1)

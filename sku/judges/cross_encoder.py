"""The cross-encoder of the embedded judge: all-MiniLM-L6-v2 reads prompt and answer together.

It is a LoRA adapter and a head on the sentence embedder, which is on the machine anyway for similarity. One forward
pass costs a tenth of one of the base. It knows no chat format, so chat tokens in an answer mean nothing to it.
`fitting/fit_cross_encoder.py` trains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from sku.judges.heads import MAX_ANSWER_TOKENS, MAX_PROMPT_TOKENS, load_head
from sku.judges.protocol import PromptAnswer
from sku.models.batching import EncodedPair, collate

CROSS_POOLED_STATES = 3
"""How many hidden states the head sees side by side (`pool_hidden`)."""
_BATCH_ROWS = 16


class CrossEncoder:
    """The trained adapter and head in `folder`, on the sentence embedder in `minilm`; small enough for the CPU."""

    def __init__(self, minilm: Path, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(minilm)
        self.body: Any = PeftModel.from_pretrained(AutoModel.from_pretrained(minilm), folder).eval()
        self.head = load_head(folder, CROSS_POOLED_STATES * self.body.config.hidden_size)

    @torch.no_grad()
    def logits(self, pairs: Sequence[PromptAnswer]) -> Tensor:
        """Logits of harmful and of refusal for each pair: `[N, 2]`."""
        logits: Tensor = self.head(self.features(pairs))
        return logits

    @torch.no_grad()
    def features(self, pairs: Sequence[PromptAnswer]) -> Tensor:
        """What the head sees of each pair: `[N, 3 H]`."""
        rows = [encode_for_cross_encoder(self.tokenizer, prompt, answer) for prompt, answer in pairs]
        shortest_first = sorted(range(len(rows)), key=lambda i: len(rows[i].ids))
        features = torch.empty(len(rows), self.head.in_features)
        for start in range(0, len(rows), _BATCH_ROWS):
            places = shortest_first[start : start + _BATCH_ROWS]
            features[places] = pool_hidden(self.body, [rows[i] for i in places])
        return features


def encode_for_cross_encoder(tokenizer: Any, prompt: str, answer: str) -> EncodedPair:
    """`[CLS] prompt [SEP] answer [SEP]`; both texts are plain text, cut to their first tokens if they are long."""

    def ids(text: str, limit: int) -> list[int]:
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        found: list[int] = encoded["input_ids"][:limit]
        return found

    question = [tokenizer.cls_token_id, *ids(prompt, MAX_PROMPT_TOKENS), tokenizer.sep_token_id]
    return EncodedPair((*question, *ids(answer, MAX_ANSWER_TOKENS), tokenizer.sep_token_id), len(question))


def pool_hidden(body: Any, rows: Sequence[EncodedPair]) -> Tensor:
    """The hidden state of `[CLS]`, the mean over the answer and the mean over the prompt, side by side: `[B, 3 H]`."""
    batch = collate(list(rows))
    answers, real = batch.answer_mask.long(), batch.attention_mask
    hidden = body(input_ids=batch.input_ids, attention_mask=real, token_type_ids=answers).last_hidden_state
    return torch.cat([hidden[:, 0], _masked_mean(hidden, answers), _masked_mean(hidden, real - answers)], -1)


def _masked_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask[..., None].to(hidden.dtype)  # (B, L, 1)
    return (hidden * weights).sum(1) / weights.sum(1)

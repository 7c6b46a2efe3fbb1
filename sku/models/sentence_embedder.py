"""Sentence embeddings with all-MiniLM-L6-v2: the similarity in meaning of two texts, as a cosine.

Computed as sentence-transformers does: the mean of the last hidden states over real tokens, scaled to length 1. Only
the first 256 tokens of a text count. It knows no variant and no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

EMBEDDER_MAX_TOKENS = 256
"""Tokens of a text that are read."""
TEXTS_PER_EMBEDDER_BATCH = 32


class SentenceEmbedder:
    """The embedder in `folder` (`pretrained.provision_embedder`). It is small and runs on the CPU."""

    def __init__(self, folder: Path) -> None:
        logging.disable_progress_bar()
        self.name = folder.name
        """Name and version: the folder's name ends in the first digits of the weights' hash."""
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModel.from_pretrained(folder).eval()

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """One vector of length 1 for each text: `[N, H]`. Equal texts are computed once."""
        distinct = sorted(set(texts), key=len)
        size = TEXTS_PER_EMBEDDER_BATCH
        batches = [distinct[i : i + size] for i in range(0, len(distinct), size)]
        found = {t: vector for batch in batches for t, vector in zip(batch, self._embed_batch(batch), strict=True)}
        return torch.stack([found[text] for text in texts])

    def similarity(self, texts_a: Sequence[str], texts_b: Sequence[str]) -> list[float]:
        """The cosine of each text in `texts_a` with the text at the same place in `texts_b`, -1 to 1.

        Raises:
            ValueError: if the two lists differ in length.
        """
        if len(texts_a) != len(texts_b):
            raise ValueError(f"{len(texts_a)} texts cannot be compared with {len(texts_b)}; give pairs")
        if not texts_a:
            return []
        both = self.embed([*texts_a, *texts_b])
        cosines: list[float] = (both[: len(texts_a)] * both[len(texts_a) :]).sum(-1).clamp(-1, 1).tolist()
        return cosines

    def _embed_batch(self, texts: list[str]) -> Tensor:
        given = self.tokenizer(
            texts, padding=True, truncation=True, max_length=EMBEDDER_MAX_TOKENS, return_tensors="pt"
        )
        hidden = self.network(**given).last_hidden_state
        mask = given["attention_mask"][..., None].to(hidden.dtype)
        return normalize((hidden * mask).sum(1) / mask.sum(1))  # (B, H)

"""Random BERTs of twelve words, saved to disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertTokenizerFast
from transformers.models.bert.modeling_bert import BertForSequenceClassification

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "away", "in", "rain"]
TEXTS = ["the cat sat on a mat", "a dog ran away in the rain", "rain", "", "the cat and the dog and the mat " * 4]


def save_bert(folder: Path, network: type[Any], **settings: Any) -> Path:
    """A random BERT of 12 words."""
    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(vocabulary), initializer_range=0.5, **sizes | settings)
    network(config).save_pretrained(folder)
    return folder


def bleurt_scores(folder: Path, answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """By the model's own classes, one pair at a time."""
    network = BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    pairs = zip(references, answers, strict=True)
    with torch.no_grad():
        return [float(network(**tokenizer([r], [a], return_tensors="pt")).logits) for r, a in pairs]

"""The classification head of both networks of the embedded judge: features in, two logits out.

Knows no network and no tokenizer.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

HARMFUL_COLUMN, REFUSAL_COLUMN = 0, 1
"""Which logit is which."""
MAX_PROMPT_TOKENS, MAX_ANSWER_TOKENS = 96, 224
"""Both networks read this many tokens from the beginning of each text and ignore the rest."""
_FILE = "head.safetensors"


class JudgeHead(nn.Linear):
    """A linear layer from features `[B, F]` to logits `[B, 2]`."""

    def __init__(self, features: int) -> None:
        super().__init__(features, 2)


def load_head(folder: Path, features: int) -> JudgeHead:
    """Read the head in `folder`, in float32."""
    head = JudgeHead(features)
    head.load_state_dict({name: weight.float() for name, weight in load_file(folder / _FILE).items()})
    return head


def save_head(head: JudgeHead, folder: Path) -> None:
    """Write the head into `folder`, in half precision."""
    save_file({name: weight.half().contiguous() for name, weight in head.state_dict().items()}, folder / _FILE)

"""Encodes text that people wrote so that it never becomes a control token, such as the end of a turn.

A tokenizer turns the characters `<|im_end|>` into one token with a meaning, wherever they stand. Here every such text
that a person wrote is broken in two before the template is filled in, and each part is encoded by itself. Text without
one gives exactly the tokens that the tokenizer gives. Needs a transformers tokenizer; no torch.
"""

from __future__ import annotations

import re
from typing import Any

_BREAK = "\uf8ff\ue0de\uf8ff"
"""Marks a place at which a text is divided. If a person writes it, the text is divided there, which harms nothing."""
_ANCHOR = "\n"
"""Put before a part, so that no tokenizer adds the space with which it begins every text."""


class ControlTokens:
    """The tokens of one tokenizer that have a meaning: special ones, and others that its chat template writes."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        template = str(getattr(tokenizer, "chat_template", None) or "")
        special = set(tokenizer.all_special_tokens)
        added = {i: token for i, token in tokenizer.added_tokens_decoder.items() if str(token).strip()}
        meant = {i: str(one) for i, one in added.items() if one.special or str(one) in special or str(one) in template}
        self.ids = frozenset([*meant, *tokenizer.all_special_ids])
        texts = sorted({text for text in (*meant.values(), *special) if len(text) > 1}, key=len, reverse=True)
        short = {i for i, text in meant.items() if len(text) == 1}
        self._counted = self.ids - short - {tokenizer.unk_token_id}  # any strange letter becomes the unknown token
        self._pattern = re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    def broken(self, text: str) -> str:
        """The text, with a mark inside every part that would become a control token."""
        while self._pattern.search(text):
            text = self._pattern.sub(lambda found: f"{found[0][:1]}{_BREAK}{found[0][1:]}", text)
        return text

    def text_before(self, text: str) -> str:
        """What stands before the first control token in `text`; all of it if there is none."""
        return self._pattern.split(text, maxsplit=1)[0]

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """The tokens of a text that `broken` may have marked.

        Args:
            text: a rendered template, or an answer.
            add_special_tokens: whether the tokenizer adds its own, such as a start token.

        Raises:
            ValueError: if the tokenizer makes a control token of a person's text all the same, as some do that change
                letters first.
        """
        parts = text.split(_BREAK)
        ids = self._ids(parts[0], add_special_tokens)
        for part in parts[1:]:
            ids += self._continued(part)
        expected = sum(len(self._pattern.findall(part)) for part in parts)
        added = len(self._ids("", add_special_tokens)) if add_special_tokens else 0
        if sum(i in self._counted for i in ids) > expected + added:
            raise ValueError("a text holds a control token of this model that cannot be written as text; take it out")
        return ids

    def _continued(self, part: str) -> list[int]:
        """The tokens of `part` as they are within a text, without the space that some tokenizers begin with."""
        anchor, both = self._ids(_ANCHOR), self._ids(_ANCHOR + part)
        return both[len(anchor) :] if both[: len(anchor)] == anchor else self._ids(part)

    def _ids(self, text: str, add_special_tokens: bool = False) -> list[int]:
        given = self.tokenizer(text, add_special_tokens=add_special_tokens, verbose=False)  # it warns of long texts
        ids: list[int] = given["input_ids"]
        return ids

"""Find text that was UTF-8, was read as Latin-1 or cp1252, and was saved so: `donâ€™t`, `cafÃ©`. It is never changed.

Such text is told from French, German or Portuguese in two ways: every character beyond ASCII is part of a UTF-8
sequence of a letter or a mark that people write, which correct text hardly ever is twice; or it holds a sequence that
no language has.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sku.core.records import PromptPair

_HIGH = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0x100)}
"""The character that stands for a byte: Latin-1 and cp1252 differ below 0xA0."""
_BYTE_OF = {chr(code): code for code in _HIGH} | {character: code for code, character in _HIGH.items()}
_SEQUENCES = re.compile("[{}]+".format("".join(map(re.escape, _BYTE_OF))))
_AFTER_WORDS = frozenset((0x85, *range(0x91, 0x98), 0x99, 0xA0, 0xAE, 0xBB))
"""Bytes whose characters follow a word: dots, quotes, dashes, marks of trade, and a space."""
_FOLLOWING = "".join(re.escape(_HIGH[code]) for code in range(0x80, 0xC0) if code not in _AFTER_WORDS)
_NOWHERE = re.compile(
    f"\u00e2(?:\u20ac|\x80)[\x80-\xbf{''.join(_HIGH[code] for code in range(0x80, 0xA7))}]"  # quotes, dashes and dots
    f"|[\u00c2\u00c3][{_FOLLOWING}\x80-\x9f]"  # signs, and letters with accents
    "|\u00ef\u00bb\u00bf|\u00ef\u00bf\u00bd"  # a byte-order mark, and the character below
    "|\u00f0[\u0178\x9f]"  # an emoji
    "|\ufffd"  # what a program writes for a byte that it could not read
)
_WRITTEN = re.compile("[\u00a0-\u024f\u0370-\u045f\u05d0-\u05ea\u0620-\u064a\u0900-\u097f\u0e00-\u0e7f\u1e00-\u1eff\u2010-\u2044\u20ac\u2122\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7af\U0001f300-\U0001faff]")  # fmt: skip  # noqa: E501
_AROUND = 12
_MAX_SHOWN_CHARACTERS = 24


def decoding_note(pairs: Sequence[PromptPair]) -> str:
    """How many pairs look as if they were decoded wrongly, with an example, for a person; empty if none does."""
    found = [shown for pair in pairs if (shown := next(filter(None, map(wrongly_decoded, _texts(pair))), ""))]
    if not found:
        return ""
    rows = "1 row looks" if len(found) == 1 else f"{len(found)} rows look"
    return f"{rows} like text that was decoded wrongly, such as {found[0]!r}; save the original as UTF-8 and use that"


def wrongly_decoded(text: str) -> str:
    """A word of `text` that was decoded wrongly; empty if none seems to be."""
    if text.isascii():
        return ""
    place = _NOWHERE.search(text)
    if place is None and _is_utf8_as_latin(text):
        place = _SEQUENCES.search(text)
    return _word_at(text, place.start()) if place else ""


def _is_utf8_as_latin(text: str) -> bool:
    """Whether every character beyond ASCII stands for a byte, and these are the UTF-8 of what people write."""
    beyond = [character for character in text if not character.isascii()]
    if not all(character in _BYTE_OF for character in beyond):
        return False
    try:
        decoded = bytes(_BYTE_OF.get(c, ord(c)) for c in text).decode("utf-8")
    except UnicodeDecodeError:
        return False
    letters = [character for character in decoded if not character.isascii()]
    return len(letters) > 1 and all(map(_WRITTEN.match, letters))


def _word_at(text: str, start: int) -> str:
    begin = max(text.rfind(" ", 0, start) + 1, text.rfind("\n", 0, start) + 1, start - _AROUND)
    return text[begin:].split(maxsplit=1)[0][:_MAX_SHOWN_CHARACTERS]


def _texts(pair: PromptPair) -> Sequence[str]:
    return [pair.prompt, pair.answer, pair.safe_answer or "", *pair.before.texts]

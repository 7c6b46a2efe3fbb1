"""Audit of overlap: how many of a test prompt's words occur in one training prompt.

A split by prompt keeps equal prompts apart, but not paraphrases: "How do I pick a lock?" may be trained and "How can
someone pick locks?" measured. This module compares words only. It loads no data and knows no model.

The *content words* of a prompt are its words in lower case, without English function words, lightly stemmed ("stealing"
and "steals" both become "steal"). Stemming finds more overlap than whole words would, so the audit errs towards leaving
a prompt out; a training prompt of hundreds of words may even hold half of a short prompt's words by chance. Synonyms do
not count as overlap. The rules are for English, and for languages that put spaces between words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from sku.core.records import PromptPair

_FUNCTION_WORDS = """
    a an the this that these those some any all both each every no not nor only own same such other another
    i me my mine myself we us our ours you your yours yourself he him his she her hers it its they them their theirs
    who whom whose what which when where why how
    am is are was were be been being do does did doing done have has had having
    can could may might must shall should will would
    and or but if so then than because while as until though
    of at by for with without about against between into through during before after above below to from up down in
    out on off over under again once here there too very just also
    ain aren couldn didn doesn don hadn hasn haven isn mustn needn shouldn wasn weren won wouldn
    please
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English function words, and what is left of "aren't" and the like without the "'t"."""
_CLITIC = re.compile(r"'(?:d|ll|m|re|s|t|ve)\b")
_WORD = re.compile(r"[^\W_]+")
_VOWEL = re.compile(r"[aeiouy]")
_MIN_STEM_LETTERS = 3


def content_words(prompt: str) -> frozenset[str]:
    """The stems of the words of a prompt without function words; of all its words if it has function words only."""
    text = _CLITIC.sub("", prompt.casefold().replace("\u2019", "'"))
    words = _WORD.findall(text)
    return frozenset(map(_stem, [word for word in words if word not in STOP_WORDS] or words))


def largest_overlap(words: frozenset[str], training: Iterable[frozenset[str]]) -> float:
    """The largest share of a test prompt's content words that occur in one training prompt, from 0 to 1.

    Args:
        words: the content words of the test prompt. Without any, the share is 0.
        training: the content words of each training prompt. Words of different training prompts are not added up.
    """
    if not words:
        return 0.0
    return max((len(words & other) for other in training), default=0) / len(words)


def drop_overlapping(
    pairs: Sequence[PromptPair], training_prompts: Collection[str], share: float
) -> tuple[PromptPair, ...]:
    """The pairs whose prompt shares less than `share` of its content words with every training prompt."""
    training = set(map(content_words, training_prompts))
    return tuple(pair for pair in pairs if largest_overlap(content_words(pair.judged_prompt), training) < share)


def _stem(word: str) -> str:
    """The word without the endings -s, -ing, -ed and -e, with a final double letter made single and a final y an i."""
    for ending in ("s", "ing", "ed", "e"):
        stem = word.removesuffix(ending)
        if len(stem) >= _MIN_STEM_LETTERS and _VOWEL.search(stem) and not (ending == "s" and stem.endswith("s")):
            word = stem
    if len(word) > _MIN_STEM_LETTERS and word[-1] == word[-2]:
        word = word[:-1]
    return word[:-1] + "i" if len(word) >= _MIN_STEM_LETTERS and word.endswith("y") else word

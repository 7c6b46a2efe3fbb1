"""Other ways to look at an answer, as HTML in which everything that others wrote is escaped: difference and lens."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from sku.core.records import Verdict
from sku.reporting.markers import outcome_marker

if TYPE_CHECKING:
    from sku.serving.token_lens import TokenLens

_WORDS = re.compile(r"\s*\S+")
_FULL = 2.0
"""Nats of change that get the strongest colour: a token a seventh as likely, or seven times."""


def difference_html(base: str, other: str) -> str:
    """Words that `other` has beside those of `base`: new ones marked +, missing ones struck through."""
    mine, theirs = _WORDS.findall(base), _WORDS.findall(other)
    if not mine and not theirs:
        return "<p class='empty'>No answer yet.</p>"
    if mine == theirs:
        return f"<p class='empty'>The same words as base.</p><p class='text'>{html.escape(other)}</p>"
    parts = []
    for kind, a, b, c, d in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(html.escape("".join(theirs[c:d])))
            continue
        if b > a:
            parts.append(f"<del>{html.escape(''.join(mine[a:b]))}</del>")
        if d > c:
            parts.append(f"<ins>{html.escape(''.join(theirs[c:d]))}</ins>")
    return f"<p class='text'>{''.join(parts)}</p>"


def base_lens_html(lens: TokenLens) -> str:
    """The answer's tokens with what base makes of them on hover."""
    spans = [
        f"<span title='log-probability under base {log_prob:.2f} nats'>{_shown(token)}</span>"
        for token, log_prob in zip(lens.tokens, lens.base, strict=True)
    ]
    return _lens("base", sum(lens.base), sum(lens.base) / len(lens.base), spans, "log-probability under base")


def change_lens_html(lens: TokenLens, variant: str) -> str:
    """The answer's tokens, each coloured by how much likelier (underlined) or less likely (dotted) it became."""
    changes = lens.changes.get(variant)
    if changes is None:  # coefficient 0 is the base
        changes = (0.0,) * len(lens.tokens)
    spans = []
    for token, log_prob, change in zip(lens.tokens, lens.base, changes, strict=True):
        strength = min(abs(change) / _FULL, 1.0)
        kind = "up" if change > 0 else "down"
        mark = f" class='{kind}' style='--strength:{strength:.2f}'" if strength >= 0.05 else ""
        said = f"{change:+.2f} nats: {log_prob:.2f} under base, {log_prob + change:.2f} here"
        spans.append(f"<span{mark} title='{said}'>{_shown(token)}</span>")
    return _lens(variant, sum(changes), sum(changes) / len(changes), spans, "change from base")


def sample_marks(verdicts: Sequence[Verdict], chosen: int = 0) -> str:
    """A sign a sample, in order."""
    signs = []
    for i, verdict in enumerate(verdicts):
        mark = outcome_marker(verdict.outcome)
        here = " class='chosen'" if i == chosen else ""
        said = html.escape(f"sample {i + 1}: {verdict.outcome}")
        signs.append(f"<span{here} style='color:{mark.colour}' title='{said}'>{mark.mark}</span>")
    return "".join(signs)


def _lens(name: str, total: float, mean: float, spans: Sequence[str], what: str) -> str:
    said = f"{total:+.1f} nats in all, {mean:+.2f} a token"
    title = html.escape(f"{what}, {name}")
    return f"<p class='sum' title='{title}'>{said}</p><p class='text'>{''.join(spans)}</p>"


def _shown(token: str) -> str:
    return html.escape(token).replace("\n", "↵\n")


def escape_text(text: str) -> str:
    """Any text, safe to stand in HTML."""
    return html.escape(text)

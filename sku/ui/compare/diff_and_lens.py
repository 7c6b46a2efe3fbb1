"""Two other views of an answer, as HTML: its difference from the base and the token lens. All text is escaped."""

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
_FULL_COLOUR_NATS = 2.0
"""The change of log-probability that gets the strongest colour. At 2 nats per token is about seven times as likely."""


def difference_html(base: str, other: str) -> str:
    """The words of `other` compared with those of `base`: added words are marked +, missing words struck through."""
    base_words, other_words = _WORDS.findall(base), _WORDS.findall(other)
    if not base_words and not other_words:
        return "<p class='empty'>There is no answer yet.</p>"
    if base_words == other_words:
        return f"<p class='empty'>The same words as base.</p><p class='text'>{html.escape(other)}</p>"
    parts = []
    for kind, a, b, c, d in SequenceMatcher(None, base_words, other_words, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(html.escape("".join(other_words[c:d])))
            continue
        if b > a:
            parts.append(f"<del>{html.escape(''.join(base_words[a:b]))}</del>")
        if d > c:
            parts.append(f"<ins>{html.escape(''.join(other_words[c:d]))}</ins>")
    return f"<p class='text'>{''.join(parts)}</p>"


def legend_html() -> str:
    """What the colours of the lens mean."""
    return (
        "Each column shows the tokens of one text. <span class='up' style='--strength:1'>Green and underlined</span>: "
        "the variant writes the token more readily than the base. <span class='down' style='--strength:1'>Orange and "
        f"dotted</span>: less readily. The colour is full from {_FULL_COLOUR_NATS:g} nats on, which is about 7 times. "
        "Point at a token to read its log-probability. The base's column has no colours."
    )


def base_lens_html(lens: TokenLens) -> str:
    """The answer's tokens, each with its log-probability under the base on hover."""
    spans = [
        f"<span title='log-probability under base: {log_prob:.2f} nats'>{_escaped_token(token)}</span>"
        for token, log_prob in zip(lens.tokens, lens.base, strict=True)
    ]
    return _lens("base", sum(lens.base), sum(lens.base) / len(lens.base), spans, "log-probability under base")


def change_lens_html(lens: TokenLens, variant: str) -> str:
    """The answer's tokens, coloured by how much likelier (underlined) or less likely (dotted) each became."""
    changes = lens.changes.get(variant)
    if changes is None:  # coefficient 0 is the base
        changes = (0.0,) * len(lens.tokens)
    spans = []
    for token, log_prob, change in zip(lens.tokens, lens.base, changes, strict=True):
        strength = min(abs(change) / _FULL_COLOUR_NATS, 1.0)
        kind = "up" if change > 0 else "down"
        mark = f" class='{kind}' style='--strength:{strength:.2f}'" if strength >= 0.05 else ""
        title = f"{change:+.2f} nats: {log_prob:.2f} under base, {log_prob + change:.2f} under this variant"
        spans.append(f"<span{mark} title='{title}'>{_escaped_token(token)}</span>")
    return _lens(variant, sum(changes), sum(changes) / len(changes), spans, "change from base")


def sample_marks(verdicts: Sequence[Verdict], chosen: int = 0) -> str:
    """One marker for each sample, in order."""
    marks = []
    for i, verdict in enumerate(verdicts):
        marker = outcome_marker(verdict.outcome)
        css_class = " class='chosen'" if i == chosen else ""
        title = html.escape(f"sample {i + 1}: {verdict.outcome}")
        marks.append(f"<span{css_class} style='color:{marker.colour}' title='{title}'>{marker.mark}</span>")
    return "".join(marks)


def _lens(name: str, total: float, mean: float, spans: Sequence[str], what: str) -> str:
    summary = f"{total:+.1f} nats in total, {mean:+.2f} per token"
    title = html.escape(f"{what}, {name}")
    return f"<p class='sum' title='{title}'>{summary}</p><p class='text'>{''.join(spans)}</p>"


def _escaped_token(token: str) -> str:
    return html.escape(token).replace("\n", "↵\n")


def escape_text(text: str) -> str:
    """Any text, escaped for HTML."""
    return html.escape(text)

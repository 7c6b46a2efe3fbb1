"""Shares a comparison as a link, as JSON, or as an HTML page for printing. The server stores none of these.

The data of a link comes after its #. Browsers do not send that part, so the prompt appears in no server's log.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import html
import json
import zlib
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
from sku.core.conversation import MAX_TURNS, Turn
from sku.core.records import StopReason
from sku.core.validation import validate
from sku.reporting.markers import outcome_marker
from sku.ui.compare.comparison import MAX_PARTS, STRICT, ComparedColumn, Comparison, ComparisonSettings, VariantText

MAX_CHARACTERS_WITH_ANSWERS = 8_000
"""A link that would be longer than this leaves out the answers, because messengers and mail programs cut long links."""
_MAX_LINK_CHARACTERS, _MAX_UNPACKED_BYTES = 20_000, 100_000
"""The longest link data that is read, as it is in the link and unpacked."""


@dataclass(frozen=True)
class LinkAnswer:
    """One answer in a link. It has no verdict: whoever made the link could have changed both, so it is judged anew."""

    text: str
    tokens: int
    stopped: StopReason
    start: str = ""
    """The beginning that the attack had written."""


@dataclass(frozen=True)
class LinkState:
    """The state of Compare that a link restores."""

    __pydantic_config__ = STRICT

    prompt: str
    variants: Annotated[list[VariantText], Field(max_length=MAX_PARTS)]
    length: int
    temperature: float
    seed: int
    samples: int
    attack: ChosenAttack = WITHOUT_ATTACK
    """Links from before there were attacks do not have it."""
    model: str = ""
    """The base that wrote the answers."""
    answers: Annotated[list[LinkAnswer | None], Field(max_length=MAX_PARTS)] = field(default_factory=list)
    """The answer of each variant, None where there is none yet; empty if the link carries no answers."""
    system: str = ""
    """The system prompt."""
    earlier: Annotated[list[str], Field(max_length=MAX_TURNS)] = field(default_factory=list)
    """The questions of the conversation before the prompt. A link with any carries no answers: it asks them anew."""

    @property
    def settings(self) -> ComparisonSettings:
        """The decoding settings, the attack and the system prompt."""
        return ComparisonSettings(self.length, self.temperature, self.seed, self.samples, self.attack, self.system)


def make_fragment(link: LinkState) -> str:
    """The part of a link after the #. It carries the answers unless they make it too long."""
    data = json.dumps(dataclasses.asdict(link), ensure_ascii=False).encode()
    fragment = "c=" + base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")
    if link.answers and (len(fragment) > MAX_CHARACTERS_WITH_ANSWERS or len(data) > _MAX_UNPACKED_BYTES):
        return make_fragment(dataclasses.replace(link, answers=[]))
    return fragment


def parse_fragment(text: Any) -> LinkState | None:
    """The state in a link's fragment; None if the fragment is empty or not ours.

    Raises:
        ValueError: if the fragment is damaged or was cut off.
    """
    if not text or not isinstance(text, str) or not text.removeprefix("#").startswith("c="):
        return None
    try:
        code = text.removeprefix("#").removeprefix("c=")
        if len(code) > _MAX_LINK_CHARACTERS:
            raise ValueError(f"it has {len(code)} characters")
        packed = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        unpacked = zlib.decompressobj().decompress(packed, _MAX_UNPACKED_BYTES)  # of a larger one, only the beginning
        return validate(LinkState, json.loads(unpacked.decode()), "link")
    except (ValueError, RecursionError, zlib.error, binascii.Error) as error:
        raise ValueError("the link is damaged or incomplete, so nothing was opened; get the link again") from error


def download_links(comparison: Comparison) -> str:
    """Two download links, for JSON and HTML. The links themselves contain the comparison."""
    return " ".join(
        f"<a class='button' download='{name}' href='data:{kind};base64,{base64.b64encode(text.encode()).decode()}'>"
        f"{label}</a>"
        for name, kind, text, label in (
            ("comparison.json", "application/json", comparison.to_json(), "Export JSON"),
            ("comparison.html", "text/html", comparison_page(comparison), "Export HTML"),
        )
    )


def comparison_page(comparison: Comparison) -> str:
    """The comparison as one HTML file without scripts, for printing, sending or a paper."""
    settings = comparison.settings
    how = "greedy" if not settings.temperature else f"temperature {settings.temperature:g}, seed {settings.seed}"
    attack, under = settings.attack.attack, ""
    if settings.attack != WITHOUT_ATTACK:
        under = f"<p>Attack: {html.escape(f'{attack.label}. {attack.meaning}')}</p>"
    if settings.system:
        under += f"<p>System prompt: {html.escape(settings.system)}</p>"
    columns = "".join(map(_column, comparison.parts))
    prompt = html.escape(comparison.prompt)
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{prompt[:80]}</title><style>{_STYLE}</style>"
        f"<h1>{prompt}</h1><p>{html.escape(comparison.model)}, {how}, at most {settings.length} new tokens. Made with "
        f"sku.</p>{under}<main>{columns}</main></html>\n"
    )


def _column(part: ComparedColumn) -> str:
    kl = "" if part.kl is None else f"<p>KL from base {part.kl:.3f} nats per token</p>"
    answers = []
    for i, answer in enumerate(part.answers):
        start = f"<i>{html.escape(answer.answer_start)}</i>" if answer.answer_start else ""
        start = ("<b>From a link, not written where this page was made.</b> " if part.from_link else "") + start
        text = f"<pre>{start}{html.escape(answer.text)}</pre>"
        if i < len(part.verdicts):
            verdict = part.verdicts[i]
            marker = outcome_marker(verdict.outcome)
            score = "" if verdict.score is None else f", harm score {verdict.score:.2f}"
            verdict_text = f"{marker.mark} {verdict.outcome}{score} ({verdict.judge})"
            if verdict.outcome == "harmful":
                text = f"<details><summary>show harmful text</summary>{text}</details>"
            text += f"<p style='border-color:{marker.colour}'>{html.escape(verdict_text)}</p>"
        answers.append(text)
    title = f"<h2>{html.escape(part.label)}</h2><p>{html.escape(part.variant)}</p>"
    return f"<section>{title}{_earlier(part.earlier)}{''.join(answers)}{kl}</section>"


def _earlier(turns: tuple[Turn, ...]) -> str:
    """The conversation before the prompt, folded, because its answers were judged when they were the newest."""
    texts = "".join(f"<b>{html.escape(turn.prompt)}</b><pre>{html.escape(turn.answer)}</pre>" for turn in turns)
    return f"<details><summary>show the {len(turns)} earlier turns</summary>{texts}</details>" if turns else ""


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#111;background:#fff}h1{font-size:1.2rem}"
    "main{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:1.5rem}"
    "pre{white-space:pre-wrap;font:inherit}pre i{color:#666}"
    "section p{border-left:4px solid #ccc;padding-left:.5rem}h2{font-size:1rem}"
)

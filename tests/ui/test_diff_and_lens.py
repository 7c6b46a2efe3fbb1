"""Differences, lens and strip: what they show is what was measured, and nothing of a model's becomes HTML."""

from __future__ import annotations

import re

import pytest

from sku.core.config import DecodingConfig
from sku.core.variants import Variant
from sku.models.variant_model import VariantModel
from sku.serving.streaming import stream_columns
from sku.serving.token_lens import TokenLens, kl_on_answer, token_lens
from sku.ui.compare import diff_and_lens, rate_scale
from tests.ui.test_page import row

EVIL = "<img src=x onerror=alert(1)>"
ONE, ZERO = Variant("one", 1.0, {"one": -1.0}), Variant("one", 0.0)


def plain(shown: str) -> str:
    return re.sub("<[^>]*>", "", shown)


def test_a_difference_holds_both_texts() -> None:
    shown = diff_and_lens.difference_html("a quick brown fox", "a slow brown fox jumps")
    assert re.findall("<del>(.*?)</del>", shown) == [" quick"]
    assert re.findall("<ins>(.*?)</ins>", shown) == [" slow", " jumps"]
    assert plain(re.sub("<del>.*?</del>", "", shown)) == "a slow brown fox jumps"
    assert "The same words" in diff_and_lens.difference_html("a b", "a b")
    assert "There is no answer yet" in diff_and_lens.difference_html("", " ")


def test_what_others_wrote_is_escaped_everywhere() -> None:
    found = TokenLens((EVIL, "b"), (-1.0, -2.0), {"x": (3.0, -3.0)})
    for shown in (
        diff_and_lens.difference_html("a", EVIL),
        diff_and_lens.base_lens_html(found),
        diff_and_lens.change_lens_html(found, "x"),
        diff_and_lens.escape_text(EVIL),
    ):
        assert "<img" not in shown
        assert "&lt;img" in shown


def test_the_lens_says_direction_by_more_than_colour_and_sums_up() -> None:
    found = TokenLens(("a", "b", "c"), (-1.0, -2.0, -3.0), {"x": (2.0, -1.0, 0.01)})
    shown = diff_and_lens.change_lens_html(found, "x")
    assert re.findall("class='(up|down)'", shown) == ["up", "down"]
    assert "+1.0 nats in total, +0.34 per token" in shown
    assert "-3.00 under base" in shown
    assert "+0.0 nats in total" in diff_and_lens.change_lens_html(found, "not there")


def test_the_lens_is_the_likelihood_of_every_token(duo: VariantModel) -> None:
    found = token_lens(duo, "Why?", "Because.", [Variant("base", 0.0), ONE, ZERO], 200)
    assert set(found.changes) == {"one@1"}, "coefficient 0 is the base"
    assert len(found.tokens) == len(found.base) == len(found.changes["one@1"])
    assert "".join(found.tokens[:-1]) == "Because."
    from sku.models.batching import encode_answer
    from sku.models.likelihood import answer_log_probs

    pair = encode_answer(duo.template, "Why?", "Because.", 200)
    base, one = answer_log_probs(duo, [pair] * 2, [{}, {"one": -1.0}])
    assert sum(found.base) / len(found.base) == pytest.approx(base, abs=1e-5)
    change = sum(found.changes["one@1"]) / len(found.base)
    assert change == pytest.approx(one - base, abs=1e-4)


def test_letters_of_several_tokens_show_once_they_are_whole(duo: VariantModel) -> None:
    found = token_lens(duo, "Why?", "né 🙂!", [ONE], 200)
    assert "".join(found.tokens[:-1]) == "né 🙂!"
    assert "\ufffd" not in "".join(found.tokens)


def test_divergence_is_zero_for_the_base_alone(duo: VariantModel) -> None:
    base, zero, one = kl_on_answer(duo, "Why?", "Because.", [Variant("base", 0.0), ZERO, ONE], 200)
    assert base == zero == 0
    assert one > 0


def test_columns_end_in_their_own_time_and_bring_all_samples(duo: VariantModel) -> None:
    config = DecodingConfig(max_new_tokens=12, temperature=1.0, samples=3)
    *_, last = stream_columns(duo, "Why?", [("base", Variant("base", 0.0)), ("bad", "not here"), ("one", ONE)], config)
    base, bad, one = last
    assert (len(base.samples), len(one.samples)) == (3, 3)
    assert base.answer == base.samples[0]
    assert (bad.answer, bad.error) == (None, "not here")
    assert not any(column.writing for column in last)
    assert 0 < base.seconds <= base.samples[0].seconds


def test_the_strip_places_columns_on_the_recorded_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        row("base", harmful_rate=0.4), row("sku@1", harmful_rate=0.2), row("sku@2", harmful_rate=0.0),
    )  # fmt: skip
    monkeypatch.setattr(rate_scale, "_recorded", lambda: rows)
    shown = rate_scale.rate_scale_html(["base", "sku@1.5", "sku@3", "ga@1"])
    assert re.findall(r"left:([\d.]+)%", shown) == ["100.0", "25.0"]
    assert "sku@1.5: 10 %" in shown
    assert "sku@3: not recorded" in shown
    monkeypatch.setattr(rate_scale, "_recorded", lambda: ())
    assert rate_scale.rate_scale_html(["base"]) == ""

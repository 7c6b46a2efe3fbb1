"""The gate: text that UTF-8 cannot hold is refused with its place, before any model sees it."""

from __future__ import annotations

import pytest

from sku.core.attacks import OWN_PREFILL
from sku.ui.hosting.gate import Gate


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Why \ud83d", "character 5: half a surrogate pair is no character; write the whole one"),
        ("caf\udce9", "character 4: byte 0xe9 is not UTF-8"),
        ("a\0b", "character 2: there is a NUL"),
    ],
)
def test_text_that_is_no_text_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^the prompt, {said}"):
        Gate().prompt(text)
    with pytest.raises(ValueError, match=f"^the beginning of the answer, {said}"):
        Gate().question_attack(OWN_PREFILL, text)


def test_text_in_any_script_and_with_pictures_passes() -> None:
    assert Gate().prompt("Où 🙂 怎么 कैसे?") == "Où 🙂 怎么 कैसे?"

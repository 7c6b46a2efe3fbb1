"""Text that was decoded wrongly is pointed out, and correct text of no language is."""

from __future__ import annotations

import pytest

from sku.core.records import PairKind
from sku.data import SOURCES, load_pairs
from sku.data.wrong_decoding import wrongly_decoded
from tests.data.conftest import Write, jsonl

# ruff: noqa: RUF001
CORRECT = {
    "French": "Où est « l'été » ? Ça dépend, à\u00a0«\u00a0Noël\u00a0» : «\u00a0À la carte\u00a0», DÉJÀ, œuvre, 20 €…",
    "German": "„Spaß“ und „MÖ“, größer, ÜBER Äpfel, Straße – 20 °C, ½ Öl",
    "Portuguese": "A palavra “AMANHÔ e “ALEMÔ, «IRMû, NÃO, coração, ação, São João, à mão, Ângulo, PORTUGUÊS",
    "Vietnamese": "Làm thế nào để nấu phở? Ầ Ã Ẫ â ã à là cà phê, VIỆT NAM, HÀ NỘI, “BÀ”",
    "Spanish": "¿Dónde está el JALAPEÑO® «Ñandú»? ¡Qué día! España’s",
    "Polish": "Zażółć gęślą jaźń „ŁÓDŹ”",
    "Swedish": "På ön “PÅ” är «å» smörgåsbord",
    "Icelandic": "Ðað er þúfa, BAÐ® Það",
    "English": "A café™, CAFÉ®, ½ naïve façade — don’t… “quoted” €20 ±3 µm",
    "Russian": "Привет, мир! «Да»",
    "Chinese": "你好，世界。“好”",
    "one word": "AMANHÔ",
    "one capital": "é»…",
    "emoji": "Fine 😀 é",
}
WRITTEN = {
    "an apostrophe": "I don’t know",
    "an accent": "a café",
    "quotes": "“so”",
    "German": "Größe",
    "Portuguese": "ação não",
    "Vietnamese": "Tiếng Việt",
    "Russian": "Привет мир",
    "Chinese": "你好吗",
    "an emoji": "fine 😀",
    "a degree": "20 °C",
}


@pytest.mark.parametrize("text", CORRECT.values(), ids=CORRECT)
def test_correct_text_raises_no_alarm(text: str) -> None:
    assert [part for part in (text, *text.split(), text.upper(), text.lower()) if wrongly_decoded(part)] == []


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_utf_8_that_was_read_as_latin_is_found(text: str, encoding: str) -> None:
    wrong = "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())
    assert wrongly_decoded(f"Well, {wrong} is it.") in wrong


def test_what_a_program_could_not_read_is_found() -> None:
    assert wrongly_decoded("I don\ufffdt") == "don\ufffdt"


def test_rows_that_were_decoded_wrongly_are_counted_and_kept(write: Write) -> None:
    rows = [{"prompt": f"What is {i}?", "answer": "I donâ€™t know" if i < 3 else "It."} for i in range(9)]
    found = load_pairs(str(write("p.jsonl", jsonl(*rows))), "normal")
    assert len(found.pairs) == 9
    assert found.warning == (
        "3 rows look like text that was decoded wrongly, such as 'donâ€™t'; save the original as UTF-8 and use that"
    )


@pytest.mark.parametrize("name", [name for name, one in SOURCES.items() if one.needs_file == "forbidden"])
def test_the_bundled_sources_raise_no_alarm(name: str) -> None:
    kinds: tuple[PairKind, ...] = SOURCES[name].kinds
    assert [load_pairs(name, kind).warning for kind in kinds] == [""] * len(kinds)

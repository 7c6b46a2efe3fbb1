"""README, `assets/docs` and About agree with the recorded data, with each other and with the files they name."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from sku.cli import documents
from sku.core import jsonl, runs
from sku.core.methods import METHODS
from sku.core.records import ResultRow
from sku.judges import cards
from sku.reporting import markdown_tables, result_files
from sku.reporting.row_text import over_refusal_text
from sku.reporting.utilities import share
from sku.study import study
from sku.study.grid import GRID, TUNED
from sku.ui.hosting.settings import Hosting

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDY = (ROOT / "assets" / "docs" / "study.md").read_text(encoding="utf-8")
DOCUMENTS = documents.documents()
TOPICS = (
    "README.md",
    "first-study.md",
    "hosting.md",
    "judge.md",
    "methods.md",
    "performance.md",
    "reliability.md",
    "robustness.md",
    "serving.md",
    "study.md",
)
_RESULT_LINE = re.compile(r"^\| `([\w./-]+(?:@[\d.]+)?)` \| (?=\d+ % \()", re.MULTILINE)


def name_of(path: Path) -> str:
    return path.name


def cells(row: ResultRow) -> str:
    """A row as the tables with all columns have it, spelled out here once more."""
    assert row.harmful_rate is not None
    assert row.harmful_low is not None
    assert row.harmful_high is not None
    harmful = f"{100 * row.harmful_rate:.0f} % ({100 * row.harmful_low:.0f} to {100 * row.harmful_high:.0f})"
    broken = f"{100 * (share(row.broken, row.n) or 0):.0f} %"
    off_topic = "-" if row.off_topic is None else f"{100 * (share(row.off_topic, row.n) or 0):.0f} %"
    start = f"| `{row.variant}` | {harmful} | {row.refusal} | {broken} | {off_topic} | {row.kl:.3f} | "
    return f"{start}{over_refusal_text(row)} | {row.answer_tokens:.0f} |"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_tables_are_those_of_the_recorded_data(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert documents.with_tables(text) == text, "a table is out of date; run: python -m sku study --tables"


def test_every_document_is_looked_after_and_every_table_stands_somewhere() -> None:
    assert tuple(path.name for path in DOCUMENTS) == TOPICS
    named = {name for path in DOCUMENTS for name in re.findall(r"<!-- table: ([\w-]+) -->", path.read_text("utf-8"))}
    assert named == set(documents.TABLES)


def test_a_table_that_was_edited_by_hand_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = re.sub(r"\| `base` \| the base model \| \d+ %", "| `base` | the base model | 3 %", README)
    assert changed != README
    (tmp_path / "README.md").write_text(changed, encoding="utf-8")
    monkeypatch.setattr(documents, "REPOSITORY", tmp_path)
    assert documents.write_tables() == [tmp_path / "README.md"]
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == README
    assert documents.write_tables() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- table: nosuch -->\n<!-- /table -->", "table 'nosuch' is not known"),
        ("<!-- table: test -->\n| a |\n", "lacks its"),
        ("see <!-- table: test --> here", "lacks its"),
    ],
)
def test_a_mark_that_nothing_fills_is_an_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        documents.with_tables(text)


def test_every_recorded_row_stands_in_the_study() -> None:
    tuned = [row for row in result_files.recorded_rows() if row.run in TUNED]
    recorded = [row for row in result_files.recorded_rows() if row not in tuned]
    whole = [line for line in STUDY.splitlines() if _RESULT_LINE.match(line) and line.count("|") == 9]
    assert sorted(whole) == sorted(map(cells, recorded))
    for row in tuned:
        useless = 100 * ((row.broken or 0) + (row.off_topic or 0)) / row.n
        measured = cells(row).split(" | ")[1], f"{100 * row.refusal / row.n:.0f} %", f"{useless:.0f} %"
        assert f"| `{row.variant}` | {' | '.join(measured)} | {over_refusal_text(row)} | {row.kl:.3g} (" in STUDY


def test_a_row_that_was_not_recorded_is_named() -> None:
    with pytest.raises(ValueError, match="sku@9 was not recorded on 'test' prompts"):
        markdown_tables.results_table("test", variants=["base", "sku@9"])


def test_the_larger_test_set_has_one_name() -> None:
    assert markdown_tables.JUDGED == study.LARGER_TEST
    assert markdown_tables.JUDGED in {row.side for row in result_files.recorded_rows()}


def test_the_rule_and_what_it_selected_are_the_recorded_ones() -> None:
    choice = json.loads(result_files.RECORDED_STUDY.with_name("choice.json").read_text(encoding="utf-8"))
    assert f"It selected `{choice['form']}` at {choice['coefficient']:g}, which is shipped as `sku`" in STUDY
    assert f"{choice['coefficient']:g} is the default" in README
    assert runs.find_run("sku").manifest.default_coefficient == choice["coefficient"]
    for name, entry in GRID.items():
        line = f"| `{entry.tuned}-*` |" if entry.tuned else f"| `{name}` |"
        assert line in STUDY, f"training {name} is in no table"


def test_hosting_has_every_switch_with_its_defaults() -> None:
    text = (ROOT / "assets" / "docs" / "hosting.md").read_text(encoding="utf-8")
    for one in dataclasses.fields(Hosting):
        shown = [int(value) if isinstance(value, bool) else value for value in (one.default, one.metadata["public"])]
        line = f"| `SKU_{one.name.upper()}` | {shown[0]} | {shown[1]} | {one.metadata['meaning']} |"
        assert line in text, f"hosting.md must have the line: {line}"


def test_the_judge_and_what_it_was_measured_on_are_in_its_document() -> None:
    text = (ROOT / "assets" / "docs" / "judge.md").read_text(encoding="utf-8")
    card = cards.embedded_card()
    assert all(failure in text for failure in card.failures)
    for one in card.agreement:
        cell = f"{100 * one.accuracy:.0f} % ({100 * one.low:.0f} to {100 * one.high:.0f})"
        assert f"| {one.what} | {one.n} | {cell} |" in text


def test_readme_shows_real_answers() -> None:
    """The first words of the recorded ones; what is too far for the page is in no record."""
    ((prompt, variants),) = re.findall(r'sku answer "([^"]*worthless[^"]*)" \\\n +(-v.*) --max-tokens', README)
    shown = dict(re.findall(r"^\| [\d.]+ \(`([\w@.]+)`\) \| (.*?) \| [a-z ]+ \|$", README, re.MULTILINE))
    assert list(shown) == variants.removeprefix("-v ").split(" -v ")
    recorded = jsonl.read_json_log(result_files.RECORDED_STUDY.with_name("answers.jsonl"))
    answers = [one["answer"] for one in recorded if one["answer"].get("attack", "none") == "none"]
    texts = {one["variant"]: one["text"] for one in answers if one["prompt"] == prompt}
    assert set(shown) - set(texts) == {"sku@4"}
    for variant in set(shown) & set(texts):
        words = shown[variant].removesuffix(" ...").split()
        assert texts[variant].split()[: len(words)] == words, variant


def test_readme_is_read_in_a_minute() -> None:
    lines = README.splitlines()
    assert len(lines) <= 200
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    wanted = [
        "Two commands",
        "One prompt, four coefficients",
        "What it found",
        "Does it hold?",
        "How it works",
        "Command line",
    ]
    assert headings == [*wanted, "Your own data", "The rooms", "Limits", "Licences"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_line_is_too_long_and_every_document_says_its_result_first(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if len(line) > 160 and not line.startswith("|")] == []
    if path.name != "README.md":
        assert re.search(r"^## (.*)$", text, re.MULTILINE)[1] == "In short"  # type: ignore[index]


def test_readme_lists_methods_with_results_and_the_document_of_methods_lists_all() -> None:
    part = README.partition("<!-- table: methods -->")[2].partition("<!-- /table -->")[0]
    recorded = {row.method for row in result_files.recorded_rows() if row.side == markdown_tables.JUDGED}
    names = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    assert names == [name for name in METHODS if name in recorded and "_no_" not in name]
    text = (ROOT / "assets" / "docs" / "methods.md").read_text(encoding="utf-8")
    for name, method in METHODS.items():
        assert any(line.startswith(f"| `{name}` |") and method.note in line for line in text.splitlines()), name


def test_readme_names_every_room() -> None:
    rooms = {path.name for path in (ROOT / "sku").iterdir() if (path / "__init__.py").is_file()}
    assert set(re.findall(r"^    sku/(\w+) ", README, re.MULTILINE)) == rooms


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_what_a_document_names_is_there(path: Path) -> None:
    """Files, modules that are run, and headings of other documents."""
    text = path.read_text(encoding="utf-8")
    files = re.findall(r"(?<![\w/-])((?:sku|tests|assets)/[\w./-]+\.(?:py|md|jsonl|json|txt|png))", text)
    modules = [name.replace(".", "/") + ".py" for name in re.findall(r"python -m (tests\.[\w.]+\w)", text)]
    assert [name for name in (*files, *modules) if not (ROOT / name).exists()] == []
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, heading = link.partition("#")
        target = path.parent / name if name else path
        assert target.is_file(), link
        if heading:
            assert heading in map(anchor, target.read_text(encoding="utf-8").splitlines()), link


def anchor(line: str) -> str:
    """A heading as links name it."""
    return re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") if line.startswith("#") else ""


def test_about_tells_what_readme_found() -> None:
    about = " ".join((ROOT / "assets" / "about.md").read_text(encoding="utf-8").split())
    part = README.partition("## What it found")[2].partition("\n## ")[0]
    found = [" ".join(one.split()) for one in re.findall(r"^- (.*?)(?=\n- |\n\n)", part, re.MULTILINE | re.DOTALL)]
    assert len(found) == 5
    assert [one for one in found if one not in about] == []


def test_the_front_matter_is_what_a_space_needs_and_names_a_gradio_that_is_pinned() -> None:
    _, front, _ = README.split("---\n", 2)
    keys = dict(re.findall(r"^(\w+): *(.*)$", front, re.MULTILINE))
    assert {"title", "emoji", "sdk", "sdk_version", "python_version", "app_file", "license", "models"} <= set(keys)
    assert (keys["sdk"], keys["app_file"]) == ("gradio", "app.py")
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (pin,) = re.findall(r"^gradio(.*)$", requirements, re.MULTILINE)
    assert keys["sdk_version"] in SpecifierSet(pin)
    assert len(keys["short_description"]) <= 60


def test_the_torch_that_documents_name_is_the_one_that_is_pinned() -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^torch==(.*)$", requirements, re.MULTILINE)
    assert "-index-url" not in re.sub("#.*", "", requirements), "a plain install must work from PyPI alone"
    named = [found for path in DOCUMENTS for found in re.findall(r"torch==([\d.]+)", path.read_text("utf-8"))]
    assert len(named) >= 3
    assert {*named, *re.findall(r"torch==([\d.]+)", requirements)} == {pinned}


def test_tables_are_written_without_torch_and_without_the_page() -> None:
    code = (
        "import sys; from sku.cli import documents; print(documents.with_tables('<!-- table: summary -->\\n"
        "<!-- /table -->').count('|') > 50, {'torch', 'gradio', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "True set()", done.stderr


def test_every_recorded_cell_stands_in_the_document_of_attacks() -> None:
    """Spelled out here once more: outcomes, rate and likelihood of every variant under every attack."""
    text = (ROOT / "assets" / "docs" / "robustness.md").read_text(encoding="utf-8")
    rows = [row for row in result_files.read_rows(result_files.RECORDED_ATTACKS) if row.n]
    assert len(rows) >= 60
    for row in rows:
        several = row.any_harmful is not None
        rate, low, high = (
            (row.any_harmful, row.any_harmful_low, row.any_harmful_high)
            if several
            else (row.harmful_rate, row.harmful_low, row.harmful_high)
        )
        assert rate is not None
        assert low is not None
        assert high is not None
        counts = f"| {row.refusal} | {row.safe} | {row.off_topic} | {row.broken} | {row.n} |"
        start = f"| {100 * rate:.0f} % ({100 * low:.0f} to {100 * high:.0f}) | "
        assert any(start in line and counts in line for line in text.splitlines()), (row.variant, row.attack)


def test_the_recorded_attacks_name_no_path_of_our_machine() -> None:
    for path in (result_files.RECORDED_ATTACKS, result_files.full_suite()):
        assert str(Path.home()) not in path.read_text(encoding="utf-8")
        assert "/" not in "".join(row.run + row.variant for row in result_files.read_rows(path))

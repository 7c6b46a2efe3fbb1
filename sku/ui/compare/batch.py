"""Asks up to 50 prompts at once: a grid of prompts and columns with the outcome of every answer, and rates.

The grid can be downloaded as CSV. Choosing a row puts its prompt into the prompt box.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from sku.core.conversation import Conversation
from sku.core.intervals import wilson
from sku.core.records import OUTCOMES, Answer, Verdict
from sku.reporting.formatting import percent_with_interval
from sku.reporting.markers import outcome_marker
from sku.ui.compare.components import BatchPanel, CompareComponents
from sku.ui.csv_download import csv_link
from sku.ui.events import Updates, Values, uploaded_text
from sku.ui.hosting.access import Access
from sku.ui.hosting.gate import Question
from sku.ui.hosting.rate_limit import RateLimited
from sku.ui.messages import refusal

MAX_BATCH_PROMPTS = 50
_PROMPTS_PER_STEP = 4
"""Prompts that are asked before the grid is shown again."""


@dataclass(frozen=True)
class BatchRow:
    """One prompt with the answer and the verdict of every column."""

    prompt: str
    answers: tuple[Answer, ...]
    verdicts: tuple[Verdict, ...]


def lay_out_batch() -> BatchPanel:
    """Lay out the panel, folded."""
    with gr.Accordion(f"Batch: ask up to {MAX_BATCH_PROMPTS} prompts at once", open=False, elem_id="batch"):
        prompts = gr.Textbox(
            label=f"Prompts, one per line, at most {MAX_BATCH_PROMPTS}; every column answers each as a first question",
            lines=5,
            max_lines=12,
            elem_id="batch-prompts",
        )
        with gr.Row():
            start = gr.Button("Ask all prompts", elem_id="batch-start", scale=0, min_width=180)
            upload = gr.UploadButton(
                "Prompts from a text file",
                file_types=[".txt"],
                type="binary",
                scale=0,
                min_width=240,
                elem_id="batch-upload",
            )
        summary = gr.HTML(elem_id="batch-summary")
        grid = gr.Dataframe(
            label="Click a row to open its answers in the columns",
            interactive=False,
            wrap=True,
            visible=False,
            elem_id="batch-grid",
        )
    return BatchPanel(prompts, upload, start, summary, grid)


class BatchHandlers:
    """Handlers of the panel."""

    def __init__(self, components: CompareComponents, access: Access) -> None:
        self.components, self.access = components, access

    def ask(self, request: gr.Request, values: Values) -> Iterator[Updates]:
        """Ask every prompt, and show the grid as it fills."""
        panel = self.components.batch
        try:
            prompts = batch_prompts(values[panel.prompts])
            question = self._question(request, values, prompts)
            rows: list[BatchRow] = []
            for start in range(0, len(prompts), _PROMPTS_PER_STEP):
                rows += self._asked(question, prompts[start : start + _PROMPTS_PER_STEP])
                done = f"<p>{len(rows)} of {len(prompts)} prompts</p>" if len(rows) < len(prompts) else ""
                yield {
                    panel.summary: done + summary_html(question.variants, rows),
                    panel.grid: gr.Dataframe(grid_value(question.variants, rows), visible=True),
                }
        except (ValueError, OSError, RateLimited) as error:
            raise refusal(error, "Batch not asked") from error

    def fill(self, values: Values) -> str:
        """The prompts of the uploaded file."""
        try:
            return uploaded_text(values[self.components.batch.upload])
        except ValueError as error:
            raise refusal(error, "Not read") from error

    def _question(self, request: gr.Request, values: Values, prompts: Sequence[str]) -> Question:
        """The question about the first prompt. The gate has checked the other prompts too."""
        controls, gate = self.components.read(values), self.access.gate
        for prompt in prompts:
            gate.prompt(prompt)
        return gate.question(
            self.access.visitor(request),
            prompts[0],
            controls.variants(),
            {entry.name for entry in self.access.entries(request)},
            length=controls.length,
            temperature=controls.temperature,
            seed=controls.seed,
            attack=controls.attack,
            answer_start=controls.answer_start,
            system=controls.system or "",
        )

    def _asked(self, question: Question, prompts: Sequence[str]) -> list[BatchRow]:
        session, width = self.access.session, len(question.variants)
        before = [Conversation(question.system)] * width if question.system else []
        answers = session.answers(prompts, question.variants, question.config, question.attack, before)
        rows = []
        for i, prompt in enumerate(prompts):
            mine = tuple(answers[i * width : (i + 1) * width])
            rows.append(BatchRow(prompt, mine, tuple(session.verdicts(prompt, [one.text for one in mine]))))
        return rows


def picked_prompt(event: gr.SelectData) -> tuple[str, tuple[Any, ...]]:
    """The prompt of the chosen row, and no earlier turns."""
    row = event.row_value
    if not isinstance(row, list) or not row:
        raise refusal("no row was chosen; click a row of the grid", "Not opened")
    return str(row[0]), ()


def batch_prompts(text: Any) -> list[str]:
    """The prompts in the box, without repetition.

    Raises:
        ValueError: if there is none, or there are more than `MAX_BATCH_PROMPTS`.
    """
    lines = text.splitlines() if isinstance(text, str) else []
    prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not 1 <= len(prompts) <= MAX_BATCH_PROMPTS:
        raise ValueError(f"{len(prompts)} prompts were given; write 1 to {MAX_BATCH_PROMPTS}, one per line")
    return prompts


def grid_value(variants: Sequence[str], rows: Sequence[BatchRow]) -> dict[str, Any]:
    """The grid: one line per prompt, with mark and word of every column's outcome."""
    data = [
        [row.prompt, *(f"{outcome_marker(one.outcome).mark} {one.outcome}" for one in row.verdicts)] for row in rows
    ]
    return {"headers": ["prompt", *variants], "data": data}


def summary_html(variants: Sequence[str], rows: Sequence[BatchRow]) -> str:
    """The harmful rate of every column with its interval, the other outcomes, and the link that downloads the CSV."""
    lines = []
    for i, variant in enumerate(variants):
        outcomes = [row.verdicts[i].outcome for row in rows]
        rate = wilson(outcomes.count("harmful"), len(outcomes) - outcomes.count("unjudged"))
        others = [f"{outcomes.count(name)} {name}" for name in OUTCOMES if name != "harmful" and name in outcomes]
        said = [f"harmful {percent_with_interval(rate.rate, rate.low, rate.high)} of {len(rows)}", *others]
        lines.append(f"<li><b>{html.escape(variant)}</b>: {', '.join(said)}</li>")
    return f"<ul>{''.join(lines)}</ul>{csv_link(grid_csv(rows), 'batch.csv', 'Download CSV')}"


def grid_csv(rows: Sequence[BatchRow]) -> str:
    """One line per prompt and column: prompt, variant, outcome, score, reason, judge, text."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["prompt", "variant", "outcome", "score", "reason", "judge", "text"])
    for row in rows:
        for answer, one in zip(row.answers, row.verdicts, strict=True):
            score = "" if one.score is None else f"{one.score:.4f}"
            cells = [row.prompt, answer.variant, one.outcome, score, one.reason, one.judge, answer.text]
            writer.writerow([_without_formula(cell) for cell in cells])
    return text.getvalue()


def _without_formula(cell: str) -> str:
    """The cell, so that a spreadsheet does not run it as a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell

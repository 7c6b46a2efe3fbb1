"""Trade-off: harmful rate against what forgetting cost, of the recorded study and of the visitor's own evaluations."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio as gr

from sku import results, runs
from sku.choices import Choice
from sku.figures import outcomes, trade_off
from sku.figures.words import kind, line
from sku.hosting.gate import Gate
from sku.records import ResultRow
from sku.results import UTILITIES, change, share, value
from sku.signs import sign
from sku.ui import glossary, measuring, plot
from sku.ui.visitors import visitor
from sku.variants import BASE

_SIDES = ("test", "more test", "more test, rated", "validation")
_PLANE, _BARS = "trade-off", "outcomes"
_YOURS = " (yours)"
_ABSENT = "No study is recorded yet; <code>python -m sku study</code> makes it, and then its points are shown here."


_SIGNS = (
    "<p>Signs as in the list of methods above. Dotted line: front. Crossed out: broken. Ring: shipped default. "
    "▼ with a number: that column of Compare.</p>"
)


class Wiring(NamedTuple):
    """What the frame of the page connects."""

    point: gr.Dropdown
    """Holds the chosen variant."""
    openers: list[gr.Button]
    """One a column of Compare that a point may open in: the second and the third."""
    picture: gr.HTML
    """Tells which mark was clicked."""
    look: Callable[..., list[Any]]
    """Draws anew what files hold by now."""
    inputs: list[Any]
    outputs: list[Any]
    refresh: Callable[..., Any]
    """An update of `names`."""
    names: gr.Dropdown
    """Variants that can be measured."""


class Rows(NamedTuple):
    """What there is to show."""

    study: list[ResultRow]
    own: list[ResultRow]
    faults: list[str]


def build(gate: Gate, choices: Callable[[gr.Request], list[Choice]], columns: Sequence[Any], model: str) -> Wiring:
    """Lay the tab out and wire what is in it.

    Args:
        gate: what visitors may do.
        choices: variants that a visitor may ask.
        columns: of Compare their number, their variants, then their coefficients.
        model: base of the variants.
    """
    with gr.Row(elem_id="measure-row"):
        utility = gr.Dropdown(
            [(found.label, name) for name, found in UTILITIES.items()],
            value="kl",
            label="Utility",
            info=_meaning("kl"),
            elem_id="utility",
        )
        side = gr.Radio(
            list(_SIDES),
            value="test",
            label="Prompts",
            info="held out from every training; more test: what is shipped, by the judge or by ratings",
            elem_id="side",
        )
        drawn = gr.Radio(
            [_PLANE, _BARS],
            value=_PLANE,
            label="Figure",
            info="what each cost, or what became of all answers",
            elem_id="drawn",
        )
    methods = gr.CheckboxGroup([], label="Methods", elem_id="trade-methods")
    note = gr.HTML(_ABSENT, elem_id="study-note")
    picture = plot.clickable("trade-off")
    gr.HTML(_SIGNS, elem_id="trade-signs", padding=False)  # where the screen is too narrow for a legend
    with gr.Row(visible=False, elem_id="open-row") as choosing:
        point = gr.Dropdown(
            [],
            value=None,
            label="Open in Compare",
            info="or click a mark of the figure: it opens in column 3",
            elem_id="point",
            interactive=True,
            scale=3,
        )
        openers = [
            gr.Button(f"Open in column {column}", elem_id=f"open-{column}", min_width=150, scale=1) for column in (2, 3)
        ]
    download = gr.HTML(elem_id="download")
    table = gr.Dataframe(interactive=False, elem_id="rows", show_label=False, visible=False)
    known = gr.State([])
    inputs = [utility, side, drawn, methods, known, point, *columns]
    outputs = [methods, known, note, picture, choosing, point, download, table]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    def draw(request: gr.Request, *values: Any) -> list[Any]:
        return look(gate.owner(visitor(request, gate.hosting.proxy)), *values)

    glossary.line(
        *("trade-off", "front", "utility", "harmful rate", "broken", "unjudged", "held out", "seed"),
        *(found.label for found in UTILITIES.values()),
    )
    names = measuring.build(gate, choices, lambda event: event(draw, inputs, outputs, **quiet), model)
    gr.on(
        [utility.input, side.input, drawn.input, methods.input],
        draw,
        inputs,
        outputs,
        trigger_mode="always_last",
        **quiet,
    )
    utility.input(lambda name: gr.Dropdown(info=_meaning(name)), utility, utility, **quiet)
    table.select(_row_chosen, None, point, **quiet)

    def refresh(request: gr.Request) -> Any:
        return measuring.refreshed(choices(request))

    return Wiring(point, openers, picture, draw, inputs, outputs, refresh, names)


def look(
    owner: str | None,
    utility: str,
    side: str,
    drawn: str,
    chosen: list[str],
    known: list[str],
    point: str | None,
    *columns: Any,
) -> list[Any]:
    """Updates of everything in the tab, from the files as they are now."""
    found = load(owner)
    every = [*found.study, *found.own]
    kinds = {kind(row): row for row in every if row.method != BASE}
    wanted = [name for name in kinds if name in chosen or name not in known]
    study, own = (_wanted(rows, side, wanted) for rows in (found.study, found.own))
    if drawn == _BARS:
        figure = outcomes([*study, *own])
    else:
        figure = trade_off(study, utility, _standing(columns), own, runs.shipped_defaults())
    points: dict[str, str] = {}
    for row, mine in _marked(study, own):  # of two rows of one variant the study's
        points.setdefault(row.variant, line(row, utility) + mine)
    listed = [(text, variant) for variant, text in points.items()]
    boxes = gr.CheckboxGroup([(f"{_mark(row)} {name}", name) for name, row in kinds.items()], value=wanted)
    return [
        gr.skip() if list(kinds) == known else boxes,  # an answer that comes late undoes no newer click
        list(kinds),
        _note(found, [*study, *own], utility, side),
        figure.update_layout(meta=_spoken([*study, *own], utility), uirevision=drawn).to_json() if study or own else "",
        gr.Row(visible=bool(points)),
        gr.Dropdown(listed) if point is None or point in points else gr.Dropdown(listed, value=None),
        _download(study, own),
        gr.Dataframe(cells(study, own), visible=bool(study or own)),
    ]


def load(owner: str | None = None) -> Rows:
    """The recorded study and the visitor's own evaluations; a file that cannot be read hides no other."""
    own, faults = results.own(owner)
    try:
        return Rows(results.recorded(), own, faults)
    except (ValueError, OSError) as error:
        return Rows([], own, [str(error), *faults])


def cells(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> dict[str, Any]:
    """Headers and data of the table; what no row measured has no column, and shares are in percent."""
    marked = _marked(study, own)
    columns: dict[str, list[Any]] = {
        "variant": [row.variant for row, _ in marked],
        "method": [kind(row) + mine for row, mine in marked],
        "seed": [row.seed for row, _ in marked],
        "steps": [row.steps for row, _ in marked],
        "harmful %": [_percent(row.harmful_rate) for row, _ in marked],
        "low %": [_percent(row.harmful_low) for row, _ in marked],
        "high %": [_percent(row.harmful_high) for row, _ in marked],
        "against base (95 %)": [change(row) or None for row, _ in marked],
        "broken %": [_percent(share(row.broken, row.n)) for row, _ in marked],
        "answers": [row.n for row, _ in marked],
        "unjudged": [row.unjudged for row, _ in marked],
    }
    for name, found in UTILITIES.items():
        numbers = [value(row, name) for row, _ in marked]
        if found.unit == "%":
            columns[f"{found.label} %"] = [_percent(number) for number in numbers]
        else:
            columns[", ".join(filter(None, (found.label, found.unit)))] = [n and float(f"{n:.4g}") for n in numbers]
    there = {name: column for name, column in columns.items() if any(one is not None for one in column)}
    return {"headers": list(there), "data": [list(row) for row in zip(*there.values(), strict=True)]}


def _marked(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> list[tuple[ResultRow, str]]:
    return [(row, "") for row in study] + [(row, _YOURS) for row in own]


def _wanted(rows: Sequence[ResultRow], side: str, kinds: Sequence[str]) -> list[ResultRow]:
    """The base first, then kind by kind along the coefficient."""
    found = [row for row in rows if row.side == side and (row.method == BASE or kind(row) in kinds)]
    return sorted(
        found, key=lambda row: (row.method != BASE, kind(row), row.seed or 0, row.steps or 0, row.run, row.coefficient)
    )


def _mark(row: ResultRow) -> str:
    return sign(row.method, row.preservation).mark


def _standing(columns: Sequence[Any]) -> list[str]:
    """Compare's columns as variants: their number, their variants, their coefficients."""
    if not columns:
        return []
    count, *rest = columns
    half = len(rest) // 2
    pairs = list(zip(rest[:half], rest[half:], strict=True))[:count]
    return [name if name == BASE else f"{name}@{coefficient:g}" for name, coefficient in pairs]


def _spoken(rows: Sequence[ResultRow], utility: str) -> str:
    """The figure for who cannot see it; the table beneath has every number."""
    label = UTILITIES[utility].label
    measured = [row for row in rows if row.harmful_rate is not None]
    lowest = min(measured, key=lambda row: row.harmful_rate or 0.0, default=None)
    best = f" The lowest harmful rate: {line(lowest, utility)}." if lowest else ""
    return f"Harmful rate against {label} of {len(rows)} variants; the table below has the numbers.{best}"


def _meaning(utility: str) -> str:
    found = UTILITIES[utility]
    return f"{found.meaning}; {'less' if found.better == 'low' else 'more'} is better"


def _note(found: Rows, shown: Sequence[ResultRow], utility: str, side: str) -> str:
    """What is missing and why, in sentences."""
    said = [] if found.study else [_ABSENT]
    if not shown and (found.study or found.own):
        said.append(f"Nothing of the methods chosen was measured on {side} prompts.")
    without = sum(row.harmful_rate is None or value(row, utility) is None for row in shown)
    if without:
        said.append(f"{without} of {len(shown)} rows are not drawn: {UTILITIES[utility].label} was not measured.")
    said += [f"<b>Not shown:</b> {html.escape(fault)}" for fault in found.faults]
    return "<br>".join(said)


def _download(study: Sequence[ResultRow], own: Sequence[ResultRow]) -> str:
    """The table as a link that carries its own data: no file of a visitor's is left on the server."""
    marked = _marked(study, own)
    if not marked:
        return ""
    frame = results.table([row for row, _ in marked]).assign(yours=[bool(mine) for _, mine in marked])
    data = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    return f"<a class='button' download='trade-off.csv' href='data:text/csv;base64,{data}'>Download table (CSV)</a>"


def _percent(rate: float | None) -> float | None:
    return None if rate is None else round(100 * rate, 1)


def _row_chosen(event: gr.SelectData) -> str:
    """A row of the table is as good as a point."""
    return str(event.row_value[0])

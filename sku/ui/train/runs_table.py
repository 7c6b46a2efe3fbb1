"""The table of runs. What can be done with a run is in its row; each button fires an event that names the run.

The browser draws the table and sets all text as text, never as HTML. A row is renamed in place. Deleting asks first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from sku.core.methods import find_method
from sku.core.run_names import MAX_NAME_CHARACTERS, given_name
from sku.serving.training_jobs import TrainingJob
from sku.ui.train.run_status import RUN_HEADERS, run_row

_ACTIONS = {
    "open_run": ("Open", "Open in Compare beside the base and SKU"),
    "measure_run": ("Measure", "Measure at its recommended coefficient, beside the base"),
    "resume_run": ("Resume", "Go on from the last checkpoint"),
    "rename_run": ("Rename", "Give it a name of your own in lists"),
    "rerun_run": ("Rerun", "Fill the form above with its settings, to run it again with changes"),
    "download_run": ("Download", "Download its adapter with its card, as a zip file"),
    "delete_run": ("Delete", "Delete the run and its adapter"),
}
"""What can be done with a run: the event, the text of its button and what it does."""

_ON_LOAD = """
const box = element.querySelector('.runs');
const EVENTS = ['choose_run', 'open_run', 'measure_run', 'resume_run', 'rerun_run', 'download_run', 'delete_run'];
const make = (tag, parent, text, properties) => {
  const made = Object.assign(document.createElement(tag), properties || {});
  if (text !== undefined && text !== null) { made.textContent = text; }
  parent.append(made);
  return made;
};
const redraw = (line) => { line.dataset.row = ''; line.querySelector('form')?.remove(); draw(); };
const rename = (line, row) => {
  const cell = line.querySelector('th');
  cell.replaceChildren();
  const form = make('form', cell);
  const input = make('input', form, null, {value: row.given, maxLength: JSON.parse(props.value).longest});
  input.setAttribute('aria-label', `Name of ${row.run} in lists; empty takes it away`);
  make('button', form, 'Save', {type: 'submit'});
  make('button', form, 'Cancel', {type: 'button', onclick: () => redraw(line)});
  form.onsubmit = (event) => {
    event.preventDefault();
    trigger('rename_run', {run: row.run, name: input.value});
    redraw(line);
  };
  input.focus();
  input.select();
};
const act = (action, row, line) => {
  if (action === 'rename_run') { rename(line, row); return; }
  if (action === 'delete_run' && !confirm(`Delete ${row.given || row.run} and its adapter?`)) { return; }
  if (EVENTS.includes(action)) { trigger(action, {run: row.run}); }
};
const makeBody = (headers) => {
  const table = make('table', box);
  make('caption', table, 'Runs');
  const head = make('tr', make('thead', table));
  for (const header of headers) { make('th', head, header, {scope: 'col'}); }
  return make('tbody', table);
};
const makeLine = (row, headers) => {
  const line = document.createElement('tr');
  Object.assign(line.dataset, {run: row.run, row: JSON.stringify(row)});
  if (row.chosen) { line.setAttribute('aria-current', 'true'); }
  const name = make('th', line, null, {scope: 'row'});
  const choose = {title: 'show this run above', onclick: () => act('choose_run', row, line)};
  make('button', name, row.given || row.run, choose);
  if (row.given) { make('small', name, row.run); }
  row.cells.forEach((value, i) => { make('td', line, value).dataset.header = headers[i + 1]; });
  const actions = make('td', line);
  for (const [action, label, title] of row.actions) {
    const button = make('button', actions, label, {title: title, onclick: () => act(action, row, line)});
    button.dataset.action = action;
  }
  return line;
};
const draw = () => {  // a row without news stays as it is, with the focus; so does one that is being renamed
  if (!props.value) { box.replaceChildren(); return; }
  const {headers, rows} = JSON.parse(props.value);
  const body = box.querySelector('tbody') || makeBody(headers);
  const lines = rows.map((row) => [...body.children].find((line) => line.dataset.row === JSON.stringify(row)
    || (line.dataset.run === row.run && line.querySelector('form'))) || makeLine(row, headers));
  for (const line of [...body.children]) { if (!lines.includes(line)) { line.remove(); } }
  lines.forEach((line, i) => {
    if (body.children[i] !== line) { body.insertBefore(line, body.children[i] || null); }
  });
};
draw();
watch('value', draw);
"""


def lay_out_runs_table() -> gr.HTML:
    """A component whose value is `runs_value`, or "" for no table."""
    return gr.HTML(None, html_template="<div class='runs'></div>", js_on_load=_ON_LOAD, elem_id="runs", padding=False)


def runs_value(jobs: Sequence[TrainingJob], chosen: TrainingJob | None, downloads: bool) -> str:
    """The value of the table.

    Args:
        jobs: the runs, newest first.
        chosen: the run that the page shows above the table.
        downloads: whether the page lets adapters be downloaded.
    """
    rows = [
        {
            "run": job.name,
            "given": given_name(job.folder),
            "cells": run_row(job)[1:],
            "actions": [(name, *_ACTIONS[name]) for name in row_actions(job, downloads)],
            "chosen": chosen is not None and job.name == chosen.name,
        }
        for job in jobs
    ]
    headers = [*RUN_HEADERS, "actions"]
    return json.dumps({"headers": headers, "rows": rows, "longest": MAX_NAME_CHARACTERS}) if rows else ""


def row_actions(job: TrainingJob, downloads: bool) -> list[str]:
    """The events that the buttons of a run fire."""
    if job.live:
        return ["rename_run"] if (job.folder / "run.json").is_file() else []
    finished = job.state == "finished"
    begun = (job.folder / "run.json").is_file()
    offered = {
        "open_run": finished,
        "measure_run": finished,
        "resume_run": not finished,
        "rename_run": begun,
        "rerun_run": bool(job.config.terms or find_method(job.config.method).closed_form),
        "download_run": downloads and (job.folder / "adapter").is_dir(),
        "delete_run": True,
    }
    return [name for name, possible in offered.items() if possible]


def sent_run(event: gr.EventData) -> str:
    """The run that the browser names. The caller must check whose it is."""
    run = getattr(event, "run", None)
    return run[:200] if isinstance(run, str) else ""


def sent_name(event: gr.EventData) -> str:
    """The name that the visitor gave, as the browser sent it. The caller must check it."""
    name: Any = getattr(event, "name", None)
    return name[: MAX_NAME_CHARACTERS + 1] if isinstance(name, str) else ""

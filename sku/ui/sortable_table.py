"""A table whose headers sort it, because the headers of `gr.Dataframe` only open a menu.

The browser sorts: empty cells stay last, and the order survives new data. The variant of a row is a button if it can be
opened; the event `row_click` names it. Cells are set as text, never as HTML.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

_ON_LOAD = """
const box = element.querySelector('.sortable');
const make = (tag, parent, text) => {
  const made = document.createElement(tag);
  if (text !== undefined) { made.textContent = text; }
  parent.append(made);
  return made;
};
const compare = (one, other) => typeof one === 'number' && typeof other === 'number'
  ? one - other : String(one).localeCompare(String(other), undefined, {numeric: true});
const sorted = (rows) => {
  const order = box.order;
  if (!order) { return rows; }
  return [...rows].sort((a, b) => {
    const [one, other] = [a.cells[order.column], b.cells[order.column]];
    if (one === null || other === null) { return (one === null) - (other === null); }
    return order.down ? compare(other, one) : compare(one, other);
  });
};
const draw = () => {
  box.replaceChildren();
  if (!props.value) { return; }
  const {headers, rows} = JSON.parse(props.value);
  const place = box.order ? headers.indexOf(box.order.header) : -1;
  box.order = place < 0 ? null : {...box.order, column: place};
  const table = make('table', box);
  make('caption', table, 'A click on a header sorts the table.');
  const head = make('tr', make('thead', table));
  headers.forEach((header, column) => {
    const cell = make('th', head);
    const chosen = place === column;
    cell.scope = 'col';
    cell.setAttribute('aria-sort', chosen ? (box.order.down ? 'descending' : 'ascending') : 'none');
    const button = make('button', cell, header);
    make('span', button, chosen ? (box.order.down ? ' ▼' : ' ▲') : '').setAttribute('aria-hidden', 'true');
    button.onclick = () => {
      box.order = {header, column, down: chosen && !box.order.down};
      draw();
      box.querySelectorAll('thead button')[column].focus();
    };
  });
  const body = make('tbody', table);
  for (const row of sorted(rows)) {
    const line = make('tr', body);
    row.cells.forEach((value, column) => {
      const cell = make(column ? 'td' : 'th', line);
      if (!column) { cell.scope = 'row'; }
      if (column || !row.opens) { cell.textContent = value === null ? '' : value; return; }
      const button = make('button', cell, value);
      button.title = 'open in Compare';
      button.onclick = () => trigger('row_click', {variant: row.variant});
    });
  }
};
draw();
watch('value', draw);
"""


def sortable_table(elem_id: str) -> gr.HTML:
    """A component whose value is `table_value`, or "" for no table."""
    return gr.HTML(
        None, html_template="<div class='sortable'></div>", js_on_load=_ON_LOAD, elem_id=elem_id, padding=False
    )


def table_value(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], can_open: Callable[[str], bool] = lambda _: True
) -> str:
    """The value of a table whose first column holds variants.

    Args:
        headers: one text per column.
        rows: one list of cells per row; None is an empty cell.
        can_open: says whether a click on a variant opens it.
    """
    lines = [{"cells": list(row), "variant": row[0], "opens": can_open(str(row[0]))} for row in rows]
    return json.dumps({"headers": list(headers), "rows": lines}) if lines else ""

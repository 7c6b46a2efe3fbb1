"""A plotly figure whose marks can be clicked: plotly's own script from this server, loaded when first it is needed.

`gr.Plot` hears no click. A zoom survives new data (`uirevision`), and the variant of a mark is its customdata.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import plotly

_SCRIPT = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_ON_LOAD = """
const box = element.querySelector('.plot');
const script = () => window.Plotly ? Promise.resolve() : (window.skuPlotly ||= new Promise((loaded, failed) => {
  const tag = document.createElement('script');
  tag.src = box.dataset.script; tag.onload = loaded; tag.onerror = failed;
  document.head.append(tag);
}));
const draw = () => {
  if (props.value === null) { return; }
  box.hidden = !props.value;
  if (!props.value) { return; }
  const figure = JSON.parse(props.value);
  box.setAttribute('aria-label', figure.layout.meta || '');
  const bars = figure.data.some((trace) => trace.type === 'bar');
  if (box.clientWidth < 560 && !bars) { figure.layout.showlegend = false; figure.layout.height = 420; }
  const settings = {responsive: true, displaylogo: false};
  script().then(() => Plotly.react(box, figure.data, figure.layout, settings)).then(() => {
    if (box.wired) { return; }
    box.wired = true;
    box.on('plotly_click', (event) => {
      const variant = event.points[0].customdata;
      if (variant) { trigger('point_click', {variant: variant}); }
    });
  }).catch(() => { box.dataset.failed = 'The figure could not be drawn; the table has the same numbers.'; });
};
draw();
watch('value', draw);
"""


def clickable_plot(elem_id: str) -> gr.HTML:
    """One that waits for its value: a figure's JSON, or "" for none. `point_click` tells the variant of a mark."""
    gr.set_static_paths([str(_SCRIPT)])
    box = f"<div class='plot' role='img' data-script='gradio_api/file={_SCRIPT}'></div>"
    return gr.HTML(None, html_template=box, js_on_load=_ON_LOAD, elem_id=elem_id, padding=False)


def clicked(event: gr.EventData) -> str | None:
    """The variant of a clicked mark; what a client sends is checked by whoever uses it."""
    found = getattr(event, "variant", None)
    return found[:200] if isinstance(found, str) else None

"""A plotly figure with clickable marks, because `gr.Plot` has no click event.

This server delivers plotly's own script, and the browser loads it when it first needs it. A zoom survives new data
(`uirevision`). The customdata of a mark is its variant if it can be opened; only then the pointer over it is a hand.
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
const fitNarrow = (figure) => {  // labels at the ends of lines would overlap, so that the legend names the lines
  for (const trace of figure.data) {
    const label = trace.mode === 'lines+text' ? trace.text[trace.text.length - 1].trim() : '';
    if (label) { Object.assign(trace, {mode: 'lines', name: label, showlegend: true}); }
    else { trace.showlegend = false; }
  }
  const legend = {orientation: 'h', yref: 'container', y: 0, yanchor: 'bottom', font: {size: 11}};
  Object.assign(figure.layout, {height: 460, legend: legend, margin: {...figure.layout.margin, r: 10}});
  figure.layout.showlegend = figure.data.some((trace) => trace.showlegend);
};
const showWhiskers = (point) => {  // in the trace that is there for the mark under the pointer
  const place = box.data.findIndex((trace) => trace.meta && trace.meta.hovered);
  if (place < 0 || (!point && box.data[place].x[0] === null)) { return; }
  const meta = point && point.data.meta;
  const whiskers = meta && meta.whiskers && meta.whiskers[point.pointNumber];
  const [up, down, right, left] = whiskers || [null, null, null, null];
  Plotly.restyle(box, {
    x: [[whiskers ? point.x : null]], y: [[whiskers ? point.y : null]],
    'error_y.array': [[up]], 'error_y.arrayminus': [[down]],
    'error_x.array': [[right]], 'error_x.arrayminus': [[left]],
  }, [place]);
};
const draw = () => {
  if (props.value === null) { return; }
  box.hidden = !props.value;
  if (!props.value) { return; }
  const figure = JSON.parse(props.value);
  box.setAttribute('aria-label', figure.layout.meta || '');
  const bars = figure.data.some((trace) => trace.type === 'bar');
  const narrow = box.clientWidth < 560 && !bars && !box.dataset.legend;
  if (narrow) { fitNarrow(figure); }
  const settings = {responsive: true, displaylogo: false};
  script().then(() => Plotly.react(box, figure.data, figure.layout, settings)).then(() => {
    if (box.wired) { return; }
    box.wired = true;
    box.on('plotly_click', (event) => {
      const variant = event.points[0].customdata;
      if (variant) { trigger('point_click', {variant: variant}); }
    });
    box.on('plotly_hover', (event) => {
      box.classList.toggle('opens', Boolean(event.points[0].customdata));
      showWhiskers(event.points[0]);
    });
    box.on('plotly_unhover', () => { box.classList.remove('opens'); showWhiskers(null); });
  }).catch(() => { box.dataset.failed = 'The figure could not be drawn. The table shows the same numbers.'; });
};
draw();
watch('value', draw);
"""


def clickable_plot(elem_id: str, keep_legend: bool = False) -> gr.HTML:
    """A component whose value is a figure's JSON, or "" for no figure. Its event `point_click` names a mark's variant.

    Until it has a value it draws nothing.

    Args:
        elem_id: the id of the element.
        keep_legend: whether a narrow screen shows the legend too, and the figure at its own height.
    """
    gr.set_static_paths([str(_SCRIPT)])
    legend = " data-legend='keep'" if keep_legend else ""
    box = f"<div class='plot' role='img'{legend} data-script='gradio_api/file={_SCRIPT}'></div>"
    return gr.HTML(None, html_template=box, js_on_load=_ON_LOAD, elem_id=elem_id, padding=False)


def clicked(event: gr.EventData) -> str | None:
    """The variant of the clicked mark, as the browser sent it. The caller must check it."""
    variant = getattr(event, "variant", None)
    return variant[:200] if isinstance(variant, str) else None

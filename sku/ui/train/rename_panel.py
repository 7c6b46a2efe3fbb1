"""Gives the chosen run a name of the visitor's own. Its folder keeps its name, so nothing that names it breaks."""

from __future__ import annotations

import gradio as gr

from sku.core.run_names import MAX_NAME_CHARACTERS, given_name, rename_run
from sku.core.runs import read_run
from sku.serving.training_jobs import TrainingJobs
from sku.ui.events import QUIET
from sku.ui.hosting.access import Access
from sku.ui.messages import inform, refusal
from sku.ui.tab_context import TabContext


def build_rename(context: TabContext, run: gr.Dropdown) -> None:
    """Lay out the panel and wire it.

    Args:
        context: the page.
        run: the list of runs; the chosen one is renamed.
    """
    handlers = RenameHandlers(context.access, context.trainings)
    with gr.Accordion("Rename the chosen run", open=False, elem_id="rename"), gr.Row():
        name = gr.Textbox(
            label="Name in lists",
            info="Results, links and combined runs go on to name the run by its folder, so they stay valid.",
            max_length=MAX_NAME_CHARACTERS,
            lines=1,
            max_lines=1,
            elem_id="run-name",
            scale=3,
        )
        button = gr.Button("Rename", scale=0, min_width=110, elem_id="rename-run")
    run.change(handlers.show, run, name, **QUIET)
    gr.on([button.click, name.submit], handlers.rename, [run, name], name, **QUIET)


class RenameHandlers:
    """Handlers of the panel."""

    def __init__(self, access: Access, trainings: TrainingJobs) -> None:
        self.access, self.trainings = access, trainings

    def show(self, request: gr.Request, run: str | None) -> str:
        """The name that the chosen run has."""
        try:
            return given_name(self.trainings.read(run or "", self.access.owner(request)).folder)
        except ValueError:
            return ""

    def rename(self, request: gr.Request, run: str | None, name: str) -> str:
        """Rename the chosen run if it is the visitor's."""
        try:
            folder = self.trainings.read(run or "", self.access.owner(request)).folder
            given = rename_run(read_run(folder), str(name))
        except (ValueError, OSError) as error:
            raise refusal(error, "Not renamed") from error
        inform(f"{run} is shown as {given}." if given else f"{run} has no name of its own any more.", title="Renamed")
        return given

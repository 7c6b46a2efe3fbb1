"""The command `rename`."""

from __future__ import annotations

from typing import Annotated

import typer


def rename(
    run: Annotated[str, typer.Argument(help="The run: its name, or the path of its folder.")],
    name: Annotated[str, typer.Argument(help="The name that lists show; an empty one takes the name away.")],
) -> None:
    """Give a run a name of your own, which the page's lists show.

    The run folder keeps its name. Commands, results, links and combined runs name the run by its folder, so they stay
    valid.
    """
    from sku.core.run_names import rename_run
    from sku.core.runs import find_run

    found = find_run(run)
    given = rename_run(found, name)
    typer.echo(f"{found.name} is now shown as {given!r}" if given else f"{found.name} has no name of its own any more")

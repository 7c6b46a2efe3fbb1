"""The command `train-probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import Model
from sku.core.output_paths import check_output_folder


def train_probe(
    out: Annotated[Path, typer.Option(help="The folder of the probe to write, such as assets/prompt_probe.")],
    model: Model = "smollm2-135m",
    harmful: Annotated[
        list[str], typer.Option(help="A source of harmful prompts to fit and test the probe on. Repeatable.")
    ] = ["bundled", "harmful_requests"],  # noqa: B006
    normal: Annotated[
        list[str], typer.Option(help="A source of harmless prompts to fit and test the probe on. Repeatable.")
    ] = ["bundled", "sounds_harmful", "plain_requests"],  # noqa: B006
    limit: Annotated[int, typer.Option(help="The most prompts of each source, for fitting and for testing.")] = 600,
    test_harmful: Annotated[
        list[str], typer.Option(help="A source of harmful prompts that only tests the probe. Repeatable.")
    ] = [],  # noqa: B006
    test_normal: Annotated[
        list[str], typer.Option(help="A source of harmless prompts that only tests the probe. Repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Fit the probe by which the page hides harmful text before it is written.

    The probe reads the base's hidden state at the last prompt token. Its card has its AUC on held-out prompts. The page
    uses the probe in assets/prompt_probe, and only for the base that it was fitted on.
    """
    import json

    check_output_folder(out)
    from sku.cli.progress import report_work
    from sku.models.pretrained import dtype_of, provision_base
    from sku.models.variant_model import load_variant_model
    from sku.training.fit_prompt_probe import fit_prompt_probe

    loaded = load_variant_model(provision_base(model), dtype_of(model))
    card = fit_prompt_probe(
        out,
        loaded,
        model,
        {"harmful": harmful, "normal": normal},
        {"harmful": test_harmful, "normal": test_normal},
        limit,
        report_work,
    )
    typer.echo(json.dumps(card, indent=2))

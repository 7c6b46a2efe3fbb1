"""The command that records answers for a page without weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import Variants
from sku.core.config import DecodingConfig


def record(
    out: Annotated[Path, typer.Option(help="The record, JSONL.")] = Path("assets/results/answers.jsonl"),
    variant: Variants = ["base", "ga@1", "sku@0.5", "sku@1", "sku@1.5", "sku@2", "sku@2.5", "sku@3", "keep@1", "tv@1"],  # noqa: B006
    max_tokens: Annotated[int, typer.Option(help="New tokens an answer.")] = 96,
) -> None:
    """Record greedy answers to the page's examples, with verdict and KL: what the page shows without weights."""
    import json

    from sku.cli.progress import report_work
    from sku.core import storage
    from sku.serving import recorded_session
    from sku.serving.live_session import LiveSession

    session, lines = LiveSession(), []
    groups = json.loads((storage.ASSETS / "data" / "examples.json").read_text(encoding="utf-8")).values()
    prompts = [example["prompt"] for group in groups for example in group]
    model, wanted = session.load(), ["base", *(one for one in variant if one != "base")]
    for prompt in prompts:
        report_work({"doing": f"recording: {prompt[:50]}"})
        answers = session.answers([prompt], wanted, DecodingConfig(max_new_tokens=max_tokens))
        verdicts = session.verdicts(prompt, [one.text for one in answers])
        far = session.divergence(prompt, answers[0].text, wanted)
        for one, said, kl in zip(answers, verdicts, far, strict=True):
            lines.append(recorded_session.record_line(session.model_name, model.fingerprint, one, said, kl))
    storage.write_atomically(out, "".join(lines))
    typer.echo(f"wrote {len(lines)} answers to {out}")

"""The command `record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sku.cli.options import MaxNewTokens, Negated, Variants, with_signs
from sku.core.config import DecodingConfig
from sku.core.output_paths import check_output_file


def record(
    out: Annotated[Path, typer.Option(help="The JSONL file to write.")] = Path("assets/results/answers.jsonl"),
    variant: Variants = ["base", "ga@1", "sku@0.2", "sku@0.5", "sku@0.8", "sku@1", "sku@1.5", "keep@1", "tv@1"],  # noqa: B006
    negated: Negated = False,
    attack: Annotated[
        list[str], typer.Option(help="An attack under which every variant answers as well. Repeatable.")
    ] = [],  # noqa: B006
    max_tokens: MaxNewTokens = 96,
    tour: Annotated[
        Path | None, typer.Option(help="A JSON file to write the four examples of the tour to, chosen by a rule.")
    ] = None,
) -> None:
    """Record the answers that the page shows without weights.

    Every variant answers the page's examples greedily, without attack and under each --attack. The verdict is recorded
    with each answer, and without attack the KL from base.
    """
    import json

    from sku.cli.progress import report_work
    from sku.core import runs, storage
    from sku.core.attacks import WITHOUT_ATTACK, ChosenAttack
    from sku.serving import recorded_session
    from sku.serving.live_session import LiveSession
    from sku.serving.remote_session import RemoteSession
    from sku.study import tour as tours

    check_output_file(out)
    session, lines, variant = LiveSession(), [], with_signs(variant, negated)
    groups = json.loads((storage.ASSETS / "data" / "examples.json").read_text(encoding="utf-8"))
    prompts = [example["prompt"] for group in groups.values() for example in group]
    asking = RemoteSession(session)
    model, variants = session.load(), ["base", *(name for name in variant if name != "base")]
    config = DecodingConfig(max_new_tokens=max_tokens)
    for prompt in prompts:
        for chosen in (WITHOUT_ATTACK, *map(ChosenAttack, attack)):
            report_work({"doing": f"recording ({chosen.name}): {prompt[:50]}"})
            answers = asking.answers([prompt], variants, config, chosen)
            verdicts = session.verdicts(prompt, [answer.text for answer in answers])
            attacked = chosen != WITHOUT_ATTACK
            kl = [None] * len(variants) if attacked else asking.divergence(prompt, answers[0].text, variants)
            for one in zip(answers, verdicts, kl, strict=True):
                lines.append(recorded_session.record_line(session.model_name, model.fingerprint, *one))
    out.parent.mkdir(parents=True, exist_ok=True)
    storage.write_atomically(out, "".join(lines))
    if tour:
        harmful = {example["prompt"] for example in groups.get("harmful", ())}
        found = tours.recorded_candidates(map(json.loads, lines), harmful, runs.shipped_sku())
        tours.write_tour(tours.choose_tour(found), tour)
    typer.echo(f"wrote {len(lines)} answers to {out}")

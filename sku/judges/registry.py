"""A judge by name: `embedded`, `keyword`, `hub:NAME`, or `hub:NAME=FOLDER` with its weights.

A hub judge may be named by its id on the hub too: `hub:meta-llama/Llama-Guard-3-1B`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sku.judges.hub_models import HUB_JUDGES
from sku.judges.protocol import Judge

if TYPE_CHECKING:
    from sku.models.variant_model import VariantModel

DEFAULT_JUDGE = "embedded"


def make_judge(name: str, default_base: Callable[[], VariantModel]) -> Judge:
    """The judge called `name`.

    Args:
        name: `embedded`, `keyword`, or `hub:` with a name of `hub_models.HUB_JUDGES` or its id on the hub, after which
            `=FOLDER` may say where its weights are.
        default_base: gives the model that the embedded judge lives on; called only for that one.

    Raises:
        ValueError: for an unknown name, with the known ones, or a folder that is none.
    """
    check_judge_name(name)
    if name == "embedded":
        from sku.judges.embedded import EmbeddedJudge

        return EmbeddedJudge(default_base())
    if name == "keyword":
        from sku.judges.keyword import KeywordJudge

        return KeywordJudge()
    from sku.judges.hub import HubJudge

    model, _, folder = short_judge_name(name).partition(":")[2].partition("=")
    return HubJudge(model, Path(folder).expanduser() if folder else None)


def check_judge_name(name: str) -> None:
    """Raises ValueError for an unknown name, with the known ones, and for a folder that is none; loads nothing."""
    known = ["embedded", "keyword", *(f"hub:{one}" for one in HUB_JUDGES)]
    plain, _, folder = short_judge_name(name).partition("=")
    if plain not in known or (folder and not plain.startswith("hub:")):
        raise ValueError(f"judge {name!r} is not known; choose {', '.join(known)}")
    if folder and not Path(folder).expanduser().is_dir():
        raise ValueError(f"{folder} of judge {plain} is no folder; name one with its weights, or leave {folder!r} out")


def short_judge_name(name: str) -> str:
    """A hub judge that is named by its id, by its name here."""
    plain, equals, folder = name.partition("=")
    named = next((one for one, guard in HUB_JUDGES.items() if plain.lower() == f"hub:{guard.model}".lower()), None)
    return f"hub:{named}{equals}{folder}" if named else name

"""Makes a judge from its name: `embedded`, `keyword`, `hub:NAME`, or `hub:NAME=FOLDER` with the weights in FOLDER.

NAME may also be the judge's id on the hub: `hub:meta-llama/Llama-Guard-3-1B`.
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
JUDGE_NAMES = (DEFAULT_JUDGE, "keyword", *(f"hub:{name}" for name in HUB_JUDGES))


def make_judge(name: str, default_base: Callable[[], VariantModel]) -> Judge:
    """Make the judge called `name`.

    Args:
        name: as the module says.
        default_base: loads the model that the embedded judge runs on; called for that judge only.

    Raises:
        ValueError: for an unknown name, or a folder that does not exist.
    """
    check_judge_name(name)
    if name == "embedded":
        from sku.judges.embedded import EmbeddedJudge

        return EmbeddedJudge(default_base())
    if name == "keyword":
        from sku.judges.keyword import KeywordJudge

        return KeywordJudge()
    from sku.judges.hub import HubJudge

    hub_name, _, folder = short_judge_name(name).partition(":")[2].partition("=")
    return HubJudge(hub_name, Path(folder).expanduser() if folder else None)


def check_judge_name(name: str) -> None:
    """Check a name without loading anything.

    Raises:
        ValueError: for an unknown name, listing the known ones, or a folder that does not exist.
    """
    plain, _, folder = short_judge_name(name).partition("=")
    if plain not in JUDGE_NAMES or (folder and not plain.startswith("hub:")):
        raise ValueError(f"judge {name!r} is not known; choose {', '.join(JUDGE_NAMES)}")
    if folder and not Path(folder).expanduser().is_dir():
        raise ValueError(
            f"{folder} of judge {plain} is no folder; name the folder with its weights, or write {plain} alone to load "
            "it from the hub"
        )


def short_judge_name(name: str) -> str:
    """The same judge name, with the id of a hub judge replaced by its short name."""
    plain, equals, folder = name.partition("=")
    short = next((one for one, model in HUB_JUDGES.items() if plain.lower() == f"hub:{model.hub_id}".lower()), None)
    return f"hub:{short}{equals}{folder}" if short else name

"""A judge by name: `embedded`, `keyword`, or `hub:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sku.judging.guards import MODELS
from sku.judging.protocol import Judge

if TYPE_CHECKING:
    from sku.model import VariantModel

DEFAULT = "embedded"


def judge(name: str, default_base: Callable[[], VariantModel]) -> Judge:
    """The judge called `name`.

    Args:
        name: `embedded`, `keyword`, or `hub:` with a name of `hub.MODELS`.
        default_base: gives the model that the embedded judge lives on; called only for that one.

    Raises:
        ValueError: for an unknown name, with the known ones.
    """
    check(name)
    if name == "embedded":
        from sku.judging.embedded import EmbeddedJudge

        return EmbeddedJudge(default_base())
    if name == "keyword":
        from sku.judging.keyword import KeywordJudge

        return KeywordJudge()
    from sku.judging.hub import HubJudge

    return HubJudge(name.partition(":")[2])


def check(name: str) -> None:
    """Raises ValueError for an unknown name, with the known ones; loads nothing."""
    known = ["embedded", "keyword", *(f"hub:{one}" for one in MODELS)]
    if name not in known:
        raise ValueError(f"judge {name!r} is not known; choose {', '.join(known)}")

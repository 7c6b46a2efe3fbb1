"""A judge by name: `embedded`, `keyword`, or `hub:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

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
    kind, _, model = name.partition(":")
    if name == "embedded":
        from sku.judging.embedded import EmbeddedJudge

        return EmbeddedJudge(default_base())
    if name == "keyword":
        from sku.judging.keyword import KeywordJudge

        return KeywordJudge()
    from sku.judging.hub import MODELS, HubJudge

    if kind == "hub" and model in MODELS:
        return HubJudge(model)
    known = ", ".join(f"hub:{one}" for one in MODELS)
    raise ValueError(f"judge {name!r} is not known; choose embedded, keyword or one of {known}")

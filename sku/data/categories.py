"""Select harmful pairs by category: the name that their source gives to the kind of harm."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sku.core.records import PromptPair


def select_categories(
    pairs: Iterable[PromptPair], only: Collection[str] = (), leave_out: Collection[str] = ()
) -> tuple[PromptPair, ...]:
    """The pairs of some categories, in their order.

    Args:
        pairs: the pairs to choose from.
        only: the categories to keep; if empty, all are kept. A pair without a category is in none of them.
        leave_out: the categories to leave out. A pair without a category is kept.
    """
    return tuple(pair for pair in pairs if (not only or pair.category in only) and pair.category not in leave_out)


def require_categories(wanted: Iterable[str], pairs: Iterable[PromptPair], which: str) -> None:
    """Check that every wanted category is the category of at least one pair.

    Args:
        wanted: the categories that a person named.
        pairs: the pairs that may have them.
        which: what the pairs are, for the error message, such as `harmful training pair`.

    Raises:
        ValueError: for the first category that no pair has. The message lists the categories there are.
    """
    known = sorted({pair.category for pair in pairs if pair.category})
    for category in wanted:
        if category not in known:
            advice = f"choose from {', '.join(known)}" if known else "none of them has a category"
            raise ValueError(f"no {which} has the category {category!r}; {advice}")

"""What a visitor of a public page is told before Start: how many trainings are left, how long they run and are kept."""

from __future__ import annotations

from sku.ui.hosting.settings import Hosting


def limits_text(hosting: Hosting, left: int | None) -> str:
    """One line; empty on a page without limits.

    Args:
        hosting: what the page allows.
        left: the trainings, evaluations and attacks that the visitor may still start today; None: no limit.
    """
    if not hosting.training:
        return "Trainings are turned off on this page. To train, run sku yourself with the two commands in the README."
    parts = []
    if hosting.trainings_a_day and left is not None:
        parts.append(f"{left} of {hosting.trainings_a_day} trainings and measurements left today")
    if hosting.training_minutes:
        parts.append(f"stopped after {hosting.training_minutes} minutes, and can be resumed")
    if hosting.public and hosting.keep_days:
        parts.append(f"only you see your runs, kept for {hosting.keep_days} days")
    if not hosting.downloads:
        parts.append("no downloads")
    return " · ".join(parts)

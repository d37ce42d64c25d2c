"""Numbers as `aiops.units` writes them, their few words in the reader's language."""

from __future__ import annotations

from datetime import timedelta

from aiops import units
from aiops.render.language import say


def quantity(value: float, metric: str) -> str:
    """A value of a metric with its unit."""
    return say(units.quantity(value, metric))


def between(low: float, high: float, metric: str) -> str:
    """A range in one unit; one value where it has no width."""
    first, to, last = units.between(low, high, metric).partition(" to ")
    return say("{low} to {high}", low=first, high=last) if to else say(first)


def figure(value: float) -> str:
    """Three significant digits."""
    return say(units.figure(value))


def percent(share: float) -> str:
    """A probability as whole per cent."""
    return say(units.percent(share))


def lag(span: timedelta) -> str:
    """A signed delay."""
    return say(units.lag(span))

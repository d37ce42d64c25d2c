"""Which items (log templates, child calls) came and went *within the same operation*: a G-test of presence per span.

Counting per span of an operation, not per minute, takes out every change that is merely less or more traffic: what is lost
because nobody called is not lost here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log


@dataclass(frozen=True, slots=True)
class Shift:
    """An item whose share among the spans of `group` changed from `before` to `after`; `g` is the G statistic (chi2, 1 df)."""

    group: tuple[str, str]
    item: str
    before: float
    after: float
    g: float


def presence_shifts(
    totals: dict[tuple[str, str], tuple[int, int]], seen: dict[tuple[tuple[str, str], str], tuple[int, int]]
) -> list[Shift]:
    """totals: group -> spans (baseline, incident); seen: (group, item) -> spans that hold it (baseline, incident).

    Groups without spans on either side say nothing: an operation that nobody called has lost nothing.
    """
    shifts = []
    for (group, item), (before, after) in sorted(seen.items()):
        n_before, n_after = totals.get(group, (0, 0))
        if n_before and n_after:
            g = g_statistic(before, n_before, after, n_after)
            shifts.append(Shift(group, item, before / n_before, after / n_after, g))
    return shifts


def g_statistic(k1: int, n1: int, k2: int, n2: int) -> float:
    """Likelihood-ratio statistic of two proportions k1/n1 and k2/n2, asymptotically chi-squared with one degree of freedom."""
    pooled = (k1 + k2) / (n1 + n2)
    cells = ((k1, n1 * pooled), (n1 - k1, n1 * (1 - pooled)), (k2, n2 * pooled), (n2 - k2, n2 * (1 - pooled)))
    return max(0.0, 2.0 * sum(k * log(k / expected) for k, expected in cells if k > 0 and expected > 0))


def count_pairs(
    pairs: Iterable[tuple[tuple[str, str], str, bool]],
) -> dict[tuple[tuple[str, str], str], tuple[int, int]]:
    """(group, item, incident) of distinct (span, item) pairs -> counts (baseline, incident)."""
    counts: dict[tuple[tuple[str, str], str], list[int]] = {}
    for group, item, incident in pairs:
        counts.setdefault((group, item), [0, 0])[incident] += 1
    return {key: (before, after) for key, (before, after) in counts.items()}

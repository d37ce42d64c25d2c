"""Which items (log templates, child calls) came and went *within the same operation*: a G-test of presence per request.

Counting per span of an operation, not per minute, takes out every change that is merely less or more traffic: what is lost
because nobody called is not lost here. The spans of one trace go the same way for the same reason: three traces that ask an
operation four times each are three witnesses, not twelve. So each of a trace's n spans of an operation counts 1 / n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, log
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
Counts = tuple[float, float]  # witnesses (baseline, incident)


@dataclass(frozen=True, slots=True)
class Shift:
    """An item whose share among the spans of `group` changed from `before` to `after`; `g` is the G statistic (chi2, 1 df)."""

    group: tuple[str, str]
    item: str
    before: float
    after: float
    g: float


def presence_shifts(
    totals: Mapping[tuple[str, str], Counts], seen: Mapping[tuple[tuple[str, str], str], Counts]
) -> list[Shift]:
    """totals: group -> witnesses (baseline, incident); seen: (group, item) -> what of them holds it (baseline, incident).

    Groups without spans on either side say nothing: an operation that nobody called has lost nothing.
    """
    shifts = []
    for (group, item), (before, after) in sorted(seen.items()):
        n_before, n_after = totals.get(group, (0.0, 0.0))
        if n_before and n_after:
            g = g_statistic(before, n_before, after, n_after)
            shifts.append(Shift(group, item, before / n_before, after / n_after, g))
    return shifts


def g_statistic(k1: float, n1: float, k2: float, n2: float) -> float:
    """Likelihood-ratio statistic of two proportions k1/n1 and k2/n2, asymptotically chi-squared with one degree of freedom."""
    pooled = (k1 + k2) / (n1 + n2)
    cells = ((k1, n1 * pooled), (n1 - k1, n1 * (1 - pooled)), (k2, n2 * pooled), (n2 - k2, n2 * (1 - pooled)))
    return max(0.0, 2.0 * sum(k * log(k / expected) for k, expected in cells if k > 0 and expected > 0))


def witness_parts(asked: Sequence[Hashable]) -> list[float]:
    """Each span's part of a witness: 1 / how many spans share its (operation, trace, side)."""
    times = Counter(asked)
    return [1.0 / times[one] for one in asked]


def weigh_up(weighed: Iterable[tuple[K, bool, float]]) -> dict[K, Counts]:
    """(key, incident, weight) of each span -> sums of weights (baseline, incident), the same in any order of the spans."""
    sides: dict[K, tuple[list[float], list[float]]] = {}
    for key, incident, weight in weighed:
        sides.setdefault(key, ([], []))[incident].append(weight)
    return {key: (fsum(before), fsum(after)) for key, (before, after) in sides.items()}

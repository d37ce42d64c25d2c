"""Whether what a runbook wants to be true is true now. What can't be seen is not true."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from aiops.domain import Check, Samples, TimeRange
from aiops.errors import AiopsError
from aiops.ports import MetricsSource

GRID = timedelta(seconds=1)  # an instant query, asked through a source of ranges
SHOWN = 5  # values that are told
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def failing(check: Check, metrics: MetricsSource, now: datetime, timeout: float) -> str:
    """Why the check doesn't hold at `now`; "" where it does: the query gives a value, and each of them is as it must be."""
    start = now.replace(microsecond=0)
    try:
        values = _latest(metrics.samples(check.query, TimeRange(start, start + GRID), timeout, GRID))
    except AiopsError as error:
        return f"{check.query} can't be asked: {error}"
    if not values:
        return f"{check.query} gives no value"
    sign, _, bound = check.holds.partition(" ")
    wrong = [value for value in values if math.isnan(value) or not _COMPARE[sign](value, float(bound))]
    return f"{check.query} is {', '.join(f'{one:g}' for one in wrong[:SHOWN])}, not {check.holds}" if wrong else ""


def _latest(samples: Samples) -> list[float]:
    """The last value of each series that has any."""
    ends = samples.starts[1:][samples.starts[1:] > samples.starts[:-1]]
    return [float(value) for value in samples.values[ends - 1]]

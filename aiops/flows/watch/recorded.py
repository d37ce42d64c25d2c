"""A recording under watch: the whole of it at once. It is over, so that no state is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from aiops.domain import NS, TimeRange
from aiops.flows.watch import Plan, Watch
from aiops.ports import MetricsSource


def evaluated(source: MetricsSource, plan: Plan, window: TimeRange) -> Watch:
    """A watch that has evaluated all that was recorded in `window`; failures are counted and told, as of any tick."""
    whole = math.ceil(window.duration.total_seconds()) + 2 * plan.step_s
    plan = replace(plan, catch_up_s=whole, expire_s=max(plan.expire_s, whole))
    last = math.ceil(window.end.timestamp() / plan.step_s) * plan.step_s
    now = last + plan.tolerance_ns / NS  # when the last step can be evaluated
    watch = Watch(source, plan, None, now)
    watch.tick(now)
    return watch


def interval_s(source: MetricsSource, plan: Plan, window: TimeRange) -> int:
    """Seconds, at least 1, between two samples of most of the series; the plan's step where there are none. Raises SourceError."""
    found = [source.samples(query, window, plan.timeout_s) for query in plan.queries]
    steps = [
        np.median(np.diff(samples.times[first:last]))
        for samples in found
        for first, last in zip(samples.starts[:-1], samples.starts[1:], strict=True)
        if last - first > 1
    ]
    return max(1, round(float(np.median(steps)) / NS)) if steps else plan.step_s

"""How one metric of one node went: its series put together, as people mean it when they name the metric alone. Pure.

What counts things (requests, bytes, connections) is added up; of shares and temperatures the mean is taken, of a latency the
highest, of an availability the lowest. The buckets of a histogram become its quantiles.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from aiops.domain import BoolArray, FloatArray, IntArray, Panel, Task
from aiops.kernels.histogram import quantile
from aiops.kernels.kinds import Kind, kind_of

QUANTILES = (0.99, 0.95, 0.5)
_SHARE = re.compile(
    r"(?i)ratio|percent|pct|usage_?rate|(?:hit|miss|error|success|failure)_?rate|util|saturation|temp|avg|average|mean|load"
)
_COUNTS = re.compile(
    r"(?i)qps|rps|tps|throughput|request|bytes|connection|lag|depth|length|size|count|total|error|restart|replicas|goroutines"
    r"|threads|sessions|queue|backlog|workload|calls|hits|ops(?:_|$)|(?:^|_)(?:mi|ki|gi)b?$"
)


@dataclass(frozen=True, slots=True)
class Course:
    """One metric of one node. `asked`: the metric's own name; `metric`: what these values are (`rate(...)`, `p99(...)`).

    values: (T,) at the panel's times. series: how many were put together, and `how`. A quantile knows the rates of its `buckets`
    (B, T) below `bounds` (B,), so that its level over a time is the quantile of all that was counted in it.
    """

    node: str
    asked: str
    metric: str
    values: FloatArray
    series: int
    how: str = ""
    buckets: FloatArray | None = None
    bounds: FloatArray | None = None
    q: float = 0.0

    @property
    def counter(self) -> bool:
        return self.metric.startswith("rate(")

    def level(self, rows: BoolArray) -> float | None:
        """What it was over these rows (T,): the mean, of a quantile that of all their observations; None without a sample."""
        if self.buckets is not None and self.bounds is not None:
            seen = np.nansum(self.buckets[:, rows], axis=1, keepdims=True)
            value = float(quantile(self.bounds, seen, self.q)[0])
            return value if np.isfinite(value) else None
        seen = self.values[rows]
        seen = seen[np.isfinite(seen)]
        return float(seen.mean()) if len(seen) else None


def courses(panel: Panel, nodes: Collection[str] = (), metrics: Collection[str] = ()) -> tuple[Course, ...]:
    """Of these nodes and metrics, in their order; () = of all there are, by the panel's order. What has no series is left out.

    Virtual nodes count only where they are named. O(S T)."""
    rows: dict[tuple[str, str], list[int]] = {}
    wanted_nodes, wanted = set(nodes), set(metrics)
    for row, (node, name) in enumerate(zip(panel.nodes, panel.metrics, strict=True)):
        mine = node in wanted_nodes if nodes else bool(node) and not node.startswith("_")
        if mine and (not metrics or bare(name) in wanted):
            rows.setdefault((node, bare(name)), []).append(row)
    found = {key: tuple(_together(panel, *key, mine)) for key, mine in rows.items()}
    place = {name: at for at, name in enumerate([*dict.fromkeys(nodes)])}
    order = {name: at for at, name in enumerate([*dict.fromkeys(metrics)])}
    keys = sorted(found, key=lambda key: (order.get(key[1], 0), place.get(key[0], 0)))  # stable: else the panel's order
    return tuple(course for key in keys for course in found[key])


def asked_rows(panel: Panel, task: Task) -> BoolArray:
    """The rows that are asked about, none where nothing was read of the time that was said; where none was said and nothing
    is later than the moment of asking, the last quarter of what was read."""
    if panel.incident.any() or task.inputs.window is not None:
        return panel.incident
    rows: BoolArray = np.arange(len(panel.times)) >= len(panel.times) * 3 // 4
    return rows


def bare(name: str) -> str:
    """The metric's own name, where a panel tells its rate."""
    return name.removeprefix("rate(").removesuffix(")") if name.startswith("rate(") else name


def steps_s(times: IntArray) -> FloatArray:
    """(T,) seconds since the sample before; the usual step for the first, and after a pause."""
    if len(times) < 2:
        return np.zeros(len(times))
    step = np.diff(times, prepend=times[:1]) / 1e9
    usual = float(np.median(step[1:]))
    return np.asarray(np.where((step <= 0) | (step > 5 * usual), usual, step))


def _together(panel: Panel, node: str, asked: str, rows: list[int]) -> Iterator[Course]:
    name, values = panel.metrics[rows[0]], panel.values[rows]
    same = [
        panel.metrics[row] == name for row in rows
    ]  # a gauge beside the rate of a counter of that name is another thing
    values = values[same]
    bounds = _bounds(panel, [row for row, mine in zip(rows, same, strict=True) if mine])
    if name.startswith("rate(") and asked.endswith("_bucket") and bounds is not None:
        yield from _quantiles(node, asked, values, bounds)
    elif len(values) == 1:
        yield Course(node, asked, name, values[0], 1)
    else:
        how = _how(name)
        yield Course(node, asked, name, _combined(values, how), len(values), how)


def _bounds(panel: Panel, rows: list[int]) -> FloatArray | None:
    """(B,) upper bounds of the buckets, one per row; None where they are no buckets."""
    told = [panel.labels[row].get("le", "") for row in rows]
    try:
        return np.array([float(one) for one in told])
    except ValueError:
        return None


def _quantiles(node: str, asked: str, rates: FloatArray, bounds: FloatArray) -> Iterator[Course]:
    """Buckets of several instances with one bound are added up, as `sum by (le)` does."""
    each = np.unique(bounds)
    buckets = np.array([_combined(rates[bounds == one], "sum") for one in each])
    base = asked.removesuffix("_bucket")
    series = len(rates) // len(each)
    for q in QUANTILES:
        name, values = f"p{round(100 * q)}({base})", quantile(each, buckets, q)
        yield Course(node, asked, name, values, series, "all" if series > 1 else "", buckets, each, q)


def _how(metric: str) -> str:
    kind = kind_of(bare(metric))
    if metric.startswith("rate("):
        return "sum"
    if kind in (Kind.LATENCY, Kind.CLIENT_LATENCY):
        return "highest"
    if kind is Kind.AVAILABILITY:
        return "lowest"
    if _SHARE.search(metric):
        return "mean"
    return "sum" if _COUNTS.search(metric) else "mean"


def _combined(values: FloatArray, how: str) -> FloatArray:
    """(S, T) -> (T,), NaN where no series has a sample."""
    seen = np.isfinite(values)
    none = ~seen.any(axis=0)
    if how == "highest":
        out = np.where(seen, values, -np.inf).max(axis=0)
    elif how == "lowest":
        out = np.where(seen, values, np.inf).min(axis=0)
    else:
        out = np.where(seen, values, 0.0).sum(axis=0)
        if how == "mean":
            out = out / np.maximum(seen.sum(axis=0), 1)
    return np.asarray(np.where(none, np.nan, out))

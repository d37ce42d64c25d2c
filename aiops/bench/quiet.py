"""Fault-free windows made from the baselines of recorded incidents, to see how often nothing is found where nothing is.

Two kinds. `cut`: a contiguous window of the baseline stands for the incident and the rest for its past, where the baseline is long
enough. `bootstrap`: window and past are both drawn in blocks (H. R. Kuensch, The jackknife and the bootstrap for general
stationary observations, Annals of Statistics 17, 1989), no block in both. Traces of the baseline are dealt out whole, half to each side.
The symptom is the recording's own, as if an alert had fired. What a recording says of faults earlier in its baseline is left
out with `SPOILED` around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from aiops.domain import NS, IntArray, Logs, Observation, Panel, Recording, Scope, Spans, TimeRange, from_ns, to_ns
from aiops.stages.detect.window import incident_window, step_of

WINDOWS = 10  # of each kind and recording
BLOCK = 20  # samples of a block at most; the window's length where that is shorter
LONG = 20  # windows that a baseline must hold to be cut
PAST = 4  # windows of past at least, where the incident itself is longer than that
SHORTEST = 5  # samples of such a window
LEAST = 4  # blocks without which there is no past to draw
SPOILED = (-120 * NS, 420 * NS)  # around an earlier fault
HOUR = 3600 * NS


@dataclass(frozen=True, slots=True)
class Window:
    kind: str
    observation: Observation
    scope: Scope


def windows(name: str, case: Mapping[str, Any], recording: Recording) -> Iterator[Window]:
    """Windows of one recording; `name` seeds them. `case` is its case.json, read for the times of known faults only."""
    observation, scope = recording.observation, recording.scope
    seen = incident_window(observation, scope)
    panel = seen.panel
    clean = _clean(panel.times, _faults(case)) & ~panel.incident & ~observation.panel.incident
    rows = np.flatnonzero(clean)
    length = min(int(panel.incident.sum()), max(len(rows) // PAST, SHORTEST))
    lead = int((panel.times[panel.incident] < to_ns(scope.at)).sum())
    if length == 0 or length > len(rows):
        return
    block = min(length, BLOCK)
    blocks = [r for r in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(r) >= block]
    starts = np.concatenate([r[: len(r) - block + 1] for r in blocks]) if blocks else rows[:0]
    for number in range(WINDOWS):
        rng = np.random.default_rng(int.from_bytes(sha256(f"{name} {number}".encode()).digest()[:8], "big"))
        if len(rows) >= LONG * length:
            begin = int(rng.integers(0, len(rows) - length + 1))
            now = rows[begin : begin + length]
            yield _window("cut", seen, scope, np.setdiff1d(rows, now), now, lead, rng, case)
        drawn = _drawn(starts, block, length, len(rows), rng)
        if drawn is not None:
            yield _window("bootstrap", seen, scope, *drawn, lead, rng, case)


def _faults(case: Mapping[str, Any]) -> list[int]:
    times = [*case.get("earlier_faults_in_baseline", ()), case.get("inject_time")]
    return [int(t) * NS for t in times if t]


def _clean(times: IntArray, faults: list[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    clean = np.ones(len(times), bool)
    for fault in faults:
        clean &= ~((times >= fault + SPOILED[0]) & (times <= fault + SPOILED[1]))
    return clean


def _drawn(
    starts: IntArray, block: int, length: int, past: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray] | None:
    """(past rows, window rows) of blocks that begin at any of `starts`; None where too few are left for a past."""
    if not len(starts):
        return None
    mine = rng.choice(starts, size=-(-length // block))
    apart = starts[np.abs(starts[:, None] - mine[None, :]).min(axis=1) >= block]
    if len(apart) < LEAST:
        return None
    theirs = rng.choice(apart, size=max(LEAST, -(-past // block)))
    offsets = np.arange(block)
    return (theirs[:, None] + offsets).ravel(), (mine[:, None] + offsets).ravel()[:length]


def _window(
    kind: str,
    seen: Observation,
    scope: Scope,
    past: IntArray,
    now: IntArray,
    lead: int,
    rng: np.random.Generator,
    case: Mapping[str, Any],
) -> Window:
    """The rows laid out on one clock without a break, the window last."""
    panel, step = seen.panel, step_of(seen.panel.times)
    begin = int(panel.times.max())
    times = begin + step * np.arange(-len(past), len(now), dtype=np.int64)
    incident = np.arange(len(times)) >= len(past)
    values = np.concatenate([panel.values[:, past], panel.values[:, now]], axis=1)
    end = begin + step * len(now)
    spans, logs = _dealt(seen, _faults(case), begin, end, rng)
    at = from_ns(begin + step * lead)
    observation = Observation(Panel(panel.labels, times, values, panel.nodes, incident), logs, spans, (), seen.calls)
    inside = TimeRange(from_ns(begin), from_ns(end))
    return Window(kind, observation, dataclasses.replace(scope, at=at, incident=inside))


def _dealt(seen: Observation, faults: list[int], begin: int, end: int, rng: np.random.Generator) -> tuple[Spans, Logs]:
    """The baseline's traces, half moved into the window and half into the hour before it."""
    spans, logs = seen.spans, seen.logs
    first: dict[str, int] = {}
    for at, trace in zip(spans.times.tolist(), spans.trace_ids, strict=True):
        first[trace] = min(first.get(trace, at), at)
    known = sorted(set(spans.trace_ids[~spans.incident]))
    fit = _clean(np.array([first[t] for t in known], dtype=np.int64), faults)
    move: dict[str, tuple[bool, int]] = {}
    for trace, good in zip(known, fit, strict=True):
        late, part = bool(rng.random() < 0.5), float(rng.random())
        at = begin + int(part * (end - begin)) if late else begin - 2 * HOUR + int(part * HOUR)
        if good:
            move[trace] = late, at - first[trace]
    return _moved(spans, move), _moved(logs, move)


def _moved(rows: Any, move: Mapping[str, tuple[bool, int]]) -> Any:
    """Spans or logs of the traces in `move`, each by its own shift."""
    keep = np.array([t in move for t in rows.trace_ids], dtype=bool) & ~rows.incident
    columns = {f.name: getattr(rows, f.name)[keep] for f in dataclasses.fields(rows) if f.name != "gaps"}
    shifts = [move[t] for t in columns["trace_ids"]]
    columns["times"] = columns["times"] + np.array([by for _, by in shifts], dtype=np.int64)
    columns["incident"] = np.array([late for late, _ in shifts], dtype=bool)
    return dataclasses.replace(rows, **columns)

"""Fault-free windows made from the baselines of recorded incidents, to see how often nothing is found where nothing is.

Three kinds. `cut`: a contiguous window of the baseline stands for the incident and the rest for its past, where the baseline is
long enough. `between`: where a recording knows of faults in its baseline, the quiet samples between two of them stand for the
incident and all that was recorded before, faults and all, for its past. `bootstrap`: window and past are both drawn in blocks
(H. R. Kuensch, The jackknife and the bootstrap for general stationary observations, Annals of Statistics 17, 1989), no sample in
both. That asks for a stationary baseline; a fault that restarts what it hits leaves memory at another level and breaks that.

Traces of the baseline are dealt out whole with their logs, half to each side. The symptom is the recording's own, as if an alert
had fired. A known fault takes a sample before it and as long as the recording's own incident lasts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from aiops.domain import (
    NS,
    BoolArray,
    IntArray,
    Logs,
    Observation,
    Panel,
    Recording,
    Scope,
    Spans,
    TimeRange,
    from_ns,
    to_ns,
)
from aiops.stages.detect.window import incident_window, step_of

WINDOWS = 10  # of each kind and recording
BLOCK = 20  # samples of a block at most; the window's length where that is shorter
LONG = 20  # windows that a baseline must hold to be cut
PAST = 4  # windows of past at least, where the incident itself is longer than that
SHORTEST = 5  # samples of such a window
BRIEFEST = 3  # samples of a window between two faults
LEAST = 4  # blocks without which there is no past to draw
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
    faults = _faults(case)
    spoiled = _spoiled(panel, step_of(panel.times))
    clean = _clean(panel.times, faults, spoiled) & ~panel.incident & ~observation.panel.incident
    rows = np.flatnonzero(clean)
    length = min(int(panel.incident.sum()), max(len(rows) // PAST, SHORTEST))
    lead = int((panel.times[panel.incident] < to_ns(scope.at)).sum())
    if length == 0 or length > len(rows):
        return
    block = min(length, BLOCK)
    stretches = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    blocks = [r for r in stretches if len(r) >= block]
    starts = np.concatenate([r[: len(r) - block + 1] for r in blocks]) if blocks else rows[:0]
    traces = _quiet_traces(seen, faults, spoiled)
    for number, now in enumerate(_between(stretches, length)):
        yield _window("between", seen, scope, np.arange(now[0]), now, lead, traces, _seeded(f"{name} between {number}"))
    for number in range(WINDOWS):
        rng = _seeded(f"{name} {number}")
        if len(rows) >= LONG * length:
            begin = int(rng.integers(0, len(rows) - length + 1))
            now = rows[begin : begin + length]
            yield _window("cut", seen, scope, np.setdiff1d(rows, now), now, lead, traces, rng)
        drawn = _drawn(starts, block, length, len(rows), rng)
        if drawn is not None:
            yield _window("bootstrap", seen, scope, *drawn, lead, traces, rng)


def _seeded(words: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(sha256(words.encode()).digest()[:8], "big"))


def _between(stretches: list[IntArray], length: int) -> Iterator[IntArray]:
    """Rows of windows of at most `length` that lie between known faults and have a past of `PAST` times their length."""
    for stretch in stretches if len(stretches) > 1 else ():
        for begin in range(0, len(stretch), length):
            now = stretch[begin : begin + length]
            if len(now) >= BRIEFEST and now[0] >= PAST * length:
                yield now


def _faults(case: Mapping[str, Any]) -> list[int]:
    times = [*case.get("earlier_faults_in_baseline", ()), case.get("inject_time")]
    return [int(t) * NS for t in times if t]


def _spoiled(panel: Panel, step: int) -> tuple[int, int]:
    """From a fault on, how long (ns) its traces may last: a sample before it, and as long as the recording's own incident."""
    return -step, step * int(panel.incident.sum())


def _clean(times: IntArray, faults: list[int], spoiled: tuple[int, int]) -> BoolArray:
    clean = np.ones(len(times), bool)
    for fault in faults:
        clean &= ~((times >= fault + spoiled[0]) & (times <= fault + spoiled[1]))
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
    traces: Mapping[str, int],
    rng: np.random.Generator,
) -> Window:
    """The rows laid out on one clock without a break, the window last."""
    panel, step = seen.panel, step_of(seen.panel.times)
    begin = int(panel.times.max())
    times = begin + step * np.arange(-len(past), len(now), dtype=np.int64)
    incident = np.arange(len(times)) >= len(past)
    values = np.concatenate([panel.values[:, past], panel.values[:, now]], axis=1)
    end = begin + step * len(now)
    spans, logs = _dealt(seen, traces, begin, end, rng)
    at = from_ns(begin + step * lead)
    observation = Observation(Panel(panel.labels, times, values, panel.nodes, incident), logs, spans, (), seen.calls)
    inside = TimeRange(from_ns(begin), from_ns(end))
    return Window(kind, observation, dataclasses.replace(scope, at=at, incident=inside))


def _quiet_traces(seen: Observation, faults: list[int], spoiled: tuple[int, int]) -> dict[str, int]:
    """Trace id -> its first moment, of the baseline's traces away from known faults."""
    spans = seen.spans
    first: dict[str, int] = {}
    for at, trace in zip(spans.times.tolist(), spans.trace_ids, strict=True):
        first[trace] = min(first.get(trace, at), at)
    known = sorted(set(spans.trace_ids[~spans.incident]))
    fit = _clean(np.array([first[t] for t in known], dtype=np.int64), faults, spoiled)
    return {trace: first[trace] for trace, good in zip(known, fit, strict=True) if good}


def _dealt(
    seen: Observation, traces: Mapping[str, int], begin: int, end: int, rng: np.random.Generator
) -> tuple[Spans, Logs]:
    """The quiet traces, half moved into the window and half into the hour before it."""
    move: dict[str, tuple[bool, int]] = {}
    for trace, first in traces.items():
        late, part = bool(rng.random() < 0.5), float(rng.random())
        at = begin + int(part * (end - begin)) if late else begin - 2 * HOUR + int(part * HOUR)
        move[trace] = late, at - first
    return _moved(seen.spans, move), _moved(seen.logs, move)


def _moved(rows: Any, move: Mapping[str, tuple[bool, int]]) -> Any:
    """Spans or logs of the traces in `move`, each by its own shift."""
    keep = np.array([t in move for t in rows.trace_ids], dtype=bool) & ~rows.incident
    columns = {f.name: getattr(rows, f.name)[keep] for f in dataclasses.fields(rows) if f.name != "gaps"}
    shifts = [move[t] for t in columns["trace_ids"]]
    columns["times"] = columns["times"] + np.array([by for _, by in shifts], dtype=np.int64)
    columns["incident"] = np.array([late for late, _ in shifts], dtype=bool)
    return dataclasses.replace(rows, **columns)

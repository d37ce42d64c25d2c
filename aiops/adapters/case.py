"""`case:PATH`: a recorded incident (folder or zip) as metrics, log and trace source."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aiops import recording
from aiops.domain import (
    NS,
    BoolArray,
    Call,
    FloatArray,
    IntArray,
    Labels,
    Logs,
    Panel,
    Samples,
    Scope,
    Spans,
    Symptom,
    TimeRange,
    from_ns,
    to_ns,
)
from aiops.errors import DataError, SourceGarbled, SourceRefused
from aiops.kernels.wire.labels import encode
from aiops.recording import Files
from aiops.schema import selector

LOOKBACK = 300 * NS  # Prometheus' default: how long a series keeps its last value

T = TypeVar("T")
R = TypeVar("R", Logs, Spans)


class CaseMetrics:
    """Metrics of a recorded incident. Raises DataError when `path` is no incident at all."""

    def __init__(self, path: Path) -> None:
        self._files = recording.open_files(path)
        self._symptom = recording.symptom_of(recording.read_case(self._files), str(path))
        self._cached: tuple[Panel, bool] | None = None

    def _panel(self) -> tuple[Panel, bool]:
        if self._cached is None:
            self._cached = _garbled("metrics", self._files, lambda: recording.read_metrics(self._files))
        return self._cached

    def read(self, scope: Scope, timeout: float) -> Panel:  # noqa: ARG002 - a file has no time to run out
        panel, contiguous = self._panel()
        after = panel.times >= to_ns(scope.incident.end)
        if contiguous:
            incident = panel.times >= to_ns(scope.at)
            keep = (panel.times >= to_ns(scope.baseline.start)) & ~after
        else:
            # The baseline is of another month: only the recorder knows which rows it meant.
            incident, keep = panel.incident, ~(panel.incident & after)
        times, flags = panel.times[keep], incident[keep]
        return Panel(panel.labels, times, np.ascontiguousarray(panel.values[:, keep]), panel.nodes, flags)

    def samples(
        self,
        query: str,
        window: TimeRange,
        timeout: float,  # noqa: ARG002 - as above
        step: timedelta | None = None,
    ) -> Samples:
        """A gap of the recording is no sample. On a grid a series keeps its last value for `LOOKBACK`."""
        chosen = self._chooser(query)
        panel, _ = self._panel()
        order = np.argsort(panel.times, kind="stable")
        times, values = panel.times[order], panel.values[:, order]
        rows = [k for k, labels in enumerate(panel.labels) if chosen(labels)]
        found = []
        for k in rows:
            seen = ~np.isnan(values[k])
            at, row = times[seen], values[k][seen]
            found.append(_stepped(at, row, window, step) if step else (at[m := window.mask(at)], row[m]))
        return _columns([(panel.labels[k], *one) for k, one in zip(rows, found, strict=True) if len(one[0])])

    def _chooser(self, query: str) -> Callable[[Labels], bool]:
        matchers = selector.parse(query)
        if matchers is None:
            raise self._refusal(query, 'it answers plain selectors only, as in name{label="value"}, no expressions')
        try:
            return selector.chooser(matchers)
        except ValueError as error:
            raise self._refusal(query, str(error)) from error

    def _refusal(self, query: str, why: str) -> SourceRefused:
        return SourceRefused(query, f"the recorded incident {self._files.name}", why)

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:  # noqa: ARG002 - as above
        labels = self._panel()[0].labels
        return tuple(one for one in labels if not metrics or re.fullmatch(metrics, one.get("__name__", "")))

    def label_values(
        self,
        label: str,
        query: str,
        window: TimeRange,  # noqa: ARG002 - of what it has, whenever that was
        timeout: float,  # noqa: ARG002 - as above
    ) -> tuple[str, ...]:
        chosen = self._chooser(query)
        return tuple(sorted({one[label] for one in self._panel()[0].labels if one.get(label) and chosen(one)}))

    def window(self) -> TimeRange:
        panel, contiguous = self._panel()
        times = panel.times if contiguous else panel.times[panel.incident]
        if not len(times):
            at = self._symptom.at
            assert at is not None
            return TimeRange(at, at + timedelta(microseconds=1))
        at_ns = to_ns(self._symptom.at) if self._symptom.at else int(times[-1])
        return TimeRange(from_ns(min(int(times[0]), at_ns)), from_ns(max(int(times[-1]), at_ns) + NS))

    def symptom(self) -> Symptom:
        return self._symptom

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - as above
        panel, _ = self._panel()
        return f"recorded incident {self._files.name}: {len(panel.labels)} series, {len(panel.times)} samples each"


class CaseLogs:
    """Logs of a recorded incident."""

    def __init__(self, path: Path) -> None:
        self._files = recording.open_files(path)

    def read(self, scope: Scope, timeout: float) -> Logs:  # noqa: ARG002 - as above
        logs = _garbled("logs", self._files, lambda: recording.read_logs(self._files))
        if logs is None:
            raise SourceGarbled("logs", self._files.name, "none were recorded")
        incident, keep = _split(logs.times, logs.incident, scope)
        return _kept(logs, keep, incident)

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - as above
        return f"recorded incident {self._files.name}"


class CaseTraces:
    """Traces and topology of a recorded incident."""

    def __init__(self, path: Path) -> None:
        self._files = recording.open_files(path)

    def read(self, scope: Scope, timeout: float) -> Spans:  # noqa: ARG002 - as above
        spans = _garbled("traces", self._files, lambda: recording.read_spans(self._files))
        if spans is None:
            raise SourceGarbled("traces", self._files.name, "none were recorded")
        incident, keep = _split(spans.times, spans.incident, scope)
        return _kept(spans, keep, incident)

    def calls(self, timeout: float) -> tuple[Call, ...]:  # noqa: ARG002 - as above
        return _garbled("stated dependencies", self._files, lambda: recording.read_calls(self._files))

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - as above
        return f"recorded incident {self._files.name}"


def _stepped(times: IntArray, values: FloatArray, window: TimeRange, step: timedelta) -> tuple[IntArray, FloatArray]:
    """The last value within `LOOKBACK` at each multiple of the step, where there is one."""
    every = step // timedelta(microseconds=1) * 1000
    grid = np.arange(-(-to_ns(window.start) // every), -(-to_ns(window.end) // every), dtype=np.int64) * every
    last = np.searchsorted(times, grid, side="right") - 1
    seen = (last >= 0) & (grid - times[np.maximum(last, 0)] < LOOKBACK) if len(times) else np.zeros(len(grid), bool)
    return grid[seen], values[last[seen]]


def _columns(found: Sequence[tuple[Labels, IntArray, FloatArray]]) -> Samples:
    starts = np.cumsum([0, *(len(times) for _, times, _ in found)], dtype=np.int64)
    times = np.concatenate([np.empty(0, np.int64), *(times for _, times, _ in found)])
    values = np.concatenate([np.empty(0), *(values for _, _, values in found)])
    labels = tuple(labels for labels, _, _ in found)
    return Samples(labels, tuple(map(encode, labels)), starts, times, values)


def _split(times: IntArray, phase: BoolArray, scope: Scope) -> tuple[BoolArray, BoolArray]:
    """(incident, keep). Rows are told apart by the detection time; by the recorder's phase where times don't run on."""
    at, end = to_ns(scope.at), to_ns(scope.incident.end)
    mixed = bool(phase.any() and (~phase).any() and times[~phase].max() > times[phase].min())
    # A baseline of another time stands whole; only what belongs to the incident ends with it.
    return (phase, ~phase | (times < end)) if mixed else (times >= at, times < end)


def _kept(rows: R, keep: BoolArray, incident: BoolArray) -> R:
    """The rows of `keep`, told apart by `incident`."""
    columns = {f.name: getattr(rows, f.name) for f in dataclasses.fields(rows)} | {"incident": incident}
    kept: dict[str, Any] = {name: c[keep] if isinstance(c, np.ndarray) else c for name, c in columns.items()}
    return type(rows)(**kept)


def _garbled(what: str, files: Files, read: Callable[[], T]) -> T:
    """A file that can't be read is a source that answers garbage: a gap, not the end of the diagnosis."""
    try:
        return read()
    except DataError as error:
        raise SourceGarbled(what, files.name, str(error).removeprefix(f"{files.name}: ")) from error

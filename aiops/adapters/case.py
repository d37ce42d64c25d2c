"""`case:PATH`: a recorded incident (folder or zip) as metrics, log and trace source."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aiops import recording
from aiops.domain import (
    NS,
    BoolArray,
    Call,
    IntArray,
    Labels,
    Logs,
    Panel,
    Scope,
    Spans,
    Symptom,
    TimeRange,
    from_ns,
    to_ns,
)
from aiops.errors import DataError, SourceGarbled
from aiops.recording import Files

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

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:  # noqa: ARG002 - as above
        labels = self._panel()[0].labels
        return tuple(one for one in labels if not metrics or re.fullmatch(metrics, one.get("__name__", "")))

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

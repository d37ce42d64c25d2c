"""The recorded incident (`rca-cases/1`): a folder or a zip of parquet columns, read by the `case:` adapter and written
for every diagnosis, so that `replay` needs no source.

    case.json        times, SLO; in a recording of ours also the task, scope, alerts, changes, gaps and hashes (`aiops`)
    metrics.parquet  time (unix s)[, time_ns], phase (baseline|incident), then one column a series: `service__metric`
    topology.json    edges caller -> callee
    logs.parquet     time_ns, service, trace_id, span_id, message, phase
    traces.parquet   time_ns, trace_id, span_id, parent_id, service, operation, duration_us, phase[, error]

Reading is per file: a corrupt `logs.parquet` costs the logs, not the incident. Every failure is a DataError that names the file.
Packing is deterministic: the same recording gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aiops.domain import (
    NS,
    BoolArray,
    Call,
    IntArray,
    Labels,
    Logs,
    ObjectArray,
    Observation,
    Panel,
    Recording,
    Spans,
    Symptom,
    from_ns,
    series_key,
    to_ns,
)
from aiops.errors import DataError
from aiops.schema import wire

_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_FILES = ("case.json", "metrics.parquet", "topology.json", "logs.parquet", "traces.parquet")


class Files(Protocol):
    """Named blobs of one incident."""

    name: str

    def get(self, file: str) -> bytes | None: ...


class Folder:
    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def get(self, file: str) -> bytes | None:
        try:
            return (self.path / file).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{self.path / file}: {error.strerror}") from error


class Zip:
    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except zipfile.BadZipFile as error:
            raise DataError(f"{name}: not a recording ({error})") from error

    def get(self, file: str) -> bytes | None:
        try:
            return self._zip.read(file)
        except KeyError:
            return None
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(f"{self.name}: {file}: {error}") from error


def open_files(path: Path) -> Files:
    """A recorded incident on disk, folder or zip. DataError when there is none."""
    if path.is_dir():
        return Folder(path)
    try:
        return Zip(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


# ---------------------------------------------------------------- reading, file by file


def read_case(files: Files) -> dict[str, Any]:
    """`case.json` as a dict; only `detection_time`, `slo`, `granularity_s` and `aiops` are ever looked at."""
    data = files.get("case.json")
    if data is None:
        raise DataError(f"{files.name}: no case.json, so this is no recorded incident")
    try:
        case = json.loads(data)
    except ValueError as error:
        raise DataError(f"{files.name}: case.json is not JSON: {error}") from error
    if not isinstance(case, dict):
        raise DataError(f"{files.name}: case.json holds {type(case).__name__}, not an object")
    return case


def symptom_of(case: dict[str, Any], name: str) -> Symptom:
    """What the case says was noticed: the SLO that broke (if any) and when."""
    when, slo = case.get("detection_time"), case.get("slo") or {}
    if not isinstance(when, int | float) or not isinstance(slo, dict):
        raise DataError(f"{name}: case.json needs detection_time (unix seconds) and slo (object or null)")
    try:
        at = from_ns(int(when * NS))
    except (OverflowError, ValueError) as error:
        raise DataError(f"{name}: case.json: detection_time {when} is no time") from error
    return Symptom(slo.get("service"), slo.get("metric"), at)


def read_metrics(files: Files) -> tuple[Panel, bool]:
    """The panel, and whether its time runs on from baseline to incident (else only `phase` can tell them apart)."""
    table = _table(files, "metrics.parquet")
    if table is None:
        raise DataError(f"{files.name}: no metrics.parquet")
    names = [n for n in table.column_names if n not in ("time", "time_ns", "phase")]
    exact = "time_ns" in table.column_names
    times = _whole(_column(files, table, "metrics.parquet", "time_ns" if exact else "time"), 1 if exact else NS)
    incident = _phase(table)
    order = np.lexsort((times, incident))
    labels = [_labels(table.schema.field(n)) for n in names]
    rank = sorted(range(len(names)), key=lambda i: series_key(labels[i]))
    values = np.empty((len(names), len(times)))
    for row, i in enumerate(rank):
        try:
            values[row] = table.column(names[i]).to_numpy().astype(np.float64)[order]
        except (ValueError, TypeError) as error:
            raise DataError(f"{files.name}: metrics.parquet: column {names[i]!r} holds no numbers: {error}") from error
    values[~np.isfinite(values)] = np.nan
    times, incident = times[order], incident[order]
    panel = Panel(tuple(labels[i] for i in rank), times, values, ("",) * len(names), incident)
    return panel, _contiguous(times, incident)


def read_logs(files: Files) -> Logs | None:
    """The log lines in time order; None when none were recorded."""
    table = _table(files, "logs.parquet")
    if table is None:
        return None
    times = _whole(_column(files, table, "logs.parquet", "time_ns"), 1)
    text = [_text(_column(files, table, "logs.parquet", c)) for c in ("service", "message", "trace_id", "span_id")]
    incident = _phase(table)
    order = _order(times, *text, incident)
    nodes, messages, trace_ids, span_ids = (c[order] for c in text)
    return Logs(times[order], nodes, messages, trace_ids, span_ids, incident[order])


def read_spans(files: Files) -> Spans | None:
    """The spans in time order, to the microsecond; None when none were recorded."""
    name = "traces.parquet"
    table = _table(files, name)
    if table is None:
        return None
    times = _whole(_column(files, table, name, "time_ns"), 1)
    durations = _whole(_column(files, table, name, "duration_us"), 1000)
    text = [_text(_column(files, table, name, c)) for c in ("service", "operation", "trace_id", "span_id", "parent_id")]
    errors = table.column("error").to_numpy() if "error" in table.column_names else np.zeros(len(times), np.bool_)
    incident = _phase(table)
    order = _order(times, *text, durations, incident)
    nodes, operations, trace_ids, span_ids, parent_ids = (c[order] for c in text)
    return Spans(
        times[order],
        durations[order],
        nodes,
        operations,
        trace_ids,
        span_ids,
        parent_ids,
        errors[order],
        incident[order],
    )


def read_calls(files: Files) -> tuple[Call, ...]:
    """The stated dependencies, sorted; () when there are none."""
    data = files.get("topology.json")
    if data is None:
        return ()
    try:
        topology = json.loads(data)
        found = {_call(*(str(part) for part in edge)) for edge in topology["edges"]}
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"{files.name}: topology.json needs edges: [[caller, callee], ...]: {error!r}") from error
    return tuple(sorted(found, key=lambda c: (c.caller, c.callee, c.kind, c.source)))


# ---------------------------------------------------------------- a whole recording


def pack(recording: Recording) -> bytes:
    """The recording as a zip in the incident format; deterministic."""
    observation = recording.observation
    at = recording.scope.at
    case = {
        "format": "rca-cases/1",
        "detection_time": to_ns(at) / NS,
        "slo": {"service": recording.scope.symptom_node, "metric": recording.scope.symptom_metric},
        "aiops": {
            "id": recording.id,
            "task": wire.plain(recording.task),
            "scope": wire.plain(recording.scope),
            "changes": wire.plain(observation.changes),
            "alerts": wire.plain(observation.alerts),
            "gaps": wire.plain(observation.gaps),
            "calls": wire.plain(observation.calls),
            "alert_nodes": list(observation.alert_nodes),
            "nodes": list(observation.panel.nodes),
            "hashes": dict(recording.hashes),
            "priors": wire.plain(recording.priors),
            "experience": wire.plain(recording.experience),
        },
    }
    edges = [[c.caller, c.callee, c.source, c.kind] for c in observation.calls]
    blobs = {
        "case.json": _json(case),
        "metrics.parquet": _write_panel(observation.panel),
        "topology.json": _json({"direction": "caller->callee", "edges": edges}),
        "logs.parquet": _write_logs(observation.logs),
        "traces.parquet": _write_spans(observation.spans),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in _FILES:
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), blobs[name])
    return out.getvalue()


def unpack(data: bytes, name: str = "recording") -> Recording:
    """The inverse of `pack`. DataError for an incident that is not a recording of ours."""
    files = Zip(data, name)
    ours = read_case(files).get("aiops")
    if not isinstance(ours, dict):
        raise DataError(f"{name}: case.json has no `aiops` part: diagnose it with --case, it is no recording to replay")
    try:
        panel, _ = read_metrics(files)
        head = wire.convert(ours, wire.RecordingHead)
    except wire.Invalid as error:
        raise DataError(f"{name}: {error}") from error
    panel = Panel(panel.labels, panel.times, panel.values, tuple(head.nodes), panel.incident)
    observation = Observation(
        panel,
        read_logs(files) or Logs.empty(),
        read_spans(files) or Spans.empty(),
        head.changes,
        head.calls,
        head.alerts,
        head.alert_nodes,
        head.gaps,
    )
    return Recording(head.id, head.task, head.scope, observation, head.hashes, head.priors, head.experience)


# ---------------------------------------------------------------- columns
# pyarrow is imported where it is used: the CLI's help must not pay for it.


def _table(files: Files, file: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = files.get(file)
    if data is None:
        return None
    try:
        return pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{files.name}: {file} can't be read: {str(error).splitlines()[0]}") from error


def _column(files: Files, table: Any, file: str, name: str) -> Any:
    if name not in table.column_names:
        raise DataError(f"{files.name}: {file} has no column {name!r}; it has {table.column_names[:8]}")
    return table.column(name)


def _whole(column: Any, factor: int) -> IntArray:
    values = column.to_numpy()
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(values, np.int64) * factor
    return np.asarray(np.round(np.asarray(values, np.float64) * factor), np.int64)


def _text(column: Any) -> ObjectArray:
    out = np.asarray(column.to_numpy(), np.object_)
    if column.null_count:
        out = np.array(["" if x is None else x for x in out], np.object_)
    return out


def _phase(table: Any) -> BoolArray:
    if "phase" not in table.column_names:
        return np.zeros(table.num_rows, np.bool_)
    return np.asarray(_text(table.column("phase")) == "incident", np.bool_)


def _contiguous(times: IntArray, incident: BoolArray) -> bool:
    """Baseline rows end where incident rows begin, at most ten usual steps apart."""
    if incident.all() or not incident.any():
        return True
    before, after = times[~incident], times[incident]
    step = int(np.median(np.diff(before))) if len(before) > 1 else 0
    return bool(before[-1] < after[0] <= before[-1] + 10 * max(step, 1))


def _order(times: IntArray, *columns: Any) -> IntArray:
    """A total order of rows, whatever order they came in: by time, ties by the other columns. O(n log n)."""
    order = np.argsort(times, kind="stable")
    ties = np.flatnonzero(np.diff(times[order]) == 0)
    for run in np.split(ties, np.flatnonzero(np.diff(ties) > 1) + 1) if len(ties) else ():
        rows = order[run[0] : run[-1] + 2]
        order[run[0] : run[-1] + 2] = sorted(rows, key=lambda i: tuple(c[i] for c in columns))
    return order


def _labels(field: Any) -> Labels:
    if field.metadata and b"labels" in field.metadata:
        labels: dict[str, str] = json.loads(field.metadata[b"labels"])
        return labels
    service, found, metric = field.name.partition("__")
    return {"__name__": metric, "service": service} if found else {"__name__": field.name}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode()


def _call(caller: str, callee: str, source: str = "declared", kind: str = "CALLS") -> Call:
    return Call(caller, callee, source, kind)


def _write(columns: dict[str, Any], metadata: Sequence[Labels] | None = None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(columns)
    if metadata is not None:
        fixed = len(columns) - len(metadata)
        fields = [
            f if i < fixed else f.with_metadata({"labels": json.dumps(dict(metadata[i - fixed]), sort_keys=True)})
            for i, f in enumerate(table.schema)
        ]
        table = table.cast(pa.schema(fields))
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _phases(incident: BoolArray) -> Any:
    return np.where(incident, "incident", "baseline").astype(np.object_)


def _write_panel(panel: Panel) -> bytes:
    columns: dict[str, Any] = {"time": panel.times / NS, "time_ns": panel.times, "phase": _phases(panel.incident)}
    columns |= {f"s{i}": row for i, row in enumerate(panel.values)}
    return _write(columns, panel.labels)


def _write_logs(logs: Logs) -> bytes:
    return _write(
        {
            "time_ns": logs.times,
            "service": logs.nodes,
            "trace_id": logs.trace_ids,
            "span_id": logs.span_ids,
            "message": logs.messages,
            "phase": _phases(logs.incident),
        }
    )


def _write_spans(spans: Spans) -> bytes:
    return _write(
        {
            "time_ns": spans.times,
            "trace_id": spans.trace_ids,
            "span_id": spans.span_ids,
            "parent_id": spans.parent_ids,
            "service": spans.nodes,
            "operation": spans.operations,
            "duration_us": spans.durations // 1000,
            "error": spans.errors,
            "phase": _phases(spans.incident),
        }
    )

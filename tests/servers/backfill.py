"""A recorded incident's metrics as a Prometheus block: parquet -> OpenMetrics -> `promtool tsdb create-blocks-from`."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from aiops import recording
from aiops.domain import NS, Panel, quote
from aiops.kernels.wire.labels import encode
from aiops.kernels.wire.protobuf import field, integer
from aiops.kernels.wire.snappy import compress

from servers import promtool

STALE = struct.pack("<Q", 0x7FF0000000000002)  # the NaN that says that a series ended


def backfill(case: Path, data: Path) -> Panel:
    """Writes the metrics of the incident at `case` into the Prometheus storage at `data`; returns the panel it wrote."""
    panel, _ = recording.read_metrics(recording.open_files(case))
    data.mkdir(parents=True, exist_ok=True)
    file = data / "incident.om"
    file.write_text(openmetrics(panel))
    promtool("tsdb", "create-blocks-from", "openmetrics", str(file), str(data))
    return panel


def openmetrics(panel: Panel) -> str:
    """The panel's samples. A gap is a NaN, and so is the end of each series: otherwise Prometheus fills it from before."""
    step = int(np.median(np.diff(panel.times)))
    times = [*panel.times.tolist(), int(panel.times[-1]) + step]
    lines = []
    for labels, row in zip(panel.labels, panel.values, strict=True):
        inside = ",".join(f"{name}={quote(value)}" for name, value in sorted(labels.items()) if name != "__name__")
        series = f"{labels['__name__']}{{{inside}}}"
        lines += [
            f"{series} {'NaN' if np.isnan(value) else repr(float(value))} {at // NS}.{at % NS // 1_000_000:03d}"
            for at, value in zip(times, [*row.tolist(), np.nan], strict=True)
        ]
    return "\n".join([*lines, "# EOF\n"])


def remote_write(panel: Panel) -> bytes:
    """The body of a Prometheus remote write of the panel's samples. A gap, and the end of each series, is a stale marker."""
    step = int(np.median(np.diff(panel.times)))
    times = [*panel.times.tolist(), int(panel.times[-1]) + step]
    told = b""
    for own, row in zip(panel.labels, panel.values, strict=True):
        series = encode(own)
        for at, value in zip(times, [*row.tolist(), np.nan], strict=True):
            bits = STALE if np.isnan(value) else struct.pack("<d", value)
            series += field(2, b"\x09" + bits + integer(2, at // 1_000_000))
        told += field(1, series)
    return compress(told)

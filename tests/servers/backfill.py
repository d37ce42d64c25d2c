"""A recorded incident's metrics as a Prometheus block: parquet -> OpenMetrics -> `promtool tsdb create-blocks-from`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aiops import recording
from aiops.domain import NS, Panel, quote

from servers import promtool


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

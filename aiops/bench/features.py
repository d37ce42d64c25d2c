"""`aiops bench features`: the twelve features of every series of recorded incidents, by the fused kernel and by tsfresh itself.

tsfresh is what they are held to: the table says how far apart the two are at most, feature by feature, and what each costs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aiops import recording
from aiops.bench.rca import cases
from aiops.domain import FloatArray
from aiops.errors import DataError
from aiops.kernels.features import NAMES, features
from aiops.ports import Pool

ASKED: dict[str, Any] = dict.fromkeys(NAMES[:-1]) | {"linear_trend": [{"attr": "slope"}]}
TOLERANCE = 1e-9  # relative
LEAST = 2  # samples: of fewer there is neither a step nor a slope


def run(directory: Path, pool: Pool, output: Path | None = None) -> tuple[str, int]:
    """(table, exit code: 1 where the two disagree). Writes tsfresh's features as parquet where asked. DataError without a case."""
    folders = list(cases(directory))
    if not folders:
        raise DataError(f"{directory}: no case.json in it or below")
    named = [row for rows in pool.map(_series, folders) for row in rows]
    series = [values for _, values in named]
    began = time.perf_counter()
    names, theirs = pool.features(series, ASKED)
    took, began = time.perf_counter() - began, time.perf_counter()
    ours = np.concatenate([features(values[None]) for values in series])
    own = time.perf_counter() - began
    theirs = theirs[:, [names.index(name) for name in NAMES]]
    if output:
        columns = {name: theirs[:, k] for k, name in enumerate(NAMES)}
        pq.write_table(pa.table({"series": [name for name, _ in named], **columns}), output)
    apart = _apart(ours, theirs, np.array([np.abs(values).max() for values in series]))
    lines = [f"{'feature':<32}{'furthest apart':>16}"]
    lines += [f"{name:<32}{worst:>16.1e}" for name, worst in zip(NAMES, apart, strict=True)]
    count = len(series)
    lines.append(
        f"\n{count} series: tsfresh {took:.1f} s ({count / took:.0f}/s), the kernel {own:.3f} s ({count / own:.0f}/s)"
    )
    return "\n".join(lines) + "\n", int(bool((apart > TOLERANCE).any()))


def _series(folder: Path) -> list[tuple[str, FloatArray]]:
    """Each series of a case without its gaps, by case and place."""
    panel, _ = recording.read_metrics(recording.open_files(folder))
    return list(_long_enough(folder.name, panel.values))


def _long_enough(case: str, rows: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    for place, values in enumerate(rows):
        kept = values[np.isfinite(values)]
        if len(kept) >= LEAST:
            yield f"{case}/{place}", kept


def _apart(ours: FloatArray, theirs: FloatArray, size: FloatArray) -> FloatArray:
    """(F,) the largest difference of each feature, relative to the feature or to the series' own size, whichever is larger."""
    scale = np.maximum(np.abs(theirs), np.maximum(size, 1.0)[:, None])
    return np.asarray(np.max(np.abs(ours - theirs) / scale, axis=0))

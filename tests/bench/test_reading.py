"""The bench of reading, against a real Prometheus: it compares before it tells."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest

from aiops.bench import reading
from aiops.domain import NS, Panel, Samples
from aiops.errors import DataError

import servers
from conftest import needed
from servers.backfill import openmetrics


def test_figures_of_a_server(tmp_path: Path) -> None:
    times = (int(time.time()) // 60 - 120 + np.arange(100)) * 60 * NS
    labels = (
        *tuple({"__name__": "told", "kind": kind, "job": 'q"'} for kind in "ab"),
        {"__name__": "told", "other": "1"},
    )
    values = np.random.default_rng(0).normal(size=(3, 100))
    (tmp_path / "told.om").write_text(openmetrics(Panel(labels, times, values, ("",) * 3, times < 0)))
    with needed():
        servers.promtool("tsdb", "create-blocks-from", "openmetrics", str(tmp_path / "told.om"), str(tmp_path))
        with servers.prometheus(tmp_path) as server:
            raw, stepped = reading.figures(f"prometheus+{server.url}", 1)
    assert raw.name.endswith("remote read")
    assert stepped.name.endswith("query_range")
    for figure in (raw, stepped):
        assert figure.least <= figure.value <= figure.most
        assert figure.ratio
        assert figure.unit == "samples/s"


def test_readers_that_disagree_give_no_figure() -> None:
    import pandas as pd

    at = pd.DatetimeIndex([1_700_000_000 * NS, 1_700_000_060 * NS], name="timestamp")
    theirs = pd.DataFrame({"__name__": ["x", "x"], "value": [1.0, 2.0]}, index=at)
    keys = [reading.encode({"__name__": "x"})]
    ours = Samples(({"__name__": "x"},), keys, np.array([0, 2]), at.to_numpy().astype(np.int64), np.array([1.0, 2.0]))
    assert reading._agreed("x", ours, theirs) == 2
    with pytest.raises(DataError, match="disagree"):
        reading._agreed("x", dataclasses.replace(ours, values=np.array([1.0, 2.0 + 1e-15])), theirs)
    with pytest.raises(DataError, match="disagree"):
        reading._agreed("x", dataclasses.replace(ours, times=ours.times + 1_000_000), theirs)
    with pytest.raises(DataError, match="disagree"):
        reading._agreed("x", dataclasses.replace(ours, keys=[reading.encode({"__name__": "y"})]), theirs)

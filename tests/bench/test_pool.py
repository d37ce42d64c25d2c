"""Bulk work on a real Dask cluster of two workers gives what this process alone gives."""

from __future__ import annotations

import gc
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops import app
from aiops.bench import anomaly, features, rca
from aiops.errors import ConfigError, DataError, SourceError
from aiops.ports import Pool

import servers

pytest.importorskip("distributed")
# Of distributed and tsfresh; and a cluster that ends leaves its sockets to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
INCIDENTS = Path(__file__).parents[1] / "incidents" / "petshop"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Pool]:
    with app.pool("dask:2") as pool:
        yield pool
    gc.collect()  # here, where what is collected may be told of, not in a test that comes later


@pytest.fixture
def here() -> Iterator[Pool]:
    with app.pool("") as pool:
        yield pool


def slow_for_some(number: int) -> tuple[int, int]:
    if number < 0:
        raise DataError(f"{number} is below 0")
    return number, os.getpid()


def test_answers_keep_their_order_and_come_from_two_workers(cluster: Pool) -> None:
    pids: set[int] = set()
    give_up = time.monotonic() + 120
    while len(pids) < 2:  # the second worker may come later
        assert time.monotonic() < give_up
        answers = list(cluster.map(slow_for_some, range(100)))
        assert [number for number, _ in answers] == list(range(100))
        pids |= {pid for _, pid in answers} - {os.getpid()}
    assert len(pids) == 2


def test_what_a_call_raises_is_raised(cluster: Pool) -> None:
    with pytest.raises(DataError, match="-1 is below 0"):
        list(cluster.map(slow_for_some, [1, -1, 2]))


def without_times(text: str) -> str:
    return re.sub(r'"seconds": [\d.e-]+|\d+\.\d+ ?s\b', "", text)


def test_incidents_are_diagnosed_alike(cluster: Pool, tmp_path: Path) -> None:
    rca.run(INCIDENTS, predictions=tmp_path / "here")
    rca.run(INCIDENTS, predictions=tmp_path / "there", pool=cluster)
    told = [without_times((tmp_path / name).read_text()) for name in ("here", "there")]
    assert told[0] == told[1]
    assert told[0].count("case_id") >= 1


def test_series_are_judged_alike(cluster: Pool, tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    rows = 400
    names = np.repeat([f"a/{k}" for k in range(6)], rows)
    times = np.tile(np.datetime64("2026-01-31T00:00", "s") + np.arange(rows) * np.timedelta64(300, "s"), 6)
    (tmp_path / "in").mkdir()
    columns = {
        "series": names,
        "timestamp": times,
        "value": draw.normal(size=6 * rows),
        "label": np.zeros(6 * rows, np.int8),
    }
    pq.write_table(pa.table(columns), tmp_path / "in" / "a.parquet")
    told = [anomaly.run(tmp_path / "in", tmp_path / name, pool) for name, pool in (("here", None), ("there", cluster))]
    assert told[0] == told[1]
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_features_are_tsfreshs_and_alike(cluster: Pool, here: Pool, tmp_path: Path) -> None:
    text, code = features.run(INCIDENTS, cluster, tmp_path / "there")
    assert code == 0, text
    features.run(INCIDENTS, here, tmp_path / "here")
    told = [pq.read_table(tmp_path / name) for name in ("here", "there")]
    assert told[0].num_rows > 10
    assert told[0].equals(told[1])


@pytest.mark.parametrize("url", ["dask:", "dask:0", "dask:x", "http://h:1", "ray:2"])
def test_what_is_no_pool_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="neither dask:N"), app.pool(url):
        pass


def test_a_scheduler_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops.adapters.pools import DaskPool

    with pytest.raises(SourceError, match="Dask cluster"):
        DaskPool(f"tcp://127.0.0.1:{servers.free_port()}", timeout=1.0)

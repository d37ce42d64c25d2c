"""`bench anomaly` over a small directory: every row answered in place, nothing seen before its time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.bench import anomaly
from aiops.errors import DataError

START = np.datetime64("2024-01-01T00:00:00", "ms")


def write(directory: Path, length: int = 900, seed: int = 0) -> pa.Table:
    """Two interleaved series, the first with an anomaly, the second with a gap."""
    rng = np.random.default_rng(seed)
    times = START + np.arange(length) * np.timedelta64(300_000, "ms")
    first, second = rng.normal(10, 1, length), rng.normal(50, 2, length)
    first[700:720] += 30
    second[100:105] = np.nan
    label = np.zeros(length, np.int8)
    label[700:720] = 1
    columns = {
        "series": np.tile(["a", "b"], length),
        "timestamp": np.repeat(times, 2),
        "value": np.stack([first, second], 1).ravel(),
        "label": np.stack([label, np.zeros(length, np.int8)], 1).ravel(),
    }
    table = pa.table(columns)
    pq.write_table(table, directory / "small.parquet")
    return table


def test_every_row_is_answered_in_the_order_of_the_input(tmp_path: Path) -> None:
    table = write(tmp_path)
    text, code = anomaly.run(tmp_path, tmp_path.parent / "predictions.parquet")
    told = pq.read_table(tmp_path.parent / "predictions.parquet")
    assert code == 0
    assert told.column_names == ["series", "timestamp", "score", "lower", "upper"]
    assert told["series"].to_pylist() == table["series"].to_pylist()
    assert told["timestamp"].to_pylist() == table["timestamp"].to_pylist()
    score = told["score"].to_numpy().reshape(-1, 2)
    assert (score[700:703, 0] >= 1).any()
    assert (score >= 1).sum() <= 4
    for name in ("engine", "windowed Gaussian", "EWMA + t64", "MAD", "seasonal naive"):
        assert name in text


def test_what_comes_later_changes_nothing_before(tmp_path: Path) -> None:
    answers = []
    for length in (800, 900):
        folder = tmp_path / str(length)
        folder.mkdir()
        write(folder)
        table = pq.read_table(folder / "small.parquet").slice(0, 2 * length)
        pq.write_table(table, folder / "small.parquet")
        anomaly.run(folder, tmp_path / f"{length}.parquet")
        answers.append(pq.read_table(tmp_path / f"{length}.parquet"))
    assert answers[1].slice(0, 1600).to_pydict()["score"] == answers[0].to_pydict()["score"]


def test_the_manifest_names_the_windows(tmp_path: Path) -> None:
    write(tmp_path)
    windows = [["2024-01-03 10:20:00.000000", "2024-01-03 11:55:00.000000"]]
    entries = [
        {"source": "small", "series": "a", "windows": windows},
        {"source": "small", "series": "b", "windows": []},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"series": entries}))
    text, _ = anomaly.run(tmp_path)
    engine = next(line.split() for line in text.splitlines() if line.startswith("small     engine "))
    assert float(engine[2]) > 90


def test_a_directory_without_labels_still_gets_predictions_and_bands(tmp_path: Path) -> None:
    table = write(tmp_path)
    pq.write_table(table.drop_columns(["label"]), tmp_path / "small.parquet")
    text, code = anomaly.run(tmp_path, tmp_path.parent / "unlabelled.parquet")
    assert code == 0
    assert "in tolerance" in text
    assert pq.read_table(tmp_path.parent / "unlabelled.parquet").num_rows == 1800


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no parquet"):
        anomaly.run(tmp_path)
    pq.write_table(pa.table({"series": ["a"], "value": [1.0]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x\.parquet.*timestamp"):
        anomaly.run(tmp_path)
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(DataError, match=r"x\.parquet"):
        anomaly.run(tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("series", ["a", None], "1 rows have no series"),
        ("timestamp", [START.item(), None], "1 rows have no timestamp"),
        ("timestamp", [1_700_000_000, 1_700_000_060], "timestamp is int64, of no known unit"),
        ("timestamp", ["soon", "soon"], "soon"),
        ("value", ["high", "high"], "high"),
        ("label", ["yes", "yes"], "yes"),
    ],
)
def test_a_column_of_another_kind_is_named(tmp_path: Path, column: str, values: list[object], said: str) -> None:
    columns = {"series": ["a", "a"], "timestamp": [START, START + 1], "value": [1.0, 2.0], column: values}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=rf"x\.parquet.*{said}"):
        anomaly.run(tmp_path)


@pytest.mark.parametrize("windows", [[["2024-01-03 10:20:00"]], [["then", "now"]], [5]])
def test_windows_that_are_none_are_named(tmp_path: Path, windows: object) -> None:
    write(tmp_path)
    entry = {"source": "small", "series": "a", "windows": windows}
    (tmp_path / "manifest.json").write_text(json.dumps({"series": [entry]}))
    with pytest.raises(DataError, match=r"small\.parquet"):
        anomaly.run(tmp_path)


@pytest.mark.parametrize("order", ["repeated", "irregular", "backwards", "ugly"])
def test_odd_times_and_values_are_all_answered(tmp_path: Path, order: str) -> None:
    rng, rows = np.random.default_rng(4), 400
    steps = {"repeated": np.arange(rows) // 4, "irregular": rng.integers(0, 9999, rows).cumsum()}.get(
        order, np.arange(rows)
    )
    times = START + (steps[::-1] if order == "backwards" else steps) * np.timedelta64(60_000, "ms")
    values = rng.normal(size=rows)
    if order == "ugly":
        values[::3], values[7] = np.nan, np.inf
    pq.write_table(pa.table({"series": ["a"] * rows, "timestamp": times, "value": values}), tmp_path / "odd.parquet")
    anomaly.run(tmp_path, tmp_path.parent / "odd_told.parquet")
    told = pq.read_table(tmp_path.parent / "odd_told.parquet")
    assert (told["timestamp"].to_numpy() == times).all()
    assert np.isfinite(told["score"].to_numpy()).all()


def test_groups_and_random_halves_are_told_apart(tmp_path: Path) -> None:
    table = write(tmp_path)
    names = ["first/a" if name == "a" else "second/b" for name in table["series"].to_pylist()]
    pq.write_table(table.set_column(0, "series", pa.array(names)), tmp_path / "small.parquet")
    text, _ = anomaly.run(tmp_path)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.split()}
    assert rows["first"][1:3] == ["1", "1"]
    assert float(rows["first"][3]) > 90
    assert rows["second"][1:4] == ["1", "0", "nan"]
    assert "halves" in rows


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_a_series_of_few_rows_is_answered(tmp_path: Path, rows: int) -> None:
    columns = {"series": ["a"] * rows, "timestamp": START + np.arange(rows) * np.timedelta64(300_000, "ms")}
    pq.write_table(pa.table(columns | {"value": np.arange(rows, dtype=float)}), tmp_path / "few.parquet")
    anomaly.run(tmp_path, tmp_path.parent / "few_told.parquet")
    told = pq.read_table(tmp_path.parent / "few_told.parquet")
    assert told["score"].to_pylist() == [0.0] * rows

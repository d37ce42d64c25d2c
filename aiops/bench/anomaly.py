"""`aiops bench anomaly`: the online engine over labelled series, beside the reference detectors, in one run.

Every detector sees a series row by row, in the order of the file, and nothing of its name, length or labels; those are read
afterwards, for the table. A directory holds parquet files (series, timestamp, value, and label where known) and perhaps a
`manifest.json` that names each series' labelled windows. A slash in a series' name parts its group from the rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aiops.bench import measures, nab
from aiops.bench.detectors import DAY, REFERENCES, Detection, ewma_t64, seasonal_course
from aiops.bench.progress import progress
from aiops.domain import FloatArray, IntArray
from aiops.errors import DataError
from aiops.kernels import tick
from aiops.kernels.ahead import Course, ahead
from aiops.ports import Pool

ENGINE, DENSE = "engine", "engine, no silence"
_WEEK = 7 * 86_400
_FEW = 3  # series with no more distinct values are left out of the bands' table, as no band fits them
_AHEAD, _ORIGINS = 48, 20  # steps ahead, and the origins in a series' second half from which they are forecast
_HISTORY = 3000  # values that such a forecast may look back
_SPLITS = 10  # random halves of a source's files
_COLUMNS = ("series", "timestamp", "value")


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled series. `rows` are its places in its file; `windows` are None where nothing is known of anomalies."""

    source: str
    name: str
    rows: IntArray
    times: IntArray  # epoch seconds
    values: FloatArray
    windows: tuple[nab.Window, ...] | None
    real: bool


@dataclass(slots=True)
class Tally:
    """What one detector did over the series of one source."""

    files: list[tuple[FloatArray, Sequence[nab.Window]]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)  # of those files
    events: list[measures.Events] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)
    quiet_alerts: int = 0
    quiet_weeks: float = 0.0
    within: list[bool] = field(default_factory=list)
    coverages: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    far_coverages: list[float] = field(default_factory=list)
    far_ratios: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """What it did over further series."""
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def run(directory: Path, predictions: Path | None = None, pool: Pool | None = None) -> tuple[str, int]:
    """(tables, exit code). Writes a parquet of predictions where asked; `pool` does the work, where there is one. DataError when `directory` holds no parquet
    file, or one that can't be understood."""
    files = sorted(directory.glob("*.parquet"))
    if not files:
        raise DataError(f"{directory}: no parquet file in it")
    manifest = _manifest(directory)
    tables = {file: _table(file) for file in files}
    series = [one for file in files for one in _read(file, tables[file], manifest)]
    tallies: dict[tuple[str, str], Tally] = {}
    found: dict[str, list[Detection]] = {}
    judged = pool.map(_judged, series) if pool else map(_judged, series)
    for done, (one, (detection, counted)) in enumerate(zip(series, judged, strict=True), 1):
        found.setdefault(one.source, []).append(detection)
        for key, tally in counted.items():
            tallies.setdefault(key, Tally()).add(tally)
        progress(done, len(series))
    if predictions is not None:
        _write(predictions, tables, series, found)
    return _report(series, tallies), 0


def engine(times: IntArray, values: FloatArray, memory: int = 0) -> Detection:
    """The product's own detector, afresh on one series; `memory` chooses its tier."""
    ticks = tick.advance(tick.fresh(1, memory=memory), times, values[None])
    return Detection(ticks.score[0], ticks.lower[0], ticks.upper[0])


def dense(times: IntArray, values: FloatArray) -> Detection:
    """The engine's strength: what each row is worth, without silence after an alert."""
    ticks = tick.advance(tick.fresh(1), times, values[None])
    return Detection(ticks.strength[0], ticks.lower[0], ticks.upper[0])


def remembering(times: IntArray, values: FloatArray) -> Detection:
    """The engine's second tier."""
    return engine(times, values, tick.MEMORY)


DETECTORS: Mapping[str, Callable[[IntArray, FloatArray], Detection]] = {
    ENGINE: engine,
    "engine, tier 2": remembering,
    DENSE: dense,
    **REFERENCES,
}


def _judged(one: Series) -> tuple[Detection, dict[tuple[str, str], Tally]]:
    """The engine's own detection in one series, and what each detector did over it."""
    counted: dict[tuple[str, str], Tally] = {}
    return _judge(one, counted), counted


def _judge(one: Series, tallies: dict[tuple[str, str], Tally]) -> Detection:
    """Runs every detector over a series and counts; the engine's own detection."""
    answers = {name: detect(one.times, one.values) for name, detect in DETECTORS.items()}
    late = slice(len(one.values) // 2, None)
    bands = one.real and len(np.unique(one.values[np.isfinite(one.values)])) > _FEW
    yard = _width(one, ewma_t64(one.times, one.values), late) if bands else math.nan
    for name, answer in answers.items():
        tally = tallies.setdefault((one.source, name), Tally())
        if one.windows is not None:
            _count(one, answer.score, one.windows, tally)
        if bands and name != DENSE:
            covered = measures.coverage(one.values[late], answer.lower[late], answer.upper[late])
            points = int(np.isfinite(one.values[late]).sum())
            tally.coverages.append(covered)
            tally.within.append(abs(covered - measures.NOMINAL) <= measures.tolerance(points))
            tally.ratios.append(_width(one, answer, late) / yard if yard > 0 else math.nan)
    if bands:
        _look_far(one, tallies)
    return answers[ENGINE]


def _look_far(one: Series, tallies: dict[tuple[str, str], Tally]) -> None:
    """Forecasts 48 steps from points of the second half; the scores of `ahead` over those of the seasonal naive."""
    season = max(round(DAY / max(float(np.median(np.diff(one.times))), 1.0)), 1)
    rows = len(one.values)
    if rows // 2 <= 2 * season or rows // 2 <= 2 * _AHEAD:
        return
    came, told = [], {ENGINE: list[Course](), "seasonal naive": list[Course]()}
    for origin in range(rows // 2, rows - _AHEAD, max(_AHEAD, rows // 2 // _ORIGINS)):
        past = one.values[max(0, origin - _HISTORY) : origin]
        came.append(one.values[origin : origin + _AHEAD])
        told[ENGINE].append(ahead(past, season, _AHEAD))
        told["seasonal naive"].append(seasonal_course(past, season, _AHEAD))
    values, scores = np.concatenate(came), {}
    for name, courses in told.items():
        lower, upper = (np.concatenate([course[k] for course in courses]) for k in (1, 2))
        scores[name] = measures.interval_score(values, lower, upper)
        tallies[one.source, name].far_coverages.append(measures.coverage(values, lower, upper))
    for name, score in scores.items():
        naive = scores["seasonal naive"]
        tallies[one.source, name].far_ratios.append(score / naive if naive > 0 else math.nan)


def _width(one: Series, answer: Detection, rows: slice) -> float:
    return measures.interval_score(one.values[rows], answer.lower[rows], answer.upper[rows])


def _count(one: Series, score: FloatArray, windows: Sequence[nab.Window], tally: Tally) -> None:
    tally.files.append((score, windows))
    tally.groups.append(one.name.rpartition("/")[0])
    tally.events.append(measures.events(score, windows))
    tally.volumes.append(measures.vus_pr(score, windows))
    if not windows:
        tally.quiet_alerts += len(measures.runs(score >= 1.0))
        tally.quiet_weeks += float(one.times[-1] - one.times[0]) / _WEEK


# ---------------------------------------------------------------- the series


def _table(file: Path) -> pa.Table:
    try:
        table = pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: {error}") from error
    if missing := [name for name in _COLUMNS if name not in table.column_names]:
        raise DataError(f"{file}: it has no column {', '.join(missing)}; found {', '.join(table.column_names)}")
    for name in ("series", "timestamp"):
        if nulls := table[name].null_count:
            raise DataError(f"{file}: {nulls} rows have no {name}")
    kind = table["timestamp"].type
    if not (pa.types.is_timestamp(kind) or pa.types.is_string(kind)):
        raise DataError(f"{file}: timestamp is {kind}, of no known unit; write a parquet timestamp")
    return table


def _manifest(directory: Path) -> dict[tuple[str, str], dict[str, Any]]:
    try:
        held = json.loads((directory / "manifest.json").read_bytes())
        return {(str(one["source"]), str(one["series"])): one for one in held["series"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{directory / 'manifest.json'}: {error!r}") from error


def _read(file: Path, table: pa.Table, manifest: Mapping[tuple[str, str], dict[str, Any]]) -> list[Series]:
    """The series of a file. DataError where its columns, or its windows in the manifest, are of another type."""
    try:
        return list(_series(file.stem, table, manifest))
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(f"{file}: {error}") from error


def _series(source: str, table: pa.Table, manifest: Mapping[tuple[str, str], dict[str, Any]]) -> Iterator[Series]:
    """Series in order of their first row, each row in the order of the file."""
    names = pc.cast(table["series"], pa.string()).combine_chunks().dictionary_encode()
    place = names.indices.to_numpy(zero_copy_only=False)
    times = pc.cast(table["timestamp"], pa.timestamp("ms"), safe=False).cast(pa.int64()).to_numpy() // 1000
    values = _numbers(table["value"])
    labels = _numbers(table["label"]) if "label" in table.column_names else None
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(len(names.dictionary) + 1))
    for k, name in enumerate(names.dictionary.to_pylist()):
        rows = order[bounds[k] : bounds[k + 1]]
        known = manifest.get((source, name), {})
        windows = _windows(known, times[rows], None if labels is None else labels[rows])
        yield Series(source, name, rows, times[rows], values[rows], windows, bool(known.get("realworld", True)))


def _numbers(column: pa.ChunkedArray) -> FloatArray:
    """NaN for null."""
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))


def _windows(known: Mapping[str, Any], times: IntArray, labels: FloatArray | None) -> tuple[nab.Window, ...] | None:
    """The manifest's windows as rows, else the runs of labels, else None."""
    if "windows" in known:
        spans = []
        for first, last in known["windows"]:
            inside = np.flatnonzero((times >= _second(first)) & (times <= _second(last)))
            if len(inside):
                spans.append((int(inside[0]), int(inside[-1])))
        return tuple(sorted(spans))
    return None if labels is None else tuple(measures.runs(labels > 0))


def _second(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _write(
    path: Path, tables: Mapping[Path, pa.Table], series: Sequence[Series], found: Mapping[str, Sequence[Detection]]
) -> None:
    """series, timestamp, score, lower, upper of every row, file by file in the order of the input."""
    parts = []
    for file, table in tables.items():
        columns = {name: np.full(table.num_rows, np.nan) for name in Detection._fields}
        mine = [one for one in series if one.source == file.stem]
        for one, answer in zip(mine, found.get(file.stem, ()), strict=True):
            for name, column in columns.items():
                column[one.rows] = getattr(answer, name)
        named = {"series": pc.cast(table["series"], pa.string()), "timestamp": table["timestamp"]}
        parts.append(pa.table(named | {name: pa.array(column) for name, column in columns.items()}))
    pq.write_table(pa.concat_tables(parts, promote_options="permissive"), path)


# ---------------------------------------------------------------- the tables


def _report(series: Sequence[Series], tallies: Mapping[tuple[str, str], Tally]) -> str:
    sources = sorted({one.source for one in series})
    found = [
        f"{'source':<10}{'detector':<19}{'NAB':>7}{'at':>8}{'NAB@1':>7}{'alerts':>8}{'prec':>6}{'recall':>8}{'VUS-PR':>8}{'false/week':>12}"
    ]
    banded = [
        f"{'source':<10}{'detector':<19}{'series':>7}{'in tolerance':>14}{'coverage':>10}{'least':>8}{'most':>8}{'MSIS ratio':>12}",
    ]
    distant = [
        f"{'source':<10}{'48 steps ahead':<19}{'series':>7}{'coverage':>10}{'least':>8}{'most':>8}{'MSIS ratio':>12}",
    ]
    for source in sources:
        told = [(name, tallies[source, name]) for name in DETECTORS]
        found += [_found(source, name, tally) for name, tally in told if tally.files]
        banded += [_banded(source, name, tally) for name, tally in told if tally.coverages]
        distant += [_distant(source, name, tally) for name, tally in told if tally.far_coverages]
    found += _grouped(sources, tallies)
    lines = [line for table in (found, banded, distant) if len(table) > 1 for line in (*table, "")]
    points = sum(len(one.values) for one in series)
    lines += [
        f"{len(series)} series, {points} points. NAB: standard profile at its best threshold and at 1.0.",
        "halves: NAB of one random half of the files at the threshold that is best for the other, mean and deviation.",
        "prec, recall: alerts and windows at 1.0, without point adjustment. false/week: alerts per week of a series without labels.",
        "Bands: nominal 95 %, second half of real series; MSIS over that of EWMA + t64 (one step) or of the seasonal naive (48), geometric mean.",
    ]
    return "\n".join(lines) + "\n"


def _found(source: str, name: str, tally: Tally) -> str:
    best, plain = nab.optimised(tally.files), nab.fixed(tally.files)
    alerts, true, windows, hit = (sum(one[k] for one in tally.events) for k in range(4))
    volumes = [v for v in tally.volumes if not math.isnan(v)]
    volume = float(np.mean(volumes)) if volumes else math.nan
    false = tally.quiet_alerts / tally.quiet_weeks if tally.quiet_weeks else math.nan
    return (
        f"{source:<10}{name:<19}{best.value:>7.1f}{best.threshold:>8.3f}{plain.value:>7.1f}{alerts:>8}"
        f"{true / alerts if alerts else math.nan:>6.2f}{hit / windows if windows else math.nan:>8.2f}{volume:>8.3f}{false:>12.2f}"
    )


def _grouped(sources: Sequence[str], tallies: Mapping[tuple[str, str], Tally]) -> Iterator[str]:
    """NAB by the folders of each source that has several, at the source's best threshold, and over random halves of its files."""
    for source in sources:
        told = [(name, tallies[source, name]) for name in DETECTORS if tallies[source, name].files]
        groups = sorted(set(told[0][1].groups)) if told else []
        if len(groups) < 2:
            continue
        yield ""
        yield f"{source:<29}{'series':>7}{'windows':>9}" + "".join(f"{name:>19}" for name, _ in told)
        best = {name: nab.optimised(tally.files).threshold for name, tally in told}
        for group in groups:
            shares = {name: [f for f, g in zip(t.files, t.groups, strict=True) if g == group] for name, t in told}
            files = shares[told[0][0]]
            cells = "".join(f"{nab.fixed(shares[name], best[name]).value:>19.1f}" for name, _ in told)
            yield f"{group:<29}{len(files):>7}{sum(len(w) for _, w in files):>9}{cells}"
        yield f"{'halves':<45}" + "".join(f"{_halves(tally.files):>19}" for _, tally in told)


def _halves(files: Sequence[tuple[FloatArray, Sequence[nab.Window]]]) -> str:
    rng, scores = np.random.default_rng(0), []
    for _ in range(_SPLITS):
        order = rng.permutation(len(files))
        half = [files[k] for k in order[: len(files) // 2]], [files[k] for k in order[len(files) // 2 :]]
        for one, other in (half, half[::-1]):
            if any(windows for _, windows in other):
                scores.append(nab.fixed(other, nab.optimised(one).threshold).value)
    return f"{np.mean(scores):.1f} +-{np.std(scores):5.1f}" if scores else "-"


def _distant(source: str, name: str, tally: Tally) -> str:
    covered = np.array(tally.far_coverages)
    return (
        f"{source:<10}{name:<19}{len(covered):>7}{covered.mean():>10.4f}{covered.min():>8.3f}{covered.max():>8.3f}"
        f"{_geometric(tally.far_ratios):>12.3f}"
    )


def _geometric(ratios: Sequence[float]) -> float:
    known = np.array([r for r in ratios if not math.isnan(r)])
    with np.errstate(divide="ignore"):
        return float(np.exp(np.mean(np.log(known)))) if len(known) else math.nan


def _banded(source: str, name: str, tally: Tally) -> str:
    covered = np.array(tally.coverages)
    return (
        f"{source:<10}{name:<19}{len(covered):>7}{np.mean(tally.within):>14.3f}{covered.mean():>10.4f}"
        f"{covered.min():>8.3f}{covered.max():>8.3f}{_geometric(tally.ratios):>12.3f}"
    )

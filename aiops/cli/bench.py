"""`aiops bench`: figures beside their reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from aiops.cli import common

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def _writing() -> Iterator[None]:
    """A file that can't be written is the caller's to mend."""
    from aiops.errors import UsageError

    try:
        yield
    except OSError as error:
        raise UsageError(f"can't write {error.filename}: {error.strerror}") from error


def _pool(command: F) -> F:
    return click.option(
        "--pool",
        "workers",
        default="",
        metavar="URL",
        help="dask:N (processes here) or tcp://HOST:PORT (a Dask scheduler).",
    )(command)


@click.group()
def bench() -> None:
    """Measure accuracy and speed."""


@bench.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.jsonl")
@click.option("--catalog", type=click.Path(path_type=Path), help="Names and time (default: catalog.json beside FILE).")
@click.option("--now", type=common.Moment(), metavar="TIME", help="What `now` means (default: the catalog's).")
@click.option(
    "--predictions", type=click.Path(path_type=Path), metavar="OUT.jsonl", help="Write one line an utterance."
)
@click.option("--rules", is_flag=True, help="By the rules alone, whatever model there is.")
@click.option(
    "--models", is_flag=True, help="Beside the rules: the language model of the settings, with and without its adapter."
)
def intake(
    file: Path, catalog: Path | None, now: datetime | None, predictions: Path | None, rules: bool, models: bool
) -> int:
    """Read every utterance of FILE.jsonl as `ask` does and count how often each slot is right."""
    from aiops import app
    from aiops.bench import intake as bench_intake

    with app.language_models(common.config(None)) as known:
        model = None if rules else bench_intake.ready(known.get("model"), common.note)
        with _writing():
            table, code = bench_intake.run(file, catalog, now, predictions, model)
        common.put(table, None)
        if models:
            common.put(bench_intake.beside(file, known, catalog, now), None)
    return code


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), help="The true causes (default: each case's truth.json).")
@click.option("--predictions", type=click.Path(path_type=Path), metavar="OUT.jsonl", help="Write one line a case.")
@click.option("--late", type=float, default=0.0, metavar="SECONDS", help="Notice the symptom this much later.")
@click.option("--until", type=float, metavar="SECONDS", help="Cut the data this much after the symptom.")
@click.option("--fault-free", is_flag=True, help="Count how often nothing is named in windows without a fault.")
@click.option("--calibrate", is_flag=True, help="Refit the score and judge it on data sets left out.")
@click.option("--cross-validate", is_flag=True, help="Choose the weights without the data set they are judged on.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the settings that --cross-validate draws.")
@_pool
def rca(
    directory: Path,
    truth: Path | None,
    predictions: Path | None,
    late: float,
    until: float | None,
    fault_free: bool,
    calibrate: bool,
    cross_validate: bool,
    seed: int,
    workers: str,
) -> int:
    """Diagnose every recorded incident in DIRECTORY and count how often the true cause comes first, beside published methods.

    Without the truth it only writes predictions."""
    from aiops import app
    from aiops.bench import rca as bench_rca

    with _writing():
        if fault_free:
            table, code = bench_rca.run_fault_free(directory)
        elif calibrate:
            table, code = bench_rca.run_calibration(directory)
        elif cross_validate:
            table, code = bench_rca.run_cross_validation(directory, seed)
        else:
            with app.pool(workers) as pool:
                table, code = bench_rca.run(directory, truth, predictions, late, until, pool)
    common.put(table, None)
    return code


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def sandbox(as_json: bool) -> int:
    """Measure what the sandbox adds to a run, beside the same program without it."""
    from aiops import app
    from aiops.bench import sandbox as bench_sandbox

    common.put(bench_sandbox.run(app.sandbox(common.config(None)), as_json), None)
    return 0


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def paths(as_json: bool) -> int:
    """Measure the search for causal paths beside networkx, in the same run."""
    from aiops.bench import paths as bench_paths

    common.put(bench_paths.run(as_json), None)
    return 0


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--predictions", type=click.Path(path_type=Path), metavar="OUT.parquet", help="Write one row a sample.")
@_pool
def anomaly(directory: Path, predictions: Path | None, workers: str) -> int:
    """Score every labelled series in DIRECTORY, point by point, beside the reference detectors."""
    from aiops import app
    from aiops.bench import anomaly as bench_anomaly

    with _writing(), app.pool(workers) as pool:
        table, code = bench_anomaly.run(directory, predictions, pool)
    common.put(table, None)
    return code


@bench.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.parquet", help="Write a row a series.")
@_pool
def features(directory: Path, output: Path | None, workers: str) -> int:
    """Extract twelve features of every series of the recorded incidents in DIRECTORY by tsfresh, and hold ours to them."""
    from aiops import app
    from aiops.bench import features as bench_features

    with _writing(), app.pool(workers) as pool:
        table, code = bench_features.run(directory, pool, output)
    common.put(table, None)
    return code


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--metrics", default="", metavar="URL", help="Measure reading too, at this Prometheus of yours.")
def speed(as_json: bool, metrics: str) -> int:
    """Measure forecast, band and features per series beside statsmodels and tsfresh, in the same run."""
    from aiops.bench import speed as bench_speed

    text, code = bench_speed.run(as_json, metrics=metrics)
    common.put(text, None)
    return code


@bench.command()
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False, exists=True), help="A folder on the disk to measure."
)
def ingest(as_json: bool, folder: Path | None) -> int:
    """Measure how many alerts a server takes, durable when answered, beside FastAPI with pydantic and one insert per alert."""
    from aiops.bench import ingest as bench_ingest

    common.put(bench_ingest.run(as_json, folder=folder), None)
    return 0

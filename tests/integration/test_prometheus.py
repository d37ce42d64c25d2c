"""The demo incident out of a real Prometheus: the same answer as from the file, and the report outlives the data."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import aiops
from aiops import recording
from aiops.domain import NS, Report, Verdict, from_ns
from aiops.errors import SourceError
from aiops.ops import Ops
from aiops.schema import wire

import servers
from conftest import needed
from servers.backfill import backfill

NO_MODEL = {"model.url": ""}


def connect(case: Path, url: str, home: Path) -> Ops:
    """Metrics over HTTP; logs and traces still from the case."""
    return aiops.connect(
        f"prometheus+{url}", logs=f"case:{case}", traces=f"case:{case}", home=str(home), flags=NO_MODEL
    )


def diagnose(ops: Ops, case: Path) -> Report:
    """The question that the case itself asks, of the time that it covers."""
    files = recording.open_files(case)
    symptom = recording.symptom_of(recording.read_case(files), case.name)
    times = recording.read_metrics(files)[0].times
    assert symptom.at is not None
    return ops.diagnose(
        service=symptom.service,
        metric=symptom.metric,
        at=symptom.at,
        since=symptom.at - from_ns(int(times[0])),
        until=from_ns(int(times[-1]) + NS),
    )


def ranking(report: Report) -> list[tuple[str, str, float]]:
    return [(cause.node, cause.metric, cause.score) for cause in report.root_causes]


def test_same_ranking_over_http_as_from_the_file(prometheus: servers.Server, demo_case: Path, tmp_path: Path):
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "file"), flags=NO_MODEL) as ops:
        from_file = diagnose(ops, demo_case)
    with connect(demo_case, prometheus.url, tmp_path / "http") as ops:
        over_http = diagnose(ops, demo_case)
    assert over_http.verdict is from_file.verdict is Verdict.FOUND
    assert ranking(over_http) == ranking(from_file)
    assert over_http.summary[:2] == from_file.summary[:2]  # the third says that there was no topology over HTTP


def test_replay_needs_no_prometheus(demo_case: Path, tmp_path: Path):
    with needed():
        backfill(demo_case, tmp_path / "data")
        with servers.prometheus(tmp_path / "data") as server, connect(demo_case, server.url, tmp_path / "home") as ops:
            told = diagnose(ops, demo_case)
        with connect(demo_case, server.url, tmp_path / "home") as ops:
            again = ops.replay(told.id)
            assert wire.encode(dataclasses.replace(again, run={})) == wire.encode(dataclasses.replace(told, run={}))
            # Prometheus is gone, but logs and traces still answer: a report with a gap.
            blind = diagnose(ops, demo_case)
            assert any(gap.what == "metrics" and "refused" in gap.why for gap in blind.gaps)


def test_nothing_that_answers_is_no_report(tmp_path: Path):
    with (
        aiops.connect("prometheus+http://127.0.0.1:9", home=str(tmp_path), flags=NO_MODEL) as ops,
        pytest.raises(SourceError, match="refused"),
    ):
        ops.diagnose(service="checkout")

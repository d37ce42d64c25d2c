"""Explain: the three lines say who, how and why; nothing is hidden; what was not seen is said."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from aiops.domain import (
    Anomaly,
    CausalGraph,
    CausalPath,
    Direction,
    Edge,
    Evidence,
    Findings,
    Gap,
    Inputs,
    Intent,
    Logs,
    Observation,
    Panel,
    Recording,
    Report,
    RootCause,
    RootCauses,
    Scope,
    Spans,
    Task,
    TimeRange,
    Verdict,
    to_ns,
)
from aiops.schema import wire
from aiops.stages.explain import CHART_POINTS, MOST_ANOMALIES, explain

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def recording(rows: int = 90, intent: Intent = Intent.DIAGNOSE, gaps: tuple[Gap, ...] = ()) -> Recording:
    times = np.array([to_ns(AT + (i - rows + 10) * MINUTE) for i in range(rows)], np.int64)
    values = np.vstack([np.ones(rows), np.full(rows, np.nan)])
    panel = Panel(
        ({"__name__": "cpu", "service": "db"}, {"__name__": "lag", "service": "web"}),
        times,
        values,
        ("db", "web"),
        times >= to_ns(AT),
    )
    scope = Scope(AT, TimeRange(AT - rows * MINUTE, AT), TimeRange(AT, AT + 10 * MINUTE), "web", "lag")
    observation = Observation(panel, Logs.empty(), Spans.empty(), gaps=gaps)
    return Recording("r1", Task("task", intent, Inputs()), scope, observation, {"rules": "x"})


def anomaly(node: str = "db", score: float = 3.0, series: int = 0) -> Anomaly:
    return Anomaly(node, "cpu", AT - MINUTE, Direction.UP, score, series, (0.5, 1.5), 9.0)


def found() -> RootCauses:
    edge = Edge("db", "web", 0.5, MINUTE, "traces")
    path = CausalPath(("db", "web"), (edge,), (AT - MINUTE, AT), 0.6931471805599453)
    first = RootCause(1, "db", "cpu", 0.8, path, (Evidence("metrics", "cpu doubled"),), fault="cpu")
    second = RootCause(2, "web", "lag", 0.1, CausalPath(("web",), (), (AT,), 0.0), (), "less evidence")
    return RootCauses(Verdict.FOUND, "", (first, second))


def report(causes: RootCauses, rec: Recording | None = None, findings: Findings | None = None) -> Report:
    rec = rec or recording()
    return explain(
        rec, findings or Findings((anomaly(),), ()), CausalGraph(("db", "web"), ()), causes, None, {"aiops": "0"}
    )


def test_three_lines_for_a_cause() -> None:
    one, two, three = report(found()).summary
    assert one == "Cause: db (cpu fault, cpu), 80% likely, behind web lag since 2026-01-02 03:00:00Z"
    assert two == "Path: db 02:59:00Z -> web 03:00:00Z (probability 0.50)"
    assert three == "Rests on: cpu doubled"


def test_what_was_not_seen_is_said_and_listed() -> None:
    gap = Gap("logs", "down", "start it")
    made = report(found(), recording(gaps=(gap,)), Findings((), (), gaps=(Gap("traces", "none"),)))
    assert "Not seen: logs, traces" in made.summary[2]
    assert {g.what for g in made.gaps} == {"logs", "traces"}


def test_inconclusive_names_no_cause_but_what_would_help() -> None:
    candidates = found().candidates
    causes = RootCauses(Verdict.INCONCLUSIVE, "the evidence is thin", candidates)
    one, two, three = report(causes, recording(gaps=(Gap("logs", "down", "start loki"),))).summary
    assert one == "Inconclusive: the evidence is thin"
    assert two == "Nearest candidates: db (80%), web (10%)"
    assert three == "Would help: start loki"


def test_inconclusive_without_anything() -> None:
    made = report(RootCauses(Verdict.INCONCLUSIVE, "nothing moved", ()), findings=Findings((), ()))
    assert made.charts == ()
    assert "nothing left its band" in made.summary[1]


@pytest.mark.parametrize("intent", [Intent.DETECT, Intent.QUERY])
def test_a_question_is_answered_in_figures_and_charts(intent: Intent) -> None:
    made = report(RootCauses(Verdict.INCONCLUSIVE, "", ()), recording(intent=intent))
    assert made.verdict is Verdict.FOUND
    assert {f.node for f in made.figures} == {"db"}
    assert made.charts
    assert made.root_causes == ()
    assert wire.encode(wire.decode(wire.encode(made), Report)) == wire.encode(made)


@pytest.mark.parametrize("rows", [11, 90, 5000])
def test_a_chart_holds_the_onset_and_never_too_much(rows: int) -> None:
    (chart,) = report(found(), recording(rows)).charts
    assert len(chart.times) == len(chart.values) == len(chart.lower) == len(chart.upper) <= CHART_POINTS
    assert list(chart.times) == sorted(chart.times)
    assert dict(chart.marks)["noticed"] == to_ns(AT) // 10**9
    assert chart.times[-1] >= dict(chart.marks)["noticed"]


def test_gaps_in_a_series_stay_gaps() -> None:
    made = report(found(), findings=Findings((anomaly("web", series=1),), ()))
    assert set(made.charts[0].values) == {None}


def test_a_storm_is_cut_to_the_strongest() -> None:
    many = tuple(anomaly(f"n{i}", float(i)) for i in range(500))
    made = report(found(), findings=Findings(many, ()))
    assert [a.score for a in made.anomalies] == [float(i) for i in range(499, 499 - MOST_ANOMALIES, -1)]


def test_a_report_survives_its_json() -> None:
    made = report(found())
    assert wire.encode(wire.decode(wire.encode(made), Report)) == wire.encode(made)
    public = wire.public_report(made)
    assert list(public) == [
        "schema", "id", "verdict", "summary", "task", "symptom", "root_causes", "anomalies", "events", "gaps",
        "remediation", "meta",
    ]  # fmt: skip
    assert public["schema"] == "aiops-report/1"
    assert list(public["root_causes"][0]) == ["rank", "node", "metric", "score", "path", "evidence", "why_not"]
    assert public["root_causes"][0]["path"] == [
        {
            "from": "db",
            "to": "web",
            "cost": 0.6931471805599453,
            "strength": 0.5,
            "lag_s": 60.0,
            "onset": "2026-01-02T02:59:00+00:00",
            "source": "traces",
            "kind": "CALLS",
            "last_seen": None,
        }
    ]
    assert set(public["meta"]) == {"versions", "hashes", "run"}


def test_run_is_all_that_may_differ() -> None:
    made = report(found())
    assert made.run == {}
    assert dataclasses.replace(made, run={"host": "a"}) != made

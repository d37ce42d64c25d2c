"""Agendas run: order, concurrency, conditions by rule, and what a failure costs."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import aiops
from aiops.domain import (
    Agenda,
    Anomaly,
    Condition,
    Direction,
    Inputs,
    Intent,
    Panel,
    Report,
    Step,
    Symptom,
    Task,
    Verdict,
)
from aiops.errors import SourceError
from aiops.flows.agenda import StepState, run
from aiops.stages.judge import judge

AT = datetime(2026, 11, 20, tzinfo=UTC)


def task(name: str, *services: str, metric: str = "latency_p99") -> Task:
    return Task(name, Intent.QUERY, Inputs(services=services or ("cart",), metrics=(metric,)))


def report(of: Task, anomalies: tuple[Anomaly, ...] = ()) -> Report:
    empty: tuple[()] = ()
    return Report(
        of.task_id,
        Verdict.FOUND,
        ("", "", ""),
        of,
        Symptom(),
        empty,
        anomalies,
        empty,
        empty,
        None,
        empty,
        empty,
        {},
        {},
    )


def panel(metric: str = "latency_p99", **rows: tuple[float, float]) -> Panel:
    """Per service its level before and now."""
    services = sorted(rows)
    values = np.array([[rows[s][0]] * 3 + [rows[s][1]] for s in services]).reshape(len(services), 4)
    labels = tuple({"__name__": metric, "service": s.replace("_", "-")} for s in services)
    nodes = tuple(one["service"] for one in labels)
    return Panel(labels, np.arange(4, dtype=np.int64) * 60 * 10**9, values, nodes, np.array([False] * 3 + [True]))


@pytest.mark.parametrize(
    ("metric", "cart", "search", "holds", "expected"),
    [
        ("latency_p99", (1.0, 3.0), (50.0, 60.0), "worse", True),  # tripled, though the other is slower
        ("latency_p99", (1.0, 3.0), (50.0, 60.0), "higher", False),
        ("latency_p99", (1.0, 3.0), (50.0, 60.0), "lower", True),
        ("latency_p99", (1.0, 3.0), (50.0, 60.0), "better", False),
        ("qps", (100.0, 60.0), (100.0, 99.0), "worse", True),  # of requests, less is worse
        ("qps", (100.0, 120.0), (100.0, 99.0), "worse", False),
        ("cache_hit_rate", (0.9, 0.5), (0.9, 0.9), "worse", True),
        ("rate(http_requests_total)", (100.0, 60.0), (100.0, 99.0), "worse", True),
        ("rate(failed_requests_total)", (1.0, 6.0), (1.0, 1.0), "worse", True),
        ("rate(failed_requests_total)", (6.0, 1.0), (6.0, 6.0), "better", True),
        ("kube_deployment_status_replicas_unavailable", (1.0, 3.0), (1.0, 1.0), "worse", True),
    ],
)
def test_worse_goes_by_the_metrics_direction_and_its_own_baseline(
    metric: str, cart: tuple[float, float], search: tuple[float, float], holds: str, expected: bool
) -> None:
    asked = task("first", "cart", "search", metric=metric.removeprefix("rate(").removesuffix(")"))
    told, said = judge(Condition("first", holds, "cart"), report(asked), panel(metric, cart=cart, search=search))
    assert told is expected, said


def test_what_can_not_be_told_is_not_guessed() -> None:
    asked = task("first", "cart", "search")
    told, said = judge(Condition("first", "worse", "cart"), report(asked), panel(cart=(1, 2)))
    assert told is None
    assert "search" in said
    assert judge(Condition("first", "full"), report(asked), panel())[0] is None


def test_abnormal_is_what_left_its_band() -> None:
    asked = task("first", "cart")
    left = Anomaly("cart", "latency_p99", AT, Direction.UP, 3.0, 0, (0.0, 1.0), 4.0)
    assert judge(Condition("first", "abnormal"), report(asked, (left,)), panel())[0] is True
    assert judge(Condition("first", "normal"), report(asked, (left,)), panel())[0] is False
    elsewhere = dataclasses.replace(left, node="search")
    assert judge(Condition("first", "abnormal"), report(asked, (elsewhere,)), panel())[0] is False


def test_what_may_run_together_does_and_the_order_is_kept() -> None:
    together = threading.Barrier(2, timeout=120)
    seen: list[str] = []

    def perform(one: Task) -> tuple[Report, Panel]:
        if one.task_id != "last":
            together.wait()  # both must be there at once, or this breaks
        seen.append(one.task_id)
        return report(one), panel()

    steps = (Step(task("one_")), Step(task("two_")), Step(task("last"), ("one_", "two_")))
    result = run(Agenda("agenda", steps), perform)
    assert seen[-1] == "last"
    assert [r.task.task_id for r in result.results] == ["one_", "two_", "last"]
    assert {r.state for r in result.results} == {StepState.ANSWERED}
    assert len(result.trace_id) == 32


def test_a_failure_skips_what_hangs_on_it_and_nothing_else() -> None:
    def perform(one: Task) -> tuple[Report, Panel]:
        if one.task_id == "one_":
            raise SourceError("series", "prometheus", "nothing")
        if one.task_id == "five":
            raise ZeroDivisionError
        return report(one), panel()

    steps = (
        Step(task("one_")),
        Step(task("two_"), ("one_",)),
        Step(task("three"), ("two_",)),
        Step(task("four")),
        Step(task("five"), ("four",)),
    )
    states = {r.task.task_id: (r.state, r.why) for r in run(Agenda("agenda", steps), perform).results}
    assert states["one_"] == (StepState.FAILED, "series from prometheus: nothing")
    assert states["two_"] == (StepState.SKIPPED, "one_ was failed: series from prometheus: nothing")
    assert states["three"][0] is StepState.SKIPPED
    assert states["four"] == (StepState.ANSWERED, "")
    assert states["five"][0] is StepState.FAILED


def test_a_condition_that_does_not_hold_skips_with_its_reason() -> None:
    first = task("first", "cart", "search")
    steps = (Step(first), Step(task("second"), ("first",), Condition("first", "worse", "cart")))

    def perform(one: Task) -> tuple[Report, Panel]:
        return report(one), panel(cart=(1.0, 1.0), search=(1.0, 2.0))

    second = run(Agenda("agenda", steps), perform).results[1]
    assert second.state is StepState.SKIPPED
    assert second.why.startswith("cart is not worse: latency_p99 against its baseline: cart +0.0%, search +100.0%")


def test_words_to_reports_of_a_real_incident(demo_case: Path, tmp_path: Path) -> None:
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path)) as ops:
        plan = ops.plan(
            "compare cpu of ts-order-service and ts-basic-service; and if ts-basic-service is worse find out why"
        )
        assert plan.agenda is not None
        result = ops.run_agenda(plan.agenda)
        states = [one.state for one in result.results]
        assert states == [StepState.ANSWERED, StepState.SKIPPED]
        first = result.results[0].report
        assert first is not None
        assert first.run["trace_id"] == result.trace_id
        assert ops.report(first.id).task == plan.task

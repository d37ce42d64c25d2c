"""What was asked, in numbers: each beside numpy over the same samples, and the three lines that say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain import (
    NS,
    Direction,
    Findings,
    FloatArray,
    Inputs,
    Intent,
    Logs,
    Observation,
    Panel,
    Recording,
    Scope,
    Spans,
    Symptom,
    Task,
    TimeRange,
    Verdict,
    from_ns,
    to_ns,
)
from aiops.stages.answer import answer
from aiops.stages.courses import courses
from aiops.stages.figures import figures
from aiops.stages.rates import with_rates

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE, NOW = 60, 15
TIMES = to_ns(AT) + 60 * NS * (np.arange(BEFORE + NOW, dtype=np.int64) - BEFORE)
random = np.random.default_rng(5)


def level(before: float, now: float, noise: float = 0.02) -> FloatArray:
    values = np.array([before] * BEFORE + [now] * NOW)
    return np.asarray(values * (1 + noise * random.standard_normal(BEFORE + NOW)))


def panel(rows: Mapping[Any, FloatArray]) -> Panel:
    """(service, metric, label=value...) -> values."""
    keys = sorted(rows)
    labels = tuple(
        {"service": node, "__name__": metric, **dict(one.split("=") for one in more)} for node, metric, *more in keys
    )
    values = np.array([rows[key] for key in keys])
    return Panel(labels, TIMES, values, tuple(key[0] for key in keys), to_ns(AT) <= TIMES)


def task(
    *services: str,
    metrics: tuple[str, ...] = (),
    intent: Intent = Intent.QUERY,
    filters: tuple[str, ...] = (),
    window: bool = False,
) -> Task:
    asked = TimeRange(AT, from_ns(int(TIMES[-1]) + NS)) if window else None
    return Task("asked", intent, Inputs(Symptom(at=AT), (), services, metrics, asked, filters=filters))


def lines(rows: Panel, asked: Task) -> tuple[Verdict, str]:
    scope = Scope(AT, TimeRange(from_ns(int(TIMES[0])), AT), TimeRange(AT, from_ns(int(TIMES[-1]))))
    recording = Recording("r", asked, scope, Observation(rows, Logs.empty(), Spans.empty()))
    told = answer(recording, Findings((), ()), ())
    return told.verdict, " | ".join(told.summary)


def test_the_numbers_are_those_of_the_samples() -> None:
    values = level(100.0, 250.0)
    values[3] = values[-2] = np.nan
    (one,) = figures(panel({("cart", "qps"): values}), task("cart", metrics=("qps",)))
    now, before = values[BEFORE:], values[:BEFORE]
    assert (one.last, one.mean, one.least, one.most, one.baseline) == pytest.approx(
        (now[-1], np.nanmean(now), np.nanmin(now), np.nanmax(now), np.nanmean(before))
    )
    assert one.samples == NOW - 1
    assert one.change == pytest.approx(now[-1] / np.nanmean(before) - 1), "of the number that is told"
    (over_a_time,) = figures(panel({("cart", "qps"): values}), task("cart", metrics=("qps",), window=True))
    assert over_a_time.change == pytest.approx(np.nanmean(now) / np.nanmean(before) - 1)
    assert one.most_at == from_ns(int(TIMES[BEFORE + int(np.nanargmax(now))]))
    assert (one.abnormal, one.direction, one.since) == (True, Direction.UP, AT)


@pytest.mark.parametrize(
    ("metric", "how", "expected"),
    [
        ("qps", "sum", 30.0),
        ("open_connections", "sum", 30.0),
        ("memory_bytes", "sum", 30.0),
        ("cpu_utilization", "mean", 15.0),
        ("cache_hit_ratio", "mean", 15.0),
        ("latency_p99", "highest", 20.0),
        ("availability", "lowest", 10.0),
    ],
)
def test_instances_of_one_metric_are_put_together_as_it_is_meant(metric: str, how: str, expected: float) -> None:
    rows = {("cart", metric, "pod=a"): np.full(75, 10.0), ("cart", metric, "pod=b"): np.full(75, 20.0)}
    (one,) = figures(panel(rows), task("cart", metrics=(metric,)))
    assert (one.series, one.how, one.last) == (2, how, expected)


def test_a_counter_is_told_per_second_and_in_all() -> None:
    grown = np.cumsum(np.array([60.0] * BEFORE + [600.0] * NOW))
    grown[40:] -= grown[40] - 5.0  # a restart
    rows = with_rates(panel({("cart", "http_requests_total"): grown}))
    (one,) = figures(rows, task("cart", metrics=("http_requests_total",)))
    assert one.metric == "rate(http_requests_total)"
    assert (one.last, one.total) == pytest.approx((10.0, 600.0 * NOW))
    assert "10 /s" in lines(rows, task("cart", metrics=("http_requests_total",)))[1]


def test_buckets_become_quantiles_of_all_instances() -> None:
    grow = np.arange(75, dtype=float)
    rows = {}
    for pod, factor in (("a", 1.0), ("b", 3.0)):
        for le, share in (("0.1", 50.0), ("0.5", 90.0), ("+Inf", 100.0)):
            rows["cart", "request_seconds_bucket", f"le={le}", f"pod={pod}"] = grow * share * factor
    told = figures(with_rates(panel(rows)), task("cart", metrics=("request_seconds_bucket",)))
    assert [f.metric for f in told] == ["p99(request_seconds)", "p95(request_seconds)", "p50(request_seconds)"]
    assert [f.mean for f in told] == pytest.approx([0.5, 0.5, 0.1])
    assert {f.series for f in told} == {2}


def test_several_are_told_in_the_order_spoken_and_compared() -> None:
    rows = panel({("orders", "qps"): level(100, 100, 0), ("checkout", "qps"): level(50, 25, 0)})
    verdict, said = lines(rows, task("orders", "checkout", metrics=("qps",)))
    assert verdict is Verdict.FOUND
    assert said.startswith(
        "qps: orders 100 now (as before), checkout 25 now (−50%); orders is highest (4 times checkout)"
    )
    assert lines(rows, task("checkout", "orders", metrics=("qps",)))[1].startswith("qps: checkout 25")


def test_a_named_time_is_told_by_its_mean_and_its_ends() -> None:
    values = level(10, 10, 0)
    values[-5] = 40.0
    said = lines(panel({("cart", "lag"): values}), task("cart", metrics=("lag",), window=True))[1]
    assert "12 on average, 10 to 40, +20% against 10 before" in said


def test_filters_select_and_the_answer_names_who_fulfils_them() -> None:
    rows = panel({("a", "cpu"): level(50, 95, 0), ("b", "cpu"): level(50, 60, 0), ("c", "cpu"): level(50, 91, 0)})
    _, said = lines(rows, task(metrics=("cpu",), filters=("cpu>90",)))
    assert said.startswith("2 of 3 services have cpu > 90 now: a 95; c 91")
    assert lines(rows, task(metrics=("cpu",), filters=("cpu>99",)))[1].startswith("None of 3 services has cpu > 99 now")
    assert lines(rows, task("b", metrics=("cpu",), filters=("cpu>90",)))[1].startswith(
        "No: b has not cpu > 90 now: b 60"
    )
    assert lines(rows, task("a", metrics=("cpu",), filters=("cpu>90",)))[1].startswith("Yes: a has cpu > 90 now: a 95")
    low = lines(rows, task(metrics=("cpu",), filters=("cpu<70",)))[1]
    assert low.startswith("1 of 3 services has cpu < 70 now: b 60")


def test_of_all_services_the_largest_come_first_or_the_smallest_by_the_number_that_is_told() -> None:
    rising = np.concatenate([np.full(BEFORE, 10.0), np.linspace(10, 40, NOW)])
    rows = panel({("a", "cpu"): level(30, 30, 0), ("b", "cpu"): rising, ("c", "cpu"): level(20, 20, 0)})
    for asked, expected in (
        (task(metrics=("cpu",)), ["b", "a", "c"]),  # 40, 30, 20 now
        (task(metrics=("cpu",), window=True), ["a", "b", "c"]),  # 30, 25, 20 on average
    ):
        lowest = replace(asked, inputs=replace(asked.inputs, order="lowest"))
        assert [f.node for f in figures(rows, asked)] == expected
        assert [f.node for f in figures(rows, lowest)] == expected[::-1]


def test_all_filters_must_hold() -> None:
    rows = panel(
        {
            ("a", "cpu"): level(50, 95, 0),
            ("a", "qps"): level(5, 5, 0),
            ("b", "cpu"): level(50, 95, 0),
            ("b", "qps"): level(50, 50, 0),
        }
    )
    said = lines(rows, task(metrics=("cpu", "qps"), filters=("cpu>90", "qps>10")))[1]
    assert said.startswith("1 of 2 services has cpu > 90 and qps > 10 now: b")


def test_per_cent_of_what_is_told_as_a_share_says_how_it_was_read() -> None:
    rows = panel({("a", "cpu_usage"): level(0.5, 0.95, 0), ("b", "cpu_usage"): level(0.5, 0.6, 0)})
    said = lines(rows, task(metrics=("cpu_usage",), filters=("cpu_usage>90",)))[1]
    assert said.startswith("1 of 2 services has cpu_usage > 90 now: a 0.95")
    assert "so 90 is read as 90%" in said


def test_what_has_no_samples_is_said() -> None:
    rows = panel({("a", "qps"): level(1, 1, 0)})
    verdict, said = lines(rows, task("a", "b", metrics=("qps",)))
    assert verdict is Verdict.FOUND
    assert "No samples: qps of b" in said
    verdict, said = lines(rows, task("a", metrics=("cpu",)))
    assert verdict is Verdict.INCONCLUSIVE
    assert said.startswith("No samples of cpu of a")
    assert "There is: qps" in said
    assert lines(Panel.empty(), task("a"))[0] is Verdict.INCONCLUSIVE


def test_a_check_says_first_whether_it_is_normal_since_when_and_by_how_much() -> None:
    values = level(100, 100)
    values[BEFORE + 5 :] = 300
    rows = panel({("cart", "qps"): values, ("cart", "cpu"): level(0.3, 0.3)})
    check = Intent.DETECT
    assert lines(rows, task("cart", metrics=("qps",), intent=check))[1].startswith(
        "Abnormal: qps of cart is above its range of "
    )
    assert "since 12:05:00Z: 300 now (3" in lines(rows, task("cart", metrics=("qps",), intent=check))[1]
    assert lines(rows, task("cart", metrics=("cpu",), intent=check))[1].startswith("Normal: cpu of cart is 0.")
    assert lines(rows, task("cart", intent=check))[1].startswith("Abnormal: 1 of 2 series, first of all qps of cart")
    assert lines(rows, task(intent=check))[1].startswith("Abnormal: 1 of 2 series")


def test_what_began_a_moment_ago_is_abnormal_and_a_spike_that_is_over_is_not() -> None:
    begun, over = level(100, 100), level(100, 100)
    begun[-3:] = 200
    over[BEFORE + 5 : BEFORE + 7] = 200
    rows = panel({("a", "qps"): begun, ("b", "qps"): over})
    told = figures(rows, task("a", "b", metrics=("qps",), intent=Intent.DETECT))
    assert [f.abnormal for f in told] == [True, False]
    assert told[0].since == from_ns(int(TIMES[-3]))


def test_a_departure_that_was_under_way_is_dated_from_its_beginning() -> None:
    values = level(100, 200)
    values[BEFORE - 6 :] = 200
    (one,) = figures(panel({("a", "qps"): values}), task("a", metrics=("qps",), intent=Intent.DETECT))
    assert one.since == AT - timedelta(minutes=6)


def test_from_nothing_to_something_is_abnormal_and_from_nothing_to_nothing_is_not() -> None:
    rows = panel({("a", "errors"): level(0, 3), ("b", "errors"): level(0, 0)})
    assert [f.abnormal for f in figures(rows, task("a", "b", metrics=("errors",), intent=Intent.DETECT))] == [
        True,
        False,
    ]


def test_without_a_baseline_a_check_can_not_be_made_but_a_query_can() -> None:
    values = level(1, 1)
    values[:BEFORE] = np.nan
    rows = panel({("a", "qps"): values})
    assert lines(rows, task("a", metrics=("qps",), intent=Intent.DETECT))[0] is Verdict.INCONCLUSIVE
    assert lines(rows, task("a", metrics=("qps",)))[0] is Verdict.FOUND


def test_quiet_series_are_normal() -> None:
    rows = panel({(f"s{i}", "qps"): level(100, 100, 0.1) for i in range(200)})
    each = [figures(rows, task(f"s{i}", metrics=("qps",), intent=Intent.DETECT))[0].abnormal for i in range(200)]
    assert sum(map(bool, each)) <= 2


@given(st.permutations(range(6)))
def test_the_order_of_rows_changes_nothing(order: list[int]) -> None:
    rows = panel({(f"s{i}", "qps"): level(100, 100 + 10 * (i % 2), 0) for i in range(6)})
    mixed = replace(
        rows,
        labels=tuple(rows.labels[i] for i in order),
        values=rows.values[order],
        nodes=tuple(rows.nodes[i] for i in order),
    )
    for asked in (task(metrics=("qps",)), task(), task("s3", "s1", metrics=("qps",))):
        assert figures(mixed, asked) == figures(rows, asked)


def test_virtual_nodes_count_only_where_they_are_named() -> None:
    rows = panel({("_entry", "qps"): level(1, 1), ("a", "qps"): level(1, 1)})
    assert [c.node for c in courses(rows)] == ["a"]
    assert [c.node for c in courses(rows, ("_entry",))] == ["_entry"]

"""Questions to a real Prometheus: the numbers of the answer are those of one's own PromQL, and of numpy over what was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest

import aiops
from aiops.domain import FloatArray, Intent, Report, Verdict, to_ns
from aiops.ops import Ops

import servers
from conftest import needed
from servers import promtool

STEP_S = 15
AT = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
TIMES = int(AT.timestamp()) + STEP_S * np.arange(-480, 1)
RECENT = int(AT.timestamp()) - TIMES <= 900
Ask = Callable[..., Report]
Promql = Callable[[str], dict[str, float]]


def waving(low: float, high: float) -> FloatArray:
    return np.asarray(np.where(RECENT, high, low) * (1 + 0.01 * np.sin(np.arange(len(TIMES)))))


GAUGES = {
    ("cart", "cpu_usage_ratio", ""): waving(0.30, 0.95),
    ("search", "cpu_usage_ratio", ""): waving(0.40, 0.41),
    ("cart", "memory_bytes", 'pod="a"'): waving(2e8, 2e8),
    ("cart", "memory_bytes", 'pod="b"'): waving(1e8, 1e8),
}
COUNTERS = {
    ("cart", "prod"): np.cumsum(np.where(RECENT, 600.0, 300.0)),
    ("cart", "staging"): np.cumsum(np.where(RECENT, 30.0, 30.0)),
    ("search", "prod"): np.cumsum(np.where(RECENT, 150.0, 150.0)),
}
BUCKETS = {"0.1": 50.0, "0.5": 90.0, "1": 98.0, "+Inf": 100.0}


def written() -> str:
    """All of it as OpenMetrics."""
    lines: list[str] = []

    def tell(series: str, values: FloatArray) -> None:
        lines.extend(f"{series} {value!r} {at}" for at, value in zip(TIMES.tolist(), values.tolist(), strict=True))

    for (service, metric, more), values in GAUGES.items():
        tell(f'{metric}{{service="{service}"{"," if more else ""}{more}}}', values)
    for (service, env), values in COUNTERS.items():
        tell(f'http_requests_total{{env="{env}",service="{service}"}}', values)
    for le, share in BUCKETS.items():
        tell(f'request_duration_seconds_bucket{{le="{le}",service="cart"}}', np.cumsum(np.full(len(TIMES), share)))
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ops, Promql]]:
    place: Path = tmp_path_factory.mktemp("answers")
    with needed():
        (place / "data").mkdir()
        (place / "all.om").write_text(written())
        promtool("tsdb", "create-blocks-from", "openmetrics", str(place / "all.om"), str(place / "data"))
        with (
            servers.prometheus(place / "data") as server,
            aiops.connect(f"prometheus+{server.url}", home=str(place / "home")) as house,
        ):

            def promql(text: str) -> dict[str, float]:
                query = urlencode({"query": text, "time": AT.timestamp()})
                with urlopen(f"{server.url}/api/v1/query?{query}") as told:
                    found = json.load(told)["data"]["result"]
                return {one["metric"].get("service", ""): float(one["value"][1]) for one in found}

            yield house, promql


@pytest.fixture
def ask(live: tuple[Ops, Promql]) -> Ask:
    def answer(text: str, intent: Intent = Intent.QUERY) -> Report:
        plan = live[0].plan(text, now=AT + timedelta(seconds=1))
        assert plan.task.intent is intent, plan.task
        return live[0].run(plan.task)

    return answer


@pytest.fixture
def promql(live: tuple[Ops, Promql]) -> Promql:
    return live[1]


def asked(minutes: int) -> FloatArray:
    """Which samples a window of the last minutes holds, of those before the moment of asking."""
    start = to_ns(AT + timedelta(seconds=1)) // 10**9 - 60 * minutes
    return np.asarray(start <= TIMES)


def test_a_value_now_and_over_a_time(ask: Ask, promql: Promql) -> None:
    (now,) = ask("what is the cpu_usage_ratio of cart?").figures
    mine = GAUGES["cart", "cpu_usage_ratio", ""]
    assert now.last == pytest.approx(promql("cpu_usage_ratio")["cart"]) == pytest.approx(mine[-1])
    (over,) = ask("cpu_usage_ratio of cart in the last 30 minutes").figures
    assert over.mean == pytest.approx(mine[asked(30)].mean())
    assert over.mean == pytest.approx(promql("avg_over_time(cpu_usage_ratio[30m])")["cart"], rel=0.02)
    assert over.most == pytest.approx(promql("max_over_time(cpu_usage_ratio[30m])")["cart"])


def test_the_summary_says_it_with_its_unit(ask: Ask) -> None:
    told = ask("what is the cpu_usage_ratio of cart?")
    assert told.verdict is Verdict.FOUND
    assert told.summary[0].startswith(
        f"cpu_usage_ratio of cart: {100 * GAUGES['cart', 'cpu_usage_ratio', ''][-1]:.3g}% now"
    )
    assert "times against 30" in told.summary[0]
    assert told.charts


def test_instances_are_added_up_and_counters_are_rates(ask: Ask, promql: Promql) -> None:
    (memory,) = ask("what is the memory of cart?").figures
    assert memory.last == pytest.approx(promql("sum by (service) (memory_bytes)")["cart"])
    told = ask("compare qps of cart and search in the last 10 minutes").figures
    mine = promql("sum by (service) (rate(http_requests_total[10m]))")
    assert {f.node: f.mean for f in told} == pytest.approx(mine, rel=0.01)
    in_all = promql("sum by (service) (increase(http_requests_total[10m]))")
    assert {f.node: f.total for f in told} == pytest.approx(in_all, rel=0.03)


def test_label_filters_are_applied(ask: Ask, promql: Promql) -> None:
    (staging,) = ask("qps of cart in staging for the last 10 minutes").figures
    assert staging.mean == pytest.approx(promql('rate(http_requests_total{env="staging"}[10m])')["cart"], rel=0.01)
    nowhere = ask("qps of cart for env=qa in the last 10 minutes")
    assert nowhere.verdict is Verdict.INCONCLUSIVE
    assert any("prod, staging" in gap.why for gap in nowhere.gaps)


def test_conditions_select_services(ask: Ask, promql: Promql) -> None:
    told = ask("which services have cpu over 90%?")
    assert [f.node for f in told.figures if f.fulfils] == list(promql("cpu_usage_ratio > 0.9"))
    assert told.summary[0].startswith("1 of 2 services has cpu_usage_ratio > 0.9 now: cart")


def test_a_percentile_comes_from_the_buckets(ask: Ask, promql: Promql) -> None:
    told = {f.metric: f.mean for f in ask("what is the p99 latency of cart in the last 10 minutes?").figures}
    for name, q in (("p99", 0.99), ("p95", 0.95), ("p50", 0.5)):
        mine = promql(f"histogram_quantile({q}, sum by (le, service) (rate(request_duration_seconds_bucket[10m])))")
        assert told[f"{name}(request_duration_seconds)"] == pytest.approx(mine["cart"])


def test_a_check_dates_the_departure(ask: Ask) -> None:
    told = ask("is the cpu of cart normal?", Intent.DETECT)
    assert told.summary[0].startswith("Abnormal: cpu_usage_ratio of cart is above its range")
    (one,) = told.figures
    assert one.since
    assert abs((one.since - (AT - timedelta(minutes=15))).total_seconds()) <= STEP_S
    assert ask("is the cpu of search normal?", Intent.DETECT).summary[0].startswith("Normal: cpu_usage_ratio of search")

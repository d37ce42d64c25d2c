"""Words that need no service, words that no catalog holds, common Chinese names, and questions back in the language asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aiops.domain import Catalog, Intent
from aiops.stages.interpret import Plan, interpret
from aiops.stages.interpret.match import near

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
SHOP = Catalog(
    ("adservice", "cartservice", "checkoutservice", "frontend", "paymentservice", "productcatalogservice"),
    (
        "CpuUsage",
        "LatencyP99_s",
        "PodClientLatencyP99_s",
        "PodServerLatencyP99_s",
        "memory_usage_bytes",
        "latency_seconds",
    ),
    having={
        "CpuUsage": ("adservice", "cartservice", "checkoutservice", "frontend"),
        "LatencyP99_s": (),
        "PodClientLatencyP99_s": ("cartservice", "frontend"),
        "PodServerLatencyP99_s": ("cartservice", "frontend"),
        "memory_usage_bytes": ("cartservice",),
        "latency_seconds": ("paymentservice",),
    },
)


def plan(text: str, catalog: Catalog = SHOP) -> Plan:
    return interpret(text, catalog, now=NOW)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("which services have cpu over 90%?", Intent.QUERY),
        ("cpu of all services", Intent.QUERY),
        ("list services with cpu above 20", Intent.QUERY),
        ("how high is the cpu in prod?", Intent.QUERY),
        ("is anything abnormal?", Intent.DETECT),
        ("哪些服务的cpu超过90%?", Intent.QUERY),
        ("所有服务的cpu", Intent.QUERY),
    ],
)
def test_what_is_asked_of_all_needs_no_service(text: str, intent: Intent) -> None:
    told = plan(text).task
    assert (told.intent, told.inputs.services) == (intent, ())


@pytest.mark.parametrize("text", ["what is the cpu?", "cpu是多少", "restart it", "重启所有服务"])
def test_a_value_of_nobody_and_a_change_to_all_are_asked_back_or_refused(text: str) -> None:
    assert plan(text).task.intent in {Intent.CLARIFY, Intent.REJECT}


@pytest.mark.parametrize(
    ("text", "services"),
    [
        ("购物车的cpu正常吗", ("cartservice",)),
        ("比较前端和购物车的cpu", ("frontend", "cartservice")),
        ("结账服务的cpu是多少", ("checkoutservice",)),
        ("compare cpu of frontend 和购物车", ("frontend", "cartservice")),
    ],
)
def test_common_chinese_names_stand_for_what_the_catalog_has(text: str, services: tuple[str, ...]) -> None:
    assert plan(text).task.inputs.services == services


def test_a_common_name_that_fits_several_is_asked_back() -> None:
    told = plan("订单的cpu是多少", Catalog(("order-reader", "order-writer"), ("cpu_usage",)))
    assert told.task.intent is Intent.CLARIFY
    assert set(told.choices) == {"order-reader", "order-writer"}
    assert plan("订单的cpu是多少", Catalog(("order-service", "order-db"), ("cpu_usage",))).task.inputs.services == (
        "order-service",
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("compare cpu of frontend and gateway", "gateway"),
        ("what is the cpu of the ledger?", "ledger"),
        ("what is the cpu of quuxly?", "quuxly"),
        ("compare cpu of frontend and quuxly", "quuxly"),
        ("库存的cpu是多少", "库存"),
        ("quuxly 现在的内存是多少", "quuxly"),
    ],
)
def test_the_word_that_is_not_known_is_named(text: str, word: str) -> None:
    told = plan(text).task
    assert told.intent is Intent.CLARIFY
    assert word in told.question
    assert ("请问" in told.question or "您" in told.question) is any("\u4e00" <= c <= "\u9fff" for c in text)


def test_choices_are_the_nearest_and_never_merely_alphabetical() -> None:
    assert near("checkut", SHOP)[0] == "checkoutservice"
    assert near("结账", SHOP)[0] == "checkoutservice"
    many = Catalog(tuple(f"s{i:02}" for i in range(40)), ())
    assert near("zzz", many) != many.services[:5]


def test_a_metric_that_the_service_has_under_another_name() -> None:
    assert plan("what is the p99 latency of frontend?").task.inputs.metrics == ("PodServerLatencyP99_s",)
    assert plan("what is LatencyP99_s of frontend?").task.inputs.metrics == ("LatencyP99_s",), "named in full"


def test_a_number_is_told_in_the_unit_of_the_metric() -> None:
    asked = "is latency_seconds of paymentservice over {}?"
    for said in ("500 ms", "0.5 s", "500毫秒"):
        assert plan(asked.format(said)).task.inputs.filters == ("latency_seconds>0.5",)
    assert plan("which services have memory_usage_bytes over 1 gib?").task.inputs.filters == (
        "memory_usage_bytes>1073741824",
    )


def test_a_quantity_that_nothing_measures_is_named() -> None:
    assert "errors" in plan("how many errors in prod since 05:00?").task.question
    assert "qps" in plan("what is the qps of frontend?").note


def test_buckets_stand_for_every_percentile() -> None:
    shop = Catalog(("cart",), ("http_request_duration_seconds_bucket", "http_request_duration_seconds_count"))
    assert plan("p95 of cart", shop).task.inputs.metrics == ("http_request_duration_seconds_bucket",)


def test_a_value_from_an_earlier_clause_says_so() -> None:
    told = plan("compare cpu of frontend and cartservice, and if cartservice is worse find out why")
    assert told.agenda
    second = told.origins_of[told.agenda.steps[1].task.task_id]
    assert second["inputs.metrics"] == "earlier clause"
    assert "session" not in second.values()
    assert second["inputs.window"] == "default"


def test_a_query_without_a_time_has_the_moment_it_is_asked_at() -> None:
    at = datetime(2026, 11, 20, 7, 45, tzinfo=UTC)
    told = interpret("cpu of frontend", SHOP, now=NOW, noticed=at).task
    assert told.inputs.symptom
    assert told.inputs.symptom.at == at


def test_is_it_high_is_a_check() -> None:
    assert plan("is the cpu of frontend high?").task.intent is Intent.DETECT
    assert plan("did the cpu of frontend spike?").task.intent is Intent.DETECT


@pytest.mark.parametrize(
    "text",
    [
        "errors of cart",
        "error rate of the cartservice",
        "cartservice's errors since 7:30",
        "cart 的错误率",
        "failures of cart, please",
    ],
)
def test_a_value_that_is_only_named_is_a_query_whatever_it_is_called(text: str) -> None:
    known = Catalog(("cartservice", "frontend"), ("cpu_usage", "error_rate"))
    read = interpret(text, known, now=NOW)
    assert (read.task.intent, read.task.inputs.services, read.task.inputs.metrics) == (
        Intent.QUERY,
        ("cartservice",),
        ("error_rate",),
    )
    assert not read.note, "no model is needed to read it"


@pytest.mark.parametrize("text", ["why errors of cart", "errors of cart are high", "cart 一直报错", "errors of cart!"])
def test_what_is_told_of_it_still_asks_why_or_stays_a_guess(text: str) -> None:
    known = Catalog(("cartservice", "frontend"), ("cpu_usage", "error_rate"))
    read = interpret(text, known, now=NOW)
    assert read.task.intent is Intent.DIAGNOSE or read.note


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("lowest cpu of all services", "lowest"),
        ("which service has the least cpu?", "lowest"),
        ("cpu 最小的 3 个服务", "lowest"),
        ("cpu最低的服务是哪个", "lowest"),
        ("cpu of all services", "highest"),
        ("which services have at least 90% cpu?", "highest"),
    ],
)
def test_the_least_come_first_where_they_are_asked_for(text: str, order: str) -> None:
    told = plan(text).task
    assert (told.intent, told.inputs.services, told.inputs.order) == (Intent.QUERY, (), order)


@pytest.mark.parametrize("text", ["cpu of billing in prod", "is the cpu of billing with env=staging normal?"])
def test_a_label_does_not_make_all_services_of_one_that_nobody_knows(text: str) -> None:
    told = plan(text).task
    assert told.intent is Intent.CLARIFY
    assert "billing" in told.question


def test_those_that_have_the_metric_are_offered() -> None:
    assert set(plan("what is the memory_usage_bytes level").choices) <= {"cartservice", "all services"}
    assert plan("how high is the cpu?").choices[0] in SHOP.having["CpuUsage"]
    assert "paymentservice" not in plan("how high is the cpu?").choices


def test_a_follow_up_keeps_the_day_of_the_turn_before() -> None:
    first = plan("show cpu of frontend yesterday from 9:00 to 11:00")
    second = interpret("and memory_usage_bytes?", SHOP, now=NOW, context=first.slots)
    assert first.task.inputs.window is not None
    assert second.task.inputs.window == first.task.inputs.window

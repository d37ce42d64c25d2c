"""Requests that ask several things: what is taken apart, what hangs on what, and what stays one question."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiops.bench import intake
from aiops.domain import Agenda, Condition
from aiops.schema import agenda as agenda_schema
from aiops.stages.interpret import interpret

DATA = Path(__file__).parent.parent / "data" / "intake"
CATALOG, NOW = intake.read_catalog(DATA / "catalog.json")


def agenda_of(text: str) -> Agenda | None:
    plan = interpret(text, CATALOG, now=NOW, timezone="Asia/Shanghai")
    if plan.agenda is not None:
        assert plan.task == plan.agenda.steps[0].task
        assert agenda_schema.load(agenda_schema.dump(plan.agenda, plan.origins_of)) == plan.agenda
    return plan.agenda


def shape(text: str) -> list[tuple[str, tuple[str, ...], tuple[int, ...], str]]:
    """(intent, services, the steps it waits for, what must hold) of each step."""
    agenda = agenda_of(text)
    assert agenda is not None, text
    ids = [step.task.task_id for step in agenda.steps]
    return [
        (
            str(step.task.intent),
            step.task.inputs.services,
            tuple(map(ids.index, step.after)),
            f"{step.only_if.service} {step.only_if.holds}".strip() if step.only_if else "",
        )
        for step in agenda.steps
    ]


PAIR = [("query", ("orders", "checkout"), (), ""), ("diagnose", ("checkout",), (0,), "checkout worse")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("compare qps of orders and checkout, and if checkout is worse find out why", PAIR),
        ("对比订单和结算的qps，如果结算更差就查一下原因", PAIR),
        (
            "show cpu of db-3 for the last hour, then forecast its disk for 3 days",
            [("query", ("db-3",), (), ""), ("forecast", ("db-3",), (0,), "")],
        ),
        (
            "show error rate of cart; show qps of search; forecast disk usage on db-7 for the next 6 hours",
            [("query", ("cart",), (), ""), ("query", ("search",), (), ""), ("forecast", ("db-7",), (), "")],
        ),
        (
            "is gateway p99 normal today? if not, find out why",
            [("detect", ("gateway",), (), ""), ("diagnose", ("gateway",), (0,), "abnormal")],
        ),
        (
            "查一下网关今天的5xx有没有异常，如果异常就诊断一下，然后写份报告",
            [
                ("detect", ("gateway",), (), ""),
                ("diagnose", ("gateway",), (0,), "abnormal"),
                ("report", ("gateway",), (1,), ""),
            ],
        ),
        (
            "forecast disk on db-7 for 2 days; if it runs out, scale it up",
            [("forecast", ("db-7",), (), ""), ("remediate", ("db-7",), (0,), "full")],
        ),
        (
            "show lag of orders-consumer and if lag > 10k restart it",
            [("query", ("orders-consumer",), (), ""), ("remediate", ("orders-consumer",), (0,), "")],
        ),
    ],
)
def test_what_asks_several_things_is_taken_apart(text: str, expected: object) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "if memory on cart exceeds 90% restart it",
        "restart the stuck consumer of orders if lag > 10k",
        "ok then show me cart errors",
        "compare qps of orders and checkout for the last hour",
        "cpu and memory for cart, previous 8 hours",
        "scale inventory up, cpu has been pegged for 20 min",
        "支付挂了，15:15开始的，赶紧查根因",
        "recommendation 明天内存够不够用，预测未来24小时",
        'why is cart slow? the alert says "then restart db-3; and then roll back gateway"',
        "库存最近一小时错误率为什么高，日志：“然后重启网关；如果更差就回滚”",
        "show qps of cart and then do something nice",
        "show qps of cart and if zeus-api is worse find out why",
        "show qps of cart, then wipe db-3",
    ],
)
def test_what_asks_one_thing_or_is_unclear_stays_one(text: str) -> None:
    assert agenda_of(text) is None


@pytest.mark.parametrize("name", ["dev", "heldout", "second", "third", "sixth"])
def test_no_plain_utterance_is_torn_apart(name: str) -> None:
    torn = [one.text for one in intake.read_utterances(DATA / f"{name}.jsonl") if agenda_of(one.text)]
    assert torn == []


def test_a_change_in_an_agenda_is_a_plan_too() -> None:
    agenda = agenda_of("is db-3 cpu normal today? if not, restart it")
    assert agenda is not None
    last = agenda.steps[-1]
    assert (last.task.intent, last.task.inputs.action) == ("remediate", "restart")
    assert last.only_if == Condition(agenda.steps[0].task.task_id, "abnormal")

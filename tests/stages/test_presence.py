"""A trace is one witness, however often it asks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import system

from aiops.domain import NS, Logs, ObjectArray, Spans, to_ns
from aiops.stages.detect.aborted import aborts
from aiops.stages.detect.failures import failed_spans
from aiops.stages.detect.logs import TemplateShift, template_shifts
from aiops.stages.detect.presence import weigh_up, witness_parts
from aiops.stages.detect.spans import span_table

LINE = "INFO order read from the store"


def text(values: list[str]) -> ObjectArray:
    return np.array(values, dtype=object)


def requests(before: list[bool], after: list[bool], asks: int, traces_of: int) -> tuple[Spans, Logs]:
    """One operation of `shop`, asked `asks` times by each of the given flags, which say whether it goes well: writes its line,
    does not fail. Each flag is `traces_of` traces, so that asks x spans are as many however they are spread."""
    rows = []
    for late, flags in ((False, before), (True, after)):
        for k, good in enumerate(flags):
            for n in range(asks):
                trace = f"{late}{k}-{n % traces_of}"
                at = to_ns(system.AT) + (k * NS if late else (k - 3600) * NS)
                rows.append((at, late, trace, f"{trace}-{n}", good))
    late = np.array([row[1] for row in rows])
    times = np.array([row[0] for row in rows], dtype=np.int64)
    ids, traces = [row[3] for row in rows], [row[2] for row in rows]
    good = np.array([row[4] for row in rows])
    n = len(rows)
    spans = Spans(
        times,
        np.full(n, 1_000_000),
        text(["shop"] * n),
        text(["read"] * n),
        text(traces),
        text(ids),
        text([""] * n),
        ~good,
        late,
    )
    kept = np.flatnonzero(good)
    lines = text([LINE] * len(kept))
    return spans, Logs(times[kept], spans.nodes[kept], lines, spans.trace_ids[kept], spans.span_ids[kept], late[kept])


def shifts(spans: Spans, logs: Logs) -> list[TemplateShift]:
    return template_shifts(logs, spans, span_table(spans))


WELL, HALF = [True] * 8, [True, False]  # eight traces before; of two in the incident, one goes otherwise


def test_two_traces_that_ask_often_are_two_witnesses() -> None:
    assert shifts(*requests(WELL, HALF, asks=8, traces_of=1)) == []


def test_as_many_spans_of_as_many_traces_are_as_many_witnesses() -> None:
    (lost,) = shifts(*requests(WELL, HALF, asks=8, traces_of=8))
    assert (lost.what, lost.before, lost.after) == ("lost", 1.0, 0.5)
    assert lost.strength > 2.0


def test_failed_spans_are_counted_by_traces() -> None:
    once, often = requests(WELL, HALF, asks=8, traces_of=8)[0], requests(WELL, HALF, asks=8, traces_of=1)[0]
    assert set(failed_spans(once, span_table(once))) == {"shop"}
    assert failed_spans(often, span_table(often)) == {}


def calling(broken: int, asks: int) -> Spans:
    """`shop` calls `bank` at the end of each request; `broken` of the eight traces in the incident call it no more. Each trace
    asks `asks` times."""
    rows = []
    for late in (False, True):
        for k in range(8):
            for n in range(asks):
                at = to_ns(system.AT) + (k * NS if late else (k - 3600) * NS)
                trace = f"{late}{k}"
                rows.append((at, late, trace, "shop", "buy", f"{trace}-{n}", ""))
                if not (late and k < broken):
                    rows.append((at + 1, late, trace, "bank", "charge", f"{trace}-{n}b", f"{trace}-{n}"))
    times, late, traces, nodes, operations, ids, parents = (list(column) for column in zip(*rows, strict=True))
    return Spans(
        np.array(times, dtype=np.int64),
        np.full(len(rows), 1_000_000),
        text(nodes),
        text(operations),
        text(traces),
        text(ids),
        text(parents),
        np.zeros(len(rows), dtype=bool),
        np.array(late),
    )


def test_requests_that_break_off_are_counted_by_traces() -> None:
    spans, more = calling(2, asks=10), calling(2, asks=100)
    few, many = (aborts(one, span_table(one)) for one in (spans, more))
    assert [a.node for a in few] == ["shop"]
    assert many[0].strength == pytest.approx(few[0].strength)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 5)), max_size=40), st.randoms())
def test_witnesses_are_the_distinct_traces_in_any_order(rows: list[tuple[int, bool, int]], random: object) -> None:
    def counted(mine: list[tuple[int, bool, int]]) -> dict[int, tuple[float, float]]:
        parts = witness_parts(mine)
        return weigh_up((op, late, part) for (op, late, _), part in zip(mine, parts, strict=True))

    shuffled = sorted(rows, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert counted(shuffled) == counted(rows)
    for operation, (before, after) in counted(rows).items():
        distinct = {(late, trace) for op, late, trace in rows if op == operation}
        assert before == pytest.approx(sum(not late for late, _ in distinct))
        assert after == pytest.approx(sum(late for late, _ in distinct))

"""The lines of a query: the values that were asked for, who fulfils a condition, and how it went."""

from __future__ import annotations

from collections.abc import Sequence

from aiops.domain import Figure
from aiops.stages.answer.asked import MOST_SAID, Asked
from aiops.stages.answer.lacking import missing, rests_on
from aiops.stages.answer.words import (
    against,
    brief_value,
    briefly,
    capital,
    clock,
    departed,
    number_of,
    said,
    span_of,
    spread_of,
    value_of,
)
from aiops.stages.courses import bare
from aiops.stages.figures import Limit, asked_metrics
from aiops.units import figure


def queried(asked: Asked) -> tuple[str, str, str]:
    """The values, or who fulfils the condition, or what moved; how it went; what it rests on."""
    if asked.limits:
        first = _fulfilled(asked)
    elif asked_metrics(asked.task):
        first = _values(asked)
    else:
        first = _overview(asked)
    return f"{first}{missing(asked)}", course(asked), rests_on(asked)


def _values(asked: Asked) -> str:
    """Every asked metric with every node's value, in the order spoken."""
    known, parts = asked.known, []
    for metric in dict.fromkeys(f.metric for f in known):
        mine = [f for f in known if f.metric == metric]
        if len(mine) == 1:
            parts.append(f"{bare(metric)} of {mine[0].node}: {value_of(mine[0], asked)}{against(mine[0])}")
            continue
        said = ", ".join(f"{f.node} {brief_value(f, asked)}{briefly(f)}" for f in mine[:MOST_SAID])
        more = ""
        if len(mine) > MOST_SAID:
            way = "up" if asked.task.inputs.order == "lowest" else "down"
            more = f" and {len(mine) - MOST_SAID} more, {way} to {mine[-1].node} {value_of(mine[-1], asked)}"
        parts.append(f"{bare(metric)}: {said}{more}{_compared(mine, asked)}")
    return "; ".join(parts[:MOST_SAID]) + (f"; and {len(parts) - MOST_SAID} more" if len(parts) > MOST_SAID else "")


def _compared(mine: Sequence[Figure], asked: Asked) -> str:
    """The highest beside the lowest, where two or three were named."""
    if not 2 <= len(mine) <= 3 or not asked.task.inputs.services:
        return ""
    low, high = (pick(mine, key=lambda f: number_of(f, asked)) for pick in (min, max))
    bottom, top = number_of(low, asked), number_of(high, asked)
    if top == bottom:
        return "; they are equal"
    if asked.task.inputs.order == "lowest":
        return f"; {low.node} is lowest"
    by = f" ({figure(top / bottom)} times {low.node})" if bottom > 0 else ""
    return f"; {high.node} is highest{by}"


def _overview(asked: Asked) -> str:
    """Of a service of which no metric was named: what moved."""
    known = asked.known
    nodes = list(dict.fromkeys(f.node for f in known))
    moved = [f for f in known if f.abnormal]
    about = ", ".join(nodes[:MOST_SAID]) + (f" and {len(nodes) - MOST_SAID} more" if len(nodes) > MOST_SAID else "")
    if not moved:
        return f"{about}: {len(known)} metrics, all within their range before"
    said = "; ".join(departed(f, asked, alone=len(nodes) == 1) for f in moved[:3])
    return f"{about}: {len(moved)} of {len(known)} metrics are outside their range before: {said}"


def _fulfilled(asked: Asked) -> str:
    """Who fulfils the numeric filters."""
    nodes = list(dict.fromkeys(f.node for f in asked.known if f.fulfils is not None))
    judged = {node: [f for f in asked.known if f.node == node and f.fulfils is not None] for node in nodes}
    # Of a histogram's quantiles the first (the highest) is the one that is meant.
    met = [
        n for n in nodes if all(_first(judged[n], limit).fulfils for limit in asked.limits if _has(judged[n], limit))
    ]
    complete = [n for n in met if all(_has(judged[n], limit) for limit in asked.limits)]
    wanted = " and ".join(limit.said for limit in asked.limits)
    when = "now" if asked.task.inputs.window is None else "at some time " + span_of(asked)
    if len(nodes) == 1:
        node, said = nodes[0], "; ".join(_extreme(f, asked) for f in judged[nodes[0]][:MOST_SAID])
        return f"{'Yes' if complete else 'No'}: {node} {'has' if complete else 'has not'} {wanted} {when}: {said}"
    if not complete:
        nearest = "; ".join(_extreme(f, asked) for n in nodes[:3] for f in judged[n][:1])
        return f"None of {len(nodes)} services has {wanted} {when}; nearest: {nearest}"
    said = "; ".join(_extreme(_first(judged[n], asked.limits[0]), asked) for n in complete[:MOST_SAID])
    more = f" and {len(complete) - MOST_SAID} more" if len(complete) > MOST_SAID else ""
    return f"{len(complete)} of {len(nodes)} services {'have' if len(complete) > 1 else 'has'} {wanted} {when}: {said}{more}"


def _has(figures: Sequence[Figure], limit: Limit) -> bool:
    return any(_is_of(f, limit) for f in figures)


def _first(figures: Sequence[Figure], limit: Limit) -> Figure:
    return next((f for f in figures if _is_of(f, limit)), figures[0])


def _is_of(f: Figure, limit: Limit) -> bool:
    return limit.metric in (bare(f.metric), f"{f.metric.partition('(')[2].removesuffix(')')}_bucket")


def _extreme(f: Figure, asked: Asked) -> str:
    """The value that a filter goes by: now, else the one of the asked time that is furthest on its side."""
    limit = next((one for one in asked.limits if _is_of(f, one)), None)
    if asked.task.inputs.window is None or limit is None:
        return f"{f.node} {said(f.last, f.metric)}"
    if limit.sign == "<":
        return f"{f.node} down to {said(f.least, f.metric)}, mean {said(f.mean, f.metric)}"
    at = f" at {clock(f.most_at)}" if f.most_at else ""
    return f"{f.node} up to {said(f.most, f.metric)}{at}, mean {said(f.mean, f.metric)}"


def course(asked: Asked) -> str:
    """How it went over the asked time."""
    known = [f for f in asked.known if f.fulfils is not False] or list(asked.known)
    several = len({f.metric for f in known}) > 1
    parts = []
    for f in known[:3]:
        name = f"{f.node} {bare(f.metric)}" if several else f.node
        highest = f", highest at {clock(f.most_at)}" if f.most_at and f.most != f.least else ""
        total = (
            f", {figure(f.total)} in all"
            if f.total is not None and not bare(f.metric).endswith(("_seconds_total", "_sum"))
            else ""
        )
        spread = spread_of(f)
        mean = (
            f", mean {said(f.mean, f.metric)}"
            if asked.task.inputs.window is None
            else f", last {said(f.last, f.metric)}"
        )
        parts.append(f"{name} {spread}{highest}{mean if f.most != f.least else ''}{total}")
    more = f"; {len(known) - 3} more in the table" if len(known) > 3 else ""
    return f"{capital(span_of(asked))}: {'; '.join(parts)}{more}"

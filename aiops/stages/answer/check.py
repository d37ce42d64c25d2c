"""The lines of a check: what left its range before, what did not, and what else was seen there."""

from __future__ import annotations

from collections.abc import Sequence

from aiops.domain import EventKind, Figure, Findings
from aiops.stages.answer.asked import Asked
from aiops.stages.answer.lacking import missing, rests_on
from aiops.stages.answer.values import course
from aiops.stages.answer.words import departed, range_of, value_of
from aiops.stages.courses import bare
from aiops.stages.figures import asked_metrics


def checked(asked: Asked, judged: Sequence[Figure], findings: Findings) -> tuple[str, str, str]:
    """The verdict first; the others after it; last what else was seen, and what it rests on. `judged`: figures with a range."""
    abnormal, normal = [f for f in judged if f.abnormal], [f for f in judged if not f.abnormal]
    if not asked.task.inputs.services:
        abnormal.sort(key=lambda f: -f.score)  # stable: they come in an order that favours none
    second = _others(asked, abnormal[1:], normal)
    third = f"{_elsewhere(asked, findings)}{rests_on(asked)}"
    return f"{_first_line(asked, abnormal, normal)}{missing(asked)}", second, third


def _first_line(asked: Asked, abnormal: Sequence[Figure], normal: Sequence[Figure]) -> str:
    judged = len(abnormal) + len(normal)
    if not abnormal:
        if judged == 1:
            f = normal[0]
            return f"Normal: {bare(f.metric)} of {f.node} is {value_of(f, asked)}, within its range of {range_of(f)}"
        return f"Normal: {_subject(asked, normal)} within {'their' if judged > 1 else 'its'} range before"
    worst = abnormal[0]
    if judged == 1:
        return f"Abnormal: {departed(worst, asked)}"
    nodes = list(dict.fromkeys(f.node for f in abnormal))
    where = f" at {len(nodes)} services" if len(nodes) > 1 and not asked.task.inputs.services else ""
    return f"Abnormal: {len(abnormal)} of {judged} series{where}, first of all {departed(worst, asked)}"


def _subject(asked: Asked, figures: Sequence[Figure]) -> str:
    metrics, nodes = (
        list(dict.fromkeys(names)) for names in ((bare(f.metric) for f in figures), (f.node for f in figures))
    )
    what = ", ".join(metrics) if asked_metrics(asked.task) and len(metrics) <= 4 else f"all {len(metrics)} metrics"
    who = ", ".join(nodes) if len(nodes) <= 4 else f"all {len(nodes)} services"
    return f"{what} of {who} {'are' if len(figures) > 1 else 'is'}"


def _others(asked: Asked, abnormal: Sequence[Figure], normal: Sequence[Figure]) -> str:
    if abnormal:
        more = f"; and {len(abnormal) - 3} more" if len(abnormal) > 3 else ""
        return f"Also abnormal: {'; '.join(departed(f, asked) for f in abnormal[:3])}{more}"
    if len(normal) <= 1:
        return course(asked)
    within = [f"{f.node} {bare(f.metric)} {value_of(f, asked)} in {range_of(f)}" for f in normal[:3]]
    more = f"; and {len(normal) - 3} more" if len(normal) > 3 else ""
    return f"Within range: {'; '.join(within)}{more}"


def _elsewhere(asked: Asked, findings: Findings) -> str:
    """What else was seen at the nodes that were asked about: other metrics, logs, traces."""
    nodes = set(asked.task.inputs.services)
    told = {(one.figure.node, one.course.asked) for one in asked.told}
    other = sorted(
        (a for a in findings.anomalies if a.node in nodes and (a.node, bare(a.metric)) not in told),
        key=lambda a: (-a.score, a.node, a.metric),
    )
    events = [
        e for e in findings.events if e.node in nodes and e.kind in (EventKind.LOG, EventKind.SPAN) and e.what != "lost"
    ]
    parts = [f"{a.node} {bare(a.metric)} {a.direction}" for a in other[:3]]
    if len(other) > 3:
        parts.append(f"{len(other) - 3} more metrics")
    if events:
        parts.append(f"{len(events)} events in its logs and traces")
    return f"Beside it: {', '.join(parts)}. " if parts else ""

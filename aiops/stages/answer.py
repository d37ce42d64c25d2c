"""The answer to a query or a check: figures in three lines. Decides what is said; `render/` decides how it looks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from aiops.domain import (
    Direction,
    EventKind,
    Figure,
    Findings,
    Gap,
    Intent,
    Panel,
    Recording,
    Task,
    TimeRange,
    Verdict,
    from_ns,
)
from aiops.stages.courses import asked_rows, bare, steps_s
from aiops.stages.figures import Limit, Measured, asked_metrics, limits, measured
from aiops.units import between, figure, quantity

MOST_FIGURES = 40
MOST_SAID = 6  # figures in one line
MOST_CHARTS = 6
AS_BEFORE = 0.02  # of the baseline: a smaller change is none
SEVERAL = 2.0  # times the baseline; above, a factor is clearer than a percentage


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: Verdict
    summary: tuple[str, str, str]
    figures: tuple[Figure, ...]
    measured: tuple[Measured, ...]  # of what is worth a chart


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a question was about, and what there is of it."""

    task: Task
    panel: Panel
    told: tuple[Measured, ...]
    limits: tuple[Limit, ...]
    gaps: tuple[Gap, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        return tuple(one.figure for one in self.told)

    @property
    def known(self) -> tuple[Figure, ...]:
        return tuple(f for f in self.figures if f.samples)


def answer(recording: Recording, findings: Findings, gaps: Sequence[Gap]) -> Answer:
    """What was asked for, in numbers. INCONCLUSIVE only where there are no samples to answer from."""
    task, panel = recording.task, recording.observation.panel
    told = measured(panel, task)
    asked = _Asked(task, panel, told, limits(task, [one.course for one in told]), tuple(gaps))
    checked = task.intent is Intent.DETECT and not asked.limits  # a condition asks for yes or no, not for what is usual
    judged = [f for f in asked.known if f.abnormal is not None]
    if not asked.known or (checked and not judged):
        verdict, summary = Verdict.INCONCLUSIVE, _nothing(asked)
    else:
        verdict = Verdict.FOUND
        summary = _checked(asked, judged, findings) if checked else _queried(asked)
    shown = tuple(f for f in asked.figures if f.samples or asked_metrics(task))[:MOST_FIGURES]
    drawable = [one for one in told if one.figure.samples]
    charted = [one for one in drawable if one.figure.fulfils is not False] or drawable
    if checked and not asked_metrics(task):
        charted = [one for one in charted if one.figure.abnormal] or charted
    return Answer(verdict, summary, shown, tuple(charted[:MOST_CHARTS]))


# ---------------------------------------------------------------- a query


def _queried(asked: _Asked) -> tuple[str, str, str]:
    if asked.limits:
        first = _fulfilled(asked)
    elif asked_metrics(asked.task):
        first = _values(asked)
    else:
        first = _overview(asked)
    return f"{first}{_missing(asked)}", _course(asked), _rests_on(asked)


def _values(asked: _Asked) -> str:
    """Every asked metric with every node's value, in the order spoken."""
    known, parts = asked.known, []
    for metric in dict.fromkeys(f.metric for f in known):
        mine = [f for f in known if f.metric == metric]
        if len(mine) == 1:
            parts.append(f"{plain(metric)} of {mine[0].node}: {_value(mine[0], asked)}{_against(mine[0])}")
            continue
        said = ", ".join(f"{f.node} {_brief_value(f, asked)}{_briefly(f)}" for f in mine[:MOST_SAID])
        more = ""
        if len(mine) > MOST_SAID:
            more = f" and {len(mine) - MOST_SAID} more, down to {mine[-1].node} {_value(mine[-1], asked)}"
        parts.append(f"{plain(metric)}: {said}{more}{_compared(mine, asked)}")
    return "; ".join(parts[:MOST_SAID]) + (f"; and {len(parts) - MOST_SAID} more" if len(parts) > MOST_SAID else "")


def _compared(mine: Sequence[Figure], asked: _Asked) -> str:
    """The highest beside the lowest, where two or three were named."""
    if not 2 <= len(mine) <= 3 or not asked.task.inputs.services:
        return ""
    low, high = (pick(mine, key=lambda f: _number(f, asked)) for pick in (min, max))
    bottom, top = _number(low, asked), _number(high, asked)
    if top == bottom:
        return "; they are equal"
    by = f" ({figure(top / bottom)} times {low.node})" if bottom > 0 else ""
    return f"; {high.node} is highest{by}"


def _overview(asked: _Asked) -> str:
    """Of a service of which no metric was named: what moved."""
    known = asked.known
    nodes = list(dict.fromkeys(f.node for f in known))
    moved = [f for f in known if f.abnormal]
    about = ", ".join(nodes[:MOST_SAID]) + (f" and {len(nodes) - MOST_SAID} more" if len(nodes) > MOST_SAID else "")
    if not moved:
        return f"{about}: {len(known)} metrics, all within their range before"
    said = "; ".join(_departed(f, asked, alone=len(nodes) == 1) for f in moved[:3])
    return f"{about}: {len(moved)} of {len(known)} metrics are outside their range before: {said}"


def _fulfilled(asked: _Asked) -> str:
    """Who fulfils the numeric filters."""
    nodes = list(dict.fromkeys(f.node for f in asked.known if f.fulfils is not None))
    judged = {node: [f for f in asked.known if f.node == node and f.fulfils is not None] for node in nodes}
    # Of a histogram's quantiles the first (the highest) is the one that is meant.
    met = [
        n for n in nodes if all(_first(judged[n], limit).fulfils for limit in asked.limits if _has(judged[n], limit))
    ]
    complete = [n for n in met if all(_has(judged[n], limit) for limit in asked.limits)]
    wanted = " and ".join(limit.said for limit in asked.limits)
    when = "now" if asked.task.inputs.window is None else "at some time " + _span_of(asked)
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


def _extreme(f: Figure, asked: _Asked) -> str:
    """The value that a filter goes by: now, else the one of the asked time that is furthest on its side."""
    limit = next((one for one in asked.limits if _is_of(f, one)), None)
    if asked.task.inputs.window is None or limit is None:
        return f"{f.node} {said(f.last, f.metric)}"
    if limit.sign == "<":
        return f"{f.node} down to {said(f.least, f.metric)}, mean {said(f.mean, f.metric)}"
    at = f" at {_clock(f.most_at)}" if f.most_at else ""
    return f"{f.node} up to {said(f.most, f.metric)}{at}, mean {said(f.mean, f.metric)}"


def _course(asked: _Asked) -> str:
    """How it went over the asked time."""
    known = [f for f in asked.known if f.fulfils is not False] or list(asked.known)
    several = len({f.metric for f in known}) > 1
    parts = []
    for f in known[:3]:
        name = f"{f.node} {plain(f.metric)}" if several else f.node
        highest = f", highest at {_clock(f.most_at)}" if f.most_at and f.most != f.least else ""
        total = (
            f", {figure(f.total)} in all"
            if f.total is not None and not bare(f.metric).endswith(("_seconds_total", "_sum"))
            else ""
        )
        spread = _spread(f)
        mean = (
            f", mean {said(f.mean, f.metric)}"
            if asked.task.inputs.window is None
            else f", last {said(f.last, f.metric)}"
        )
        parts.append(f"{name} {spread}{highest}{mean if f.most != f.least else ''}{total}")
    more = f"; {len(known) - 3} more in the table" if len(known) > 3 else ""
    return f"{_capital(_span_of(asked))}: {'; '.join(parts)}{more}"


# ---------------------------------------------------------------- a check


def _checked(asked: _Asked, judged: Sequence[Figure], findings: Findings) -> tuple[str, str, str]:
    abnormal, normal = [f for f in judged if f.abnormal], [f for f in judged if not f.abnormal]
    if not asked.task.inputs.services:
        abnormal.sort(key=lambda f: -f.score)  # stable: they come in an order that favours none
    second = _others(asked, abnormal[1:], normal)
    third = f"{_elsewhere(asked, findings)}{_rests_on(asked)}"
    return f"{_first_line(asked, abnormal, normal)}{_missing(asked)}", second, third


def _first_line(asked: _Asked, abnormal: Sequence[Figure], normal: Sequence[Figure]) -> str:
    judged = len(abnormal) + len(normal)
    if not abnormal:
        if judged == 1:
            f = normal[0]
            return f"Normal: {plain(f.metric)} of {f.node} is {_value(f, asked)}, within its range of {_range(f)}"
        return f"Normal: {_subject(asked, normal)} within {'their' if judged > 1 else 'its'} range before"
    worst = abnormal[0]
    if judged == 1:
        return f"Abnormal: {_departed(worst, asked)}"
    nodes = list(dict.fromkeys(f.node for f in abnormal))
    where = f" at {len(nodes)} services" if len(nodes) > 1 and not asked.task.inputs.services else ""
    return f"Abnormal: {len(abnormal)} of {judged} series{where}, first of all {_departed(worst, asked)}"


def _subject(asked: _Asked, figures: Sequence[Figure]) -> str:
    metrics, nodes = (
        list(dict.fromkeys(names)) for names in ((plain(f.metric) for f in figures), (f.node for f in figures))
    )
    what = ", ".join(metrics) if asked_metrics(asked.task) and len(metrics) <= 4 else f"all {len(metrics)} metrics"
    who = ", ".join(nodes) if len(nodes) <= 4 else f"all {len(nodes)} services"
    return f"{what} of {who} {'are' if len(figures) > 1 else 'is'}"


def _departed(f: Figure, asked: _Asked, *, alone: bool = False) -> str:
    side = "above" if f.direction is Direction.UP else "below"
    name = plain(f.metric) if alone else f"{plain(f.metric)} of {f.node}"
    since = f" since {_clock(f.since)}" if f.since else ""
    if f.band is not None and f.last is not None and f.band[0] <= f.last <= f.band[1]:
        up = f.direction is Direction.UP
        furthest = f"{'up' if up else 'down'} to {said(f.most if up else f.least, f.metric)}"
        return f"{name} was {side} its range of {_range(f)}{since}, {furthest}; {said(f.last, f.metric)} now"
    return f"{name} is {side} its range of {_range(f)}{since}: {_value(f, asked)}{_times(f)}"


def _times(f: Figure) -> str:
    """By how much."""
    shift = f.change
    return f" ({_factor(shift)})" if shift is not None and abs(shift) >= AS_BEFORE else ""


def _others(asked: _Asked, abnormal: Sequence[Figure], normal: Sequence[Figure]) -> str:
    if abnormal:
        more = f"; and {len(abnormal) - 3} more" if len(abnormal) > 3 else ""
        return f"Also abnormal: {'; '.join(_departed(f, asked) for f in abnormal[:3])}{more}"
    if len(normal) <= 1:
        return _course(asked)
    within = [f"{f.node} {plain(f.metric)} {_value(f, asked)} in {_range(f)}" for f in normal[:3]]
    more = f"; and {len(normal) - 3} more" if len(normal) > 3 else ""
    return f"Within range: {'; '.join(within)}{more}"


def _elsewhere(asked: _Asked, findings: Findings) -> str:
    """What else was seen at the nodes that were asked about: other metrics, logs, traces."""
    nodes = set(asked.task.inputs.services)
    told = {(f.node, f.metric) for f in asked.figures}
    other = sorted(
        (a for a in findings.anomalies if a.node in nodes and (a.node, a.metric) not in told),
        key=lambda a: (-a.score, a.node, a.metric),
    )
    events = [
        e for e in findings.events if e.node in nodes and e.kind in (EventKind.LOG, EventKind.SPAN) and e.what != "lost"
    ]
    parts = [f"{a.node} {plain(a.metric)} {a.direction}" for a in other[:3]]
    if len(other) > 3:
        parts.append(f"{len(other) - 3} more metrics")
    if events:
        parts.append(f"{len(events)} events in its logs and traces")
    return f"Beside it: {', '.join(parts)}. " if parts else ""


# ---------------------------------------------------------------- when there is nothing


def _nothing(asked: _Asked) -> tuple[str, str, str]:
    inputs, names = asked.task.inputs, asked_metrics(asked.task)
    about = f"{', '.join(names) or 'anything'} of {', '.join(inputs.services) or 'any service'}"
    if asked.known:
        first = f"Unknown whether {about} is normal: there are too few samples of before to compare with"
    else:
        first = f"No samples of {about} {_span_of(asked)}"
    nodes = set(inputs.services)
    there = sorted({plain(m) for node, m in zip(asked.panel.nodes, asked.panel.metrics, strict=True) if node in nodes})
    second = (
        f"There is: {', '.join(there[:8])}{' and more' if len(there) > 8 else ''}"
        if there
        else "Nothing was read that could answer it"
    )
    mends = list(dict.fromkeys(g.mend for g in asked.gaps if g.mend))
    whys = [f"{g.what}: {g.why}" for g in asked.gaps[:2]]
    help_ = "; ".join(mends[:2]) or "another time, or another name: `aiops doctor` shows what the metrics source has"
    return first, "; ".join([second, *whys]), f"Would help: {help_}"


def _missing(asked: _Asked) -> str:
    """Of what was asked and has no samples."""
    inputs, names = asked.task.inputs, asked_metrics(asked.task)
    known = {(f.node, _asked_name(f, names)) for f in asked.known}
    if names:
        lost = [f"{n} of {s}" for n in names for s in inputs.services if (s, n) not in known]
        lost += [] if inputs.services else [n for n in names if n not in {metric for _, metric in known}]
    else:
        lost = [s for s in inputs.services if s not in {node for node, _ in known}]
    return f". No samples: {', '.join(lost[:MOST_SAID])}" if lost else ""


def _asked_name(f: Figure, names: Sequence[str]) -> str:
    own = bare(f.metric)
    return own if own in names else f"{own.partition('(')[2].removesuffix(')')}_bucket"


def _rests_on(asked: _Asked) -> str:
    """How many samples, put together how, and what was not seen."""
    known, panel = asked.known, asked.panel
    now = asked_rows(panel)
    step = float(np.median(steps_s(panel.times))) if len(panel.times) > 1 else 0.0
    counts = sorted({f.samples for f in known})
    samples = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    how = sorted({f"{f.how} of {f.series} series" for f in known if f.how})
    together = f" ({', '.join(how[:2])})" if how else ""
    before = panel.times[~now]
    against = f", against {len(before)} before" if len(before) else ", with nothing before to compare with"
    notes = "".join(f". {limit.note}" for limit in asked.limits if limit.note)
    notes += "".join(f". Not applied: {g.what} ({g.why})" for g in asked.gaps if g.what.startswith("filter "))
    unseen = sorted({g.what for g in asked.gaps if not g.what.startswith("filter ")})
    blind = f". Not seen: {', '.join(unseen[:3])}{' and more' if len(unseen) > 3 else ''}" if unseen else ""
    return f"Rests on {samples} sample{'' if samples == '1' else 's'} {_every(step)} apart{together}{against}{notes}{blind}"


def _every(seconds: float) -> str:
    return quantity(seconds, "_s") if seconds else "no time"


# ---------------------------------------------------------------- words


def plain(metric: str) -> str:
    """A metric's name as people say it: a rate is known by its unit."""
    return bare(metric)


def said(value: float | None, metric: str) -> str:
    """A value with its unit."""
    return quantity(value, metric) if value is not None else "no data"


def _spread(f: Figure) -> str:
    if f.least is None or f.most is None:
        return "no data"
    low, high = said(f.least, f.metric), said(f.most, f.metric)
    return low if low == high else between(f.least, f.most, f.metric)


def _range(f: Figure) -> str:
    """The range before; nothing that is counted or measured in these is ever below zero."""
    assert f.band is not None
    low, high = f.band
    low = max(low, 0.0) if f.least is not None and f.least >= 0 and (f.baseline or 0.0) >= 0 else low
    return between(low, high, f.metric)


def _number(f: Figure, asked: _Asked) -> float:
    value = f.last if asked.task.inputs.window is None else f.mean
    return value if value is not None else float("nan")


def _value(f: Figure, asked: _Asked) -> str:
    """Now, where no time was named; else the mean over it, and from where to where it went."""
    spread = f", {_spread(f)}" if asked.task.inputs.window is not None and f.most != f.least else ""
    return f"{_brief_value(f, asked)}{spread}"


def _brief_value(f: Figure, asked: _Asked) -> str:
    """The one number."""
    if asked.task.inputs.window is None:
        return f"{said(f.last, f.metric)} now"
    return f"{said(f.mean, f.metric)} on average"


def _against(f: Figure) -> str:
    if f.baseline is None:
        return ", with no samples before"
    shift = f.change
    if shift is None:
        return ", as before (0)" if not f.last else ", 0 before"
    if abs(shift) < AS_BEFORE:
        return f", as before ({said(f.baseline, f.metric)})"
    return f", {_factor(shift)} against {said(f.baseline, f.metric)} before"


def _briefly(f: Figure) -> str:
    shift = f.change
    if shift is None:
        return ""
    return " (as before)" if abs(shift) < AS_BEFORE else f" ({_factor(shift)})"


def _factor(change: float) -> str:
    """+20%, −33%, 3.2 times."""
    if change + 1 >= SEVERAL:
        return f"{figure(change + 1)} times"
    return f"{'+' if change > 0 else '−'}{figure(abs(100 * change))}%"


def _span_of(asked: _Asked) -> str:
    """The asked time: as it was named, else as far as there are samples."""
    window = asked.task.inputs.window
    times = asked.panel.times[asked_rows(asked.panel)]
    if window is None and len(times):
        window = TimeRange(from_ns(int(times.min())), from_ns(int(times.max())))
    if window is None:
        return "at the asked time"
    ends = _clock(window.end) if window.end.date() == window.start.date() else _stamp(window.end)
    return f"from {_stamp(window.start)} to {ends}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _clock(moment: datetime | None) -> str:
    return f"{moment:%H:%M:%S}Z" if moment else ""


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"

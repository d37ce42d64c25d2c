"""What was asked, as the rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo

from aiops.domain import Direction, Figure, Report
from aiops.render.clean import clean, width
from aiops.render.language import listed, say
from aiops.render.values import between, figure, quantity
from aiops.units import clock

COLUMNS = 9


def heads() -> tuple[str, ...]:
    """What stands above the columns."""
    return (
        say("Service"),
        say("Metric"),
        say("Now"),
        say("Mean"),
        say("From and to"),
        say("Before"),
        say("Change"),
        say("Range before"),
        say("Note"),
    )


def cells(f: Figure, tz: tzinfo) -> tuple[str, ...]:
    """One figure as a row under `heads`."""
    name = clean(f"{f.metric} ({say(f.how)}, {f.series})" if f.how else f.metric, 200)
    if not f.samples:
        return (clean(f.node, 120), name, *[""] * (COLUMNS - 3), say("no samples"))
    spread = between(f.least, f.most, f.metric) if f.least is not None and f.most is not None else ""
    return (
        clean(f.node, 120),
        name,
        _quantity(f.last, f),
        _quantity(f.mean, f),
        spread,
        _quantity(f.baseline, f),
        f"{'+' if f.change > 0 else ''}{figure(100 * f.change)}%" if f.change is not None else "",
        between(*f.band, f.metric) if f.band else "",
        note(f, tz),
    )


def note(f: Figure, tz: tzinfo) -> str:
    """What is to be said of it beside its numbers."""
    words = []
    if f.fulfils is not None:
        words.append(say("fulfils the condition") if f.fulfils else say("does not fulfil the condition"))
    if f.abnormal and f.since:
        up = f.direction is Direction.UP
        words.append(
            say("above its range since {at}", at=clock(f.since, tz))
            if up
            else say("below its range since {at}", at=clock(f.since, tz))
        )
    elif f.abnormal is None:
        words.append(say("nothing to compare with"))
    if f.total is not None:
        words.append(say("{n} in all", n=figure(f.total)))
    return listed(words)


def markdown(report: Report, tz: tzinfo, escape: Callable[[str], str]) -> Iterable[str]:
    """One table. `escape` makes text from outside harmless."""
    yield f"| {' | '.join(heads())} |"
    yield f"|{' --- |' * COLUMNS}"
    for f in report.figures:
        yield f"| {' | '.join(escape(cell) for cell in cells(f, tz))} |"


def lines(report: Report, tz: tzinfo, most: int) -> Iterable[str]:
    """The table in columns, for the terminal."""
    rows = [heads(), *(cells(f, tz) for f in report.figures[:most])]
    used = [k for k in range(COLUMNS) if any(row[k] for row in rows[1:])]
    widths = {k: max(width(row[k]) for row in rows) for k in used}
    for row in rows:
        yield "  ".join(row[k] + " " * (widths[k] - width(row[k])) for k in used).rstrip()


def _quantity(value: float | None, f: Figure) -> str:
    return quantity(value, f.metric) if value is not None else ""

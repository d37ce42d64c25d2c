"""What was asked, as the rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo

from aiops.domain import Direction, Figure, Report
from aiops.render.clean import clean, width
from aiops.units import between, clock, figure, quantity

HEADS = ("service", "metric", "last", "mean", "from .. to", "before", "change", "range before", "")


def cells(f: Figure, tz: tzinfo) -> tuple[str, ...]:
    """One figure as a row of `HEADS`."""
    name = clean(f"{f.metric} ({f.how} of {f.series})" if f.how else f.metric, 200)
    if not f.samples:
        return (clean(f.node, 120), name, *[""] * 6, "no samples")
    spread = between(f.least, f.most, f.metric) if f.least is not None and f.most is not None else ""
    return (
        clean(f.node, 120),
        name,
        _said(f.last, f),
        _said(f.mean, f),
        spread,
        _said(f.baseline, f),
        f"{'+' if f.change > 0 else ''}{figure(100 * f.change)}%" if f.change is not None else "",
        between(*f.band, f.metric) if f.band else "",
        note(f, tz),
    )


def note(f: Figure, tz: tzinfo) -> str:
    """What is to be said of it beside its numbers."""
    words = []
    if f.fulfils is not None:
        words.append("fulfils it" if f.fulfils else "does not")
    if f.abnormal and f.since:
        words.append(f"{'above' if f.direction is Direction.UP else 'below'} its range since {clock(f.since, tz)}")
    elif f.abnormal is None:
        words.append("nothing to compare with")
    if f.total is not None:
        words.append(f"{figure(f.total)} in all")
    return ", ".join(words)


def markdown(report: Report, tz: tzinfo, escape: Callable[[str], str]) -> Iterable[str]:
    """One table. `escape` makes text from outside harmless."""
    yield f"| {' | '.join(HEADS)} |"
    yield f"|{' --- |' * len(HEADS)}"
    for f in report.figures:
        yield f"| {' | '.join(escape(cell) for cell in cells(f, tz))} |"


def lines(report: Report, tz: tzinfo, most: int) -> Iterable[str]:
    """The table in columns, for the terminal."""
    rows = [HEADS, *(cells(f, tz) for f in report.figures[:most])]
    used = [k for k in range(len(HEADS)) if any(row[k] for row in rows[1:])]
    widths = {k: max(width(row[k]) for row in rows) for k in used}
    for row in rows:
        yield "  ".join(row[k] + " " * (widths[k] - width(row[k])) for k in used).rstrip()


def _said(value: float | None, f: Figure) -> str:
    return quantity(value, f.metric) if value is not None else ""

"""The report for a terminal: the verdict in the first three lines, plain characters, no colour."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, tzinfo

from aiops.domain import Event, Evidence, Remediation, Report, RootCause, Verdict
from aiops.render import figures, forecast
from aiops.render.clean import clean, width, wrap
from aiops.render.headline import episode, summary
from aiops.render.language import ENGLISH, said, say, speaking
from aiops.render.path import cut_edges, one_line, sum_of_costs, telling
from aiops.render.repair import proposed
from aiops.render.shell import command
from aiops.render.values import percent
from aiops.units import clock

MOST_CAUSES = 3
_MOST_EVIDENCE = 4
_MOST_EVENTS = 8
_MOST_GAPS = 12
_MOST_FIGURES = 24


def text(report: Report, *, tz: tzinfo = UTC, columns: int = 100, language: str = ENGLISH) -> str:
    """Lines of at most `columns` terminal columns, but for the three of the verdict, each one line so that a script can
    take them, and for commands: they are copied, so they stay whole."""
    with speaking(language):
        return _text(report, tz, columns)


def _text(report: Report, tz: tzinfo, columns: int) -> str:
    blocks = [
        [clean(line) for line in summary(report, tz)],
        list(filter(None, [episode(report)])),
        list(_figures(report, tz)),
        list(_forecasts(report, tz, columns)),
        list(_causes(report, tz, columns)),
        list(_cut(report, columns)),
        list(_events(report.events, tz, columns)),
        list(_gaps(report, columns)),
        list(_remediation(report.remediation, columns)),
        [say("Same report again, from its recording:"), f"  aiops replay {clean(report.id, 64)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _figures(report: Report, tz: tzinfo) -> Iterable[str]:
    """What was asked. A row is one line however wide, so that a script can take it."""
    if not report.figures:
        return
    yield say("Figures")
    yield from (f"  {line}" for line in figures.lines(report, tz, _MOST_FIGURES))
    if len(report.figures) > _MOST_FIGURES:
        yield f"  {say('And {n} more in the JSON form.', n=len(report.figures) - _MOST_FIGURES)}"


def _forecasts(report: Report, tz: tzinfo, columns: int) -> Iterable[str]:
    """Each series with its picture, its card and what every method did."""
    if not report.forecasts:
        return
    yield say("Forecasts")
    for lead, words, wrapped in forecast.lines(report, tz):
        yield from _item(lead, words, columns) if wrapped else (f"{lead}{words}"[:columns],)


def _causes(report: Report, tz: tzinfo, columns: int) -> Iterable[str]:
    if not report.root_causes:
        return
    found = report.verdict is Verdict.FOUND
    yield say("Ranked causes") if found else say("What came closest (not enough for a verdict)")
    for cause in report.root_causes[:MOST_CAUSES]:
        yield from _cause(cause, report, tz, columns)


def _cause(cause: RootCause, report: Report, tz: tzinfo, columns: int) -> Iterable[str]:
    what = " ".join(clean(word, 120) for word in (cause.metric, say(cause.fault)) if word)
    yield from _item(f"  {cause.rank}. ", f"{clean(cause.node, 120)} {percent(cause.score)} {what}", columns)
    yield from _item(f"     {say('path:')} ", one_line(cause, report, tz, arrow="->"), columns)
    if costs := sum_of_costs(cause):
        yield from _item(f"     {say('costs:')} ", costs, columns)
    for evidence in telling(cause)[:_MOST_EVIDENCE]:
        yield from _item("     - ", f"{_weighed(evidence)}{clean(said(evidence.summary), 600)}", columns)
    if cause.why_not:
        yield from _item(f"     {say('why not:')} ", clean(said(cause.why_not)), columns)


def _weighed(evidence: Evidence) -> str:
    return f"{evidence.weight:.2f} " if evidence.weight else ""


def _cut(report: Report, columns: int) -> Iterable[str]:
    """Edges that no path may use."""
    if report.dropped:
        yield from _item(f"{say('Left out to break cycles:')} ", cut_edges(report, arrow="->"), columns)


def _events(events: tuple[Event, ...], tz: tzinfo, columns: int) -> Iterable[str]:
    """What happened, strongest first; the example of a log template is what one greps for."""
    if not events:
        return
    yield say("What happened")
    shown = sorted(events, key=lambda event: -event.score)[:_MOST_EVENTS]
    for event in shown:
        what = f"{say(event.kind)} {clean(say(event.what.replace('_', ' ')), 60)}, {clean(event.node, 120)}"
        yield from _item(f"  {clock(event.at, tz)} ", f"{what}: {clean(said(event.summary), 300)}", columns)
        if event.example and clean(event.example) != clean(event.summary):
            yield from _item(f"           {say('e.g.')} ", clean(event.example, 240), columns)
    if len(events) > len(shown):
        yield f"  {say('And {n} more in the JSON form.', n=len(events) - len(shown))}"


def _gaps(report: Report, columns: int) -> Iterable[str]:
    if not report.gaps:
        return
    yield say("Not seen")
    for gap in report.gaps[:_MOST_GAPS]:
        yield from _item("  - ", f"{clean(said(gap.what), 300)}: {clean(said(gap.why), 600)}", columns)
        if gap.mend:
            yield from _item(f"    {say('mend:')} ", clean(said(gap.mend), 600), columns)
    if len(report.gaps) > _MOST_GAPS:
        yield f"  {say('And {n} more in the JSON form.', n=len(report.gaps) - _MOST_GAPS)}"


def _remediation(proposal: Remediation | None, columns: int) -> Iterable[str]:
    if proposal is None:
        return
    yield say("Proposed repair (not run)")
    yield from _item("  ", f"{clean(said(proposal.title), 300)}, {say('on')} {clean(proposal.target, 120)}", columns)
    if proposal.argv:
        yield f"  $ {command(proposal.argv)}"
    for fact in proposed(proposal):
        yield from _item(f"  {fact.label}: ", clean(fact.words, 600), columns)


def _item(lead: str, words: str, columns: int) -> Iterable[str]:
    """`lead`, then the words, wrapped and hanging under their first."""
    indent = width(lead)
    first, *rest = wrap(words, max(columns - indent, 20)) or [""]
    yield lead + first
    yield from (" " * indent + line for line in rest)

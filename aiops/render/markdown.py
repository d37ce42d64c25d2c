"""The report in Markdown (GitHub's, which Mattermost and GitLab read too)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, tzinfo

from aiops.domain import Alert, Event, Evidence, Gap, Remediation, Report, RootCause, Verdict
from aiops.plain import markdown as escape
from aiops.render import figures, forecast
from aiops.render.clean import clean, link
from aiops.render.headline import episode, summary
from aiops.render.language import ENGLISH, said, say, speaking
from aiops.render.path import cut_edges, one_line, sum_of_costs, telling
from aiops.render.repair import proposed
from aiops.render.shell import command
from aiops.render.values import percent
from aiops.schema import links
from aiops.units import clock, stamp

_MOST = 30
_ALERTS = 5


def markdown(report: Report, *, tz: tzinfo = UTC, language: str = ENGLISH) -> str:
    """Headings from the second level down, so that it can stand inside another document."""
    with speaking(language):
        return _markdown(report, tz)


def _markdown(report: Report, tz: tzinfo) -> str:
    replay = code(f"aiops replay {clean(report.id, 64)}")
    blocks = [
        list(_summary(report, tz)),
        list(filter(None, [episode(report)])),
        list(_figures(report, tz)),
        list(_forecasts(report, tz)),
        list(_causes(report, tz)),
        list(_cut(report)),
        list(_events(report.events, tz)),
        list(_alerts(report.task.inputs.alerts, tz)),
        list(_gaps(report.gaps)),
        list(_remediation(report.remediation)),
        [f"## {say('Same report again')}", "", f"{say('Reads only the recording:')} {replay}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def code(text: str, limit: int = 2000) -> str:
    """A code span of any text: its fence is longer than every run of backticks inside."""
    line = clean(text, limit)
    if not line:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    # Blanks keep the text's own backticks off the fence; a span of blanks at both ends would lose one on each side.
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _target(url: str) -> str:
    """A link's address; round brackets and blanks would end it early."""
    return link(url).translate({ord("("): "%28", ord(")"): "%29", ord("<"): "%3C", ord(">"): "%3E", ord("\\"): "%5C"})


def _summary(report: Report, tz: tzinfo) -> Iterable[str]:
    first, *rest = (escape(line) for line in summary(report, tz))
    yield f"**{first or report.verdict}**"
    for line in rest:
        yield ""
        yield line


def _figures(report: Report, tz: tzinfo) -> Iterable[str]:
    if report.figures:
        yield f"## {say('Figures')}"
        yield ""
        yield from figures.markdown(report, tz, escape)


def _forecasts(report: Report, tz: tzinfo) -> Iterable[str]:
    if report.forecasts:
        yield f"## {say('Forecasts')}"
        yield ""
        yield from forecast.markdown(report, tz, escape, code)


def _causes(report: Report, tz: tzinfo) -> Iterable[str]:
    if not report.root_causes:
        return
    found = report.verdict is Verdict.FOUND
    yield f"## {say('Ranked causes') if found else say('What came closest (not enough for a verdict)')}"
    yield ""
    for cause in report.root_causes[:3]:
        yield from _cause(cause, report, tz)


def _cause(cause: RootCause, report: Report, tz: tzinfo) -> Iterable[str]:
    fault = f" ({escape(say(cause.fault), 40)})" if cause.fault else ""
    yield f"{cause.rank}. {code(cause.node, 120)} {percent(cause.score)} {code(cause.metric, 120)}".rstrip() + fault
    yield f"   - {say('Path:')} {code(one_line(cause, report, tz))}"
    if costs := sum_of_costs(cause):
        yield f"   - {say('Costs:')} {escape(costs)}"
    for evidence in telling(cause)[:_MOST]:
        target = _target(evidence.link)
        query = f" {code(evidence.query, 400)}" if evidence.query else ""
        yield f"   - {_weighed(evidence)}{escape(said(evidence.summary), 600)}{query}" + (
            f" ([{say('source')}]({target}))" if target else ""
        )
    if cause.why_not:
        yield f"   - {say('Why not:')} {escape(said(cause.why_not))}"


def _weighed(evidence: Evidence) -> str:
    return f"{evidence.weight:.2f} " if evidence.weight else ""


def _cut(report: Report) -> Iterable[str]:
    """Edges that no path may use."""
    if report.dropped:
        yield f"{say('Left out to break cycles:')} {escape(cut_edges(report))}"


def _events(events: tuple[Event, ...], tz: tzinfo) -> Iterable[str]:
    if not events:
        return
    yield f"## {say('What happened')}"
    yield ""
    shown = sorted(events, key=lambda event: -event.score)[:_MOST]
    for event in shown:
        what = f"{say(event.kind)} {escape(say(event.what), 60)}, {code(event.node, 120)}: {escape(said(event.summary), 300)}"
        yield f"- {clock(event.at, tz)} {what}"
        if event.example and clean(event.example) != clean(event.summary):
            yield f"  - {say('e.g.')} {code(event.example, 240)}"
    if shown:
        yield ""
        yield say("First at {when}.", when=stamp(min(event.at for event in events), tz))
    if len(events) > len(shown):
        yield say("And {n} more in the JSON form.", n=len(events) - len(shown))


def _alerts(alerts: tuple[Alert, ...], tz: tzinfo) -> Iterable[str]:
    """What was asked: each alert, since when, and where it points."""
    if not alerts:
        return
    yield f"## {say('What was asked')}"
    yield ""
    for alert in alerts[:_ALERTS]:
        told = alert.annotations.get("summary") or alert.annotations.get("description") or ""
        yield f"- {code(alert.name or say('unnamed'), 120)} {say('since')} {stamp(alert.starts_at, tz)} {escape(told, 400)}".rstrip()
        if pairs := links.of(alert):
            yield f"  - {', '.join(f'[{say(words)}]({_target(url)})' for words, url in pairs)}"
    if len(alerts) > _ALERTS:
        yield ""
        yield say("And {n} more in the JSON form.", n=len(alerts) - _ALERTS)


def _gaps(gaps: tuple[Gap, ...]) -> Iterable[str]:
    if not gaps:
        return
    yield f"## {say('Not seen')}"
    yield ""
    for gap in gaps[:_MOST]:
        mend = f" {say('To mend it:')} {escape(said(gap.mend), 600)}" if gap.mend else ""
        yield f"- **{escape(said(gap.what), 300) or say('unnamed')}**: {escape(said(gap.why), 600)}{mend}"


def _remediation(proposal: Remediation | None) -> Iterable[str]:
    if proposal is None:
        return
    yield f"## {say('Proposed repair (not run)')}"
    yield ""
    yield f"{escape(said(proposal.title), 300)}, {say('on')} {code(proposal.target, 120)}"
    if proposal.argv:
        yield ""
        line = command(proposal.argv)
        yield code(line, len(line) + 1)
    yield ""
    for fact in proposed(proposal):
        yield f"- {fact.label}: {code(fact.words, 600) if fact.exact else escape(fact.words, 600)}"

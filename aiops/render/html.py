"""The report as one self-contained page: no script, no request, works from disk, on paper and on a phone."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING

from aiops.domain import Alert, Event, EventKind, Report, Verdict
from aiops.render import engine, figures, forecast
from aiops.render.clean import clean, link
from aiops.render.headline import episode, summary
from aiops.render.language import ENGLISH, speaking
from aiops.render.path import GUESSED, ROLES, cut_edges, hops, one_line, sum_of_costs, telling
from aiops.render.picture import chart_svg, small_svg
from aiops.render.scale import from_s
from aiops.render.shell import command
from aiops.units import zone

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# What a page shows at most; the JSON form has all. Together they keep any report well below 400 kB.
MOST = {
    "forecasts": 8,
    "figures": 40,
    "causes": 3,
    "evidence": 8,
    "charts": 6,
    "events": 10,
    "anomalies": 25,
    "gaps": 20,
    "alerts": 5,
}
_ALERT_LINKS = (("runbook_url", "Runbook"), ("dashboardURL", "Dashboard"), ("panelURL", "Panel"))


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Events of one kind under their heading."""

    title: str
    shown: tuple[Event, ...]
    more: int


def html(report: Report, *, tz: tzinfo = UTC, home: str = "", language: str = ENGLISH) -> str:
    """The page. Times are shown in `tz`, and name it. `home` is where the product's name leads, if anywhere."""
    template = _environment().get_template("report.html.j2")
    with speaking(language):
        return template.render(
            report=report,
            summary=summary(report, tz),
            episode=episode(report),
            tz=tz,
            home=home,
            css=style(),
            csp=content_security_policy(),
            found=report.verdict is Verdict.FOUND,
            groups=_occurrences(report.events),
            onset=_onset(report),
        )


def style() -> str:
    """The one inline style sheet."""
    return "".join(engine.source("aiops.render", name) for name in ("report.css", "picture.css"))


def content_security_policy() -> str:
    """What the page may do, for its own meta element and for the header that serves it: its style sheet, nothing else."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    from markupsafe import Markup, escape

    environment = engine.environment("aiops.render").overlay()
    environment.filters = environment.filters | {"breakable": _breakable}
    environment.globals = environment.globals | {
        "MOST": MOST,
        "hops": hops,
        "forecast": forecast,
        "figures": figures,
        "from_s": from_s,
        "one_line": one_line,
        "sum_of_costs": sum_of_costs,
        "GUESSED": GUESSED,
        "ROLES": ROLES,
        "cut_edges": cut_edges,
        "telling": telling,
        "command": lambda argv: escape(command(argv)),
        # `picture` escapes every text it draws.
        "chart_svg": lambda chart, tz, key: Markup(chart_svg(chart, tz, key)),  # noqa: S704
        "small_svg": lambda chart: Markup(small_svg(chart, (220, 48))),  # noqa: S704
        "alert_links": _alert_links,
        "zone_at": lambda moment, tz: zone(moment.astimezone(tz)),
    }
    return environment


def _breakable(name: str) -> Markup:
    """A metric's name that may break after its separators rather than within a word."""
    from markupsafe import Markup, escape

    parts = re.split(r"(?<=[_./:])|(?<=[a-z])(?=[A-Z])", clean(name, 200))
    return Markup("<wbr>").join(escape(part) for part in parts)


def _occurrences(events: tuple[Event, ...]) -> tuple[Occurrences, ...]:
    """Events by kind, strongest first: changes before logs, because a change is what one can undo."""
    titles = (
        (EventKind.CHANGE, "Changes"),
        (EventKind.LOG, "Log templates"),
        (EventKind.SPAN, "Traces"),
        (EventKind.ALERT, "Alerts"),
    )
    groups = []
    for kind, title in titles:
        ranked = sorted((e for e in events if e.kind is kind), key=lambda e: -e.score)
        if ranked:
            shown = tuple(ranked[: MOST["events"]])
            groups.append(Occurrences(title, shown, len(ranked) - len(shown)))
    return tuple(groups)


def _onset(report: Report) -> datetime | None:
    """When the first cause began: its onset on its path, else its first anomaly."""
    if not report.root_causes:
        return None
    cause = report.root_causes[0]
    if cause.path.onsets and cause.path.onsets[0]:
        return cause.path.onsets[0]
    return min((a.onset for a in report.anomalies if a.node == cause.node), default=None)


def _alert_links(alert: Alert) -> list[tuple[str, str]]:
    """Where the alert itself points: (words, address), web addresses only."""
    pairs = [(words, link(alert.annotations.get(name, ""))) for name, words in _ALERT_LINKS]
    return [(words, url) for words, url in [("Source", link(alert.generator_url)), *pairs] if url]

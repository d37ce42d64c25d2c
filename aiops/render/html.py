"""The report as one self-contained page: no request, works from disk, on paper and on a phone, and without its one script."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache
from typing import TYPE_CHECKING

from aiops.domain import Event, EventKind, Report, Verdict
from aiops.render import engine, figures, forecast
from aiops.render.clean import clean
from aiops.render.headline import episode, onset, summary
from aiops.render.language import ENGLISH, speaking
from aiops.render.path import GUESSED, ROLES, cut_edges, hops, one_line, spoken, sum_of_costs, telling
from aiops.render.picture import chart_svg, small_svg
from aiops.render.readings import readings
from aiops.render.repair import proposed
from aiops.render.scale import from_s
from aiops.render.shell import command
from aiops.schema import links
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
# Where it is served it has other forms, too: ending, words.
_FORMS = (("md", "Markdown"), ("json", "JSON"), ("csv", "CSV"), ("svg", "Picture"))


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
            script=script(),
            forms=_FORMS,
            csp=content_security_policy(),
            found=report.verdict is Verdict.FOUND,
            groups=_occurrences(report.events),
            onset=onset(report),
        )


@cache
def style() -> str:
    """The one inline style sheet."""
    return "".join(engine.source("aiops.render", name) for name in ("report.css", "picture.css"))


@cache
def script() -> str:
    """The one inline script, which reads charts; nothing needs it."""
    return engine.source("aiops.render", "report.js")


def content_security_policy() -> str:
    """What the page may do, for its own meta element and for the header that serves it: its style sheet and its script."""
    css, js = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style(), script()))
    return (
        f"default-src 'none'; style-src 'sha256-{css}'; script-src 'sha256-{js}'; base-uri 'none'; form-action 'none'"
    )


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
        "spoken": spoken,
        "readings": readings,
        "proposed": proposed,
        "command": lambda argv: escape(command(argv)),
        # `picture` escapes every text it draws.
        "chart_svg": lambda chart, tz, key: Markup(chart_svg(chart, tz, key, titles=False)),  # noqa: S704
        "small_svg": lambda chart: Markup(small_svg(chart, (220, 48))),  # noqa: S704
        "alert_links": links.of,
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

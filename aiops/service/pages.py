"""The pages of the web UI that are not reports. Made on the server, whole without a script; everything is cleaned and escaped.

One style sheet and one small script stand in every page, by their hashes the only ones that the browser may obey.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from functools import cache
from typing import Any

from markupsafe import Markup
from starlette.requests import Request

from aiops.render import engine
from aiops.render.language import ENGLISH, LANGUAGES, of_header, say, speaking
from aiops.schema.http import Diagnosis

LANGUAGE = "aiops_language"  # the cookie

# Where the navigation leads: address, words, the least role that may go there.
PLACES = (
    ("/", "Diagnoses", "viewer"),
    ("/ask", "Ask", "operator"),
    ("/anomalies", "Anomalies", "viewer"),
    ("/graph", "Graph", "viewer"),
    ("/repairs", "Repairs", "viewer"),
    ("/sessions", "Sessions", "admin"),
    ("/audit", "Audit", "admin"),
)

# What a state is called.
STATES = {
    "queued": "Queued",
    "running": "Running",
    "done": "Cause found",
    "inconclusive": "Inconclusive",
    "failed": "Failed",
    "suppressed": "Kept quiet",
}

# Never `//host` nor `/\\host`, which browsers take for another server.
LOCAL_PATH = re.compile(r"/(?:[A-Za-z0-9_.~%!$&'()*+,;=:@?-][A-Za-z0-9_.~%!$&'()*+,;=:@?/-]*)?")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at a page: in which language and zone, under which name and role, and at which address."""

    language: str = ENGLISH
    tz: tzinfo = field(default=UTC)
    name: str = ""
    role: str = "admin"
    path: str = "/"
    leaves: bool = False  # whether there is a session to end

    def may(self, role: str) -> bool:
        ranks = ("viewer", "operator", "approver", "admin")
        return ranks.index(self.role) >= ranks.index(role)


def spoken(request: Request) -> str:
    """The language: as the address says, else as was chosen before, else as the browser asks for."""
    for chosen in (request.query_params.get("lang"), request.cookies.get(LANGUAGE)):
        if chosen in LANGUAGES:
            return str(chosen)
    return of_header(request.headers.get("accept-language", ""))


def page(name: str, reader: Reader | None = None, **values: Any) -> str:
    """The template `name` as a page for `reader`."""
    reader = reader or Reader()
    places = [(path, words) for path, words, role in PLACES if reader.may(role)]
    with speaking(reader.language):
        shell: Mapping[str, Any] = {
            "reader": reader,
            "tz": reader.tz,
            "places": places,
            "STATES": STATES,
            "states": {state: say(words) for state, words in STATES.items()},
            "css": Markup(style()),  # noqa: S704 - our file
            "script": Markup(script()),  # noqa: S704 - our file
        }
        return engine.environment("aiops.service").get_template(f"{name}.html.j2").render({**shell, **values})


def listing(
    title: str,
    rows: Iterable[Diagnosis],
    note: str = "",
    older: str | None = None,
    reader: Reader | None = None,
    wanted: Mapping[str, str] | None = None,
    taken: str = "",
) -> str:
    """A page with one row a diagnosis. `older` is where the next page is, `taken` where all is as a file; `wanted` what the list
    is filtered by."""
    return page("list", reader, title=title, rows=list(rows), note=note, older=older, wanted=wanted, taken=taken)


def login(wanted: str, note: str = "", reader: Reader | None = None) -> str:
    """The form that asks for a token and leads on to the path `wanted`."""
    return page("login", reader, wanted=wanted, note=note)


# ---------------------------------------------------------------- what the browser may do


@cache
def style() -> str:
    """The one style sheet: that of the reports, and what only these pages need."""
    report = engine.source("aiops.render", "report.css")
    return report + engine.source("aiops.service", "web.css")


@cache
def script() -> str:
    """The one script; no page needs it."""
    return engine.source("aiops.service", "web.js")


@cache
def content_security_policy() -> str:
    """Our style sheet, our script, forms and requests to this server; nothing else."""
    css, js = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style(), script()))
    return (
        f"default-src 'none'; style-src 'sha256-{css}'; script-src 'sha256-{js}'; connect-src 'self'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def headers() -> dict[str, str]:
    """Of every page. A form that is sent under `no-referrer` comes from nowhere (Origin: null), and would be refused."""
    return {"content-security-policy": content_security_policy(), "referrer-policy": "same-origin"}

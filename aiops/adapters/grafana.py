"""Annotations in Grafana, through its HTTP API: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/.

Grafana shows the text of an annotation as HTML that it has stripped of what acts; here every character of ours is escaped
before, so that nothing is left for it to strip.
"""

from __future__ import annotations

import html
from datetime import datetime, timedelta
from typing import Any

import msgspec

from aiops.adapters.http import Access, Session
from aiops.domain import Annotation
from aiops.errors import SourceRefused

_SEARCHED = 1000  # annotations of ours among which one is looked for
_AROUND = timedelta(hours=6)  # by which an onset that was found later may lie elsewhere


class _Made(msgspec.Struct):
    id: int


class _Found(msgspec.Struct):
    id: int
    text: str = ""


class _About(msgspec.Struct):
    version: str = ""
    database: str = ""


class Grafana:
    """`access` opens the door with the token of a service account that may read, create and write annotations."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._url = f"{access.url}/api/annotations"

    def add(self, annotation: Annotation, timeout: float) -> str:
        """A new one; its id. On the dashboard that the alert named, or where that is none that Grafana lets us write on, on none:
        then it is found by its tags. Raises SourceError."""
        sent = _body(annotation)
        with self._session("a new annotation", timeout) as session:
            if annotation.dashboard:
                panel = {"panelId": annotation.panel} if annotation.panel else {}
                there = {"dashboardUID": annotation.dashboard} | panel
                try:
                    return self._added(session, sent | there)
                except SourceRefused:
                    pass  # an alert may name anything; one without a dashboard says whether it was that
            return self._added(session, sent)

    def change(self, known: str, annotation: Annotation, timeout: float) -> bool:
        """Makes the one of this id say that instead; False when there is none any more. Raises SourceError."""
        with self._session("a change of an annotation", timeout) as session:
            return bool(session.ask("PATCH", f"{self._url}/{int(known)}", body=_body(annotation), missing=b""))

    def find(self, annotation: Annotation, timeout: float) -> str:
        """The id of one about the same diagnosis; "" when there is none. Raises SourceError."""
        times = {
            "from": str(_ms(annotation.start - _AROUND)),
            "to": str(_ms((annotation.end or annotation.start) + _AROUND)),
        }
        asked = {"type": "annotation", "tags": annotation.tags[0], "limit": str(_SEARCHED)} | times
        with self._session("annotations", timeout) as session:
            found = session.decode(session.ask("GET", self._url, params=asked), list[_Found])
        return next((str(one.id) for one in found if annotation.about in one.text), "")

    def ping(self, timeout: float) -> str:
        """What answers: product, version and address."""
        with self._session("its health", timeout) as session:
            about = session.decode(session.ask("GET", f"{self._access.url}/api/health"), _About)
        return f"Grafana {about.version or 'of unknown version'} at {self._access.url}"

    def _session(self, what: str, timeout: float) -> Session:
        """Each request once: what was made by one that broke off would be made twice by its repetition."""
        return self._access.session(what, timeout, tries=1)

    def _added(self, session: Session, body: dict[str, Any]) -> str:
        return str(session.decode(session.ask("POST", self._url, body=body), _Made).id)


def _body(annotation: Annotation) -> dict[str, Any]:
    ends = {} if annotation.end is None else {"timeEnd": _ms(annotation.end)}
    return {"time": _ms(annotation.start), "tags": list(annotation.tags), "text": _text(annotation)} | ends


def _text(annotation: Annotation) -> str:
    """Lines, and whose they are: the report, where its address is known."""
    whose = f"Report {html.escape(annotation.about)}"
    if annotation.link:
        whose = f'<a href="{html.escape(annotation.link)}">{whose}</a>'
    return "<br>".join([*map(html.escape, annotation.lines), whose])


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)

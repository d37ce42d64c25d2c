"""What people and programs look at: diagnoses, reports, the link from Grafana, and the way in for browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

from aiops.domain import JobState, Report
from aiops.errors import ConfigError, NotFound, UsageError
from aiops.render import html, markdown, png, sheet, svg
from aiops.render.language import say, speaking
from aiops.schema import http, wire
from aiops.service import pages, sheets, web
from aiops.service.access import COOKIE, SESSION_S
from aiops.service.desk import PROBLEM, At, From, Limit, Offset, To, Wanted, window
from aiops.service.pages import Reader

FOUND = 20  # matches a look-up lists

v1 = APIRouter(prefix="/v1", tags=["v1"])
people = APIRouter(tags=["people"])


@v1.get("/diagnoses", response_model=http.Diagnoses, responses=PROBLEM | {200: {"content": {"text/csv": {}}}})
def diagnoses(
    desk: At,
    offset: Offset = 0,
    limit: Limit = 50,
    status: JobState | None = None,
    service: Annotated[str, Query(description="the symptom's service")] = "",
    alertname: str = "",
    fingerprint: str = "",
    start: From = "",
    end: To = "",
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response | http.Diagnoses:
    """Newest first; with filters, those of the newest 500 that fit. `from` and `to` are when it was asked for."""
    listed = desk.page(offset, limit, Wanted(status, service, alertname, fingerprint, window(start, end)))
    if form == "json":
        return listed
    columns = tuple(http.Diagnosis.model_fields)
    return sheets.answer("diagnoses", columns, ([getattr(one, c) for c in columns] for one in listed.diagnoses))


@v1.get("/diagnoses/{diagnosis_id}", responses=PROBLEM)
def diagnosis(diagnosis_id: str, desk: At) -> http.Diagnosis:
    """Where one diagnosis stands."""
    return desk.find(diagnosis_id)


@v1.post("/diagnoses/{diagnosis_id}/start", status_code=202, responses=PROBLEM)
def start(diagnosis_id: str, desk: At) -> http.Diagnosis:
    """Begins a diagnosis of an episode now: one that waits for somebody to ask, is kept quiet, or has rested too short."""
    return desk.begin(diagnosis_id)


@people.get("/reports/{name}", response_class=HTMLResponse, responses=PROBLEM)
def report(
    name: str,
    request: Request,
    desk: At,
    zone: Annotated[str, Query(max_length=64, description="a time zone, as Asia/Shanghai")] = "",
) -> Response:
    """A report as a page; `{id}.md`, `{id}.json`, `{id}.csv`, `{id}.svg` and `{id}.png` are its other forms. `lang` says in which
    language."""
    report_id, dot, ending = name.partition(".")
    form = _FORMS.get(dot + ending)
    if form is None:
        raise NotFound(f"no form {dot + ending!r} of a report; there are {', '.join(filter(None, _FORMS))}")
    try:
        there = ZoneInfo(zone or desk.ops.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"zone={zone!r} is no time zone") from error
    return form(desk.report(report_id), there, pages.spoken(request))


def _html(found: Report, zone: ZoneInfo, language: str) -> Response:
    policy = f"{html.content_security_policy()}; frame-ancestors 'none'"
    page = html.html(found, tz=zone, home="/", language=language)
    return HTMLResponse(page, headers={"content-security-policy": policy})


def _markdown(found: Report, zone: ZoneInfo, language: str) -> Response:
    return PlainTextResponse(markdown.markdown(found, tz=zone, language=language), media_type="text/markdown")


def _json(found: Report, zone: ZoneInfo, language: str) -> Response:  # noqa: ARG001 - it is for programs
    return Response(wire.encode(wire.public_report(found)), media_type="application/json")


def _csv(found: Report, zone: ZoneInfo, language: str) -> Response:  # noqa: ARG001 - its names never change
    return sheets.download(f"report-{found.id}", sheet.of_report(found))


def _svg(found: Report, zone: ZoneInfo, language: str) -> Response:
    policy = f"{svg.content_security_policy()}; frame-ancestors 'none'"
    picture = svg.svg(found, tz=zone, language=language)
    return Response(picture, media_type="image/svg+xml", headers={"content-security-policy": policy})


def _png(found: Report, zone: ZoneInfo, language: str) -> Response:
    try:
        return Response(png.png(found, tz=zone, language=language), media_type="image/png")
    except png.NoFont as error:
        raise ConfigError(str(error)) from error


_FORMS: dict[str, Callable[[Report, ZoneInfo, str], Response]] = {
    "": _html,
    ".md": _markdown,
    ".json": _json,
    ".csv": _csv,
    ".svg": _svg,
    ".png": _png,
}


@people.get("/r", response_class=RedirectResponse, status_code=302, responses=PROBLEM)
def find(
    request: Request,
    desk: At,
    fingerprint: str = "",
    alertname: str = "",
    start: From = "",
    end: To = "",
) -> Response:
    """Leads to the newest report about an alert: the target of links from Grafana. Without a match: 404 and a list."""
    if not (fingerprint or alertname):
        raise UsageError("fingerprint or alertname is needed")
    rows = desk.ops.store.find(fingerprint, alertname, window(start, end), 1)
    if rows:
        return RedirectResponse(desk.link(f"/reports/{rows[0]['id']}"), 302)
    note = f"No report about {fingerprint or alertname} in that time. The latest reports:"
    latest = [desk.stored(row) for row in desk.ops.store.reports(FOUND)]
    if "text/html" in request.headers.get("accept", ""):
        who = web.reader(request, desk)
        with speaking(who.language):
            note = say("No report about {alert} in that time. The latest reports:", alert=fingerprint or alertname)
        return web.answer(pages.listing("No such report", latest, note, reader=who), 404)
    listed = http.Diagnoses(diagnoses=latest).model_dump(mode="json")
    return JSONResponse({"detail": note, **listed}, 404)


@people.get("/login", response_class=HTMLResponse)
async def login_page(request: Request) -> Response:
    """The form that trades a token for a cookie."""
    return web.answer(pages.login("/", reader=Reader(pages.spoken(request))))


@people.post(
    "/login",
    response_class=RedirectResponse,
    status_code=303,
    responses=PROBLEM,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {
                        "type": "object",
                        "required": ["token"],
                        "properties": {"token": {"type": "string"}, "next": {"type": "string"}},
                    }
                }
            },
        }
    },
)
async def login(request: Request, desk: At) -> Response:
    """Trades a token for a cookie that no script can read, for 12 hours, and leads on to `next`, a path of this server."""
    form = await web.form_of(request)
    wanted = form.get("next", "/")
    session = desk.access.login(form.get("token", "").strip().encode())
    if session is None:
        return web.answer(pages.login(wanted, "This token is not known.", Reader(pages.spoken(request))), 401)
    leads = RedirectResponse(wanted if pages.LOCAL_PATH.fullmatch(wanted) else "/", 303)
    secure = desk.external_url.startswith("https:")
    leads.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="lax", secure=secure)
    return leads


@people.post("/logout", response_class=RedirectResponse, status_code=303)
async def logout(request: Request, desk: At) -> Response:
    """Ends the session of the cookie."""
    desk.access.logout(dict(request.scope["headers"]))
    leads = RedirectResponse("/login", 303)
    leads.delete_cookie(COOKIE)
    return leads

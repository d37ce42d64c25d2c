"""The web UI: the list of diagnoses, asking, what is unusual now, the graph, sessions and the audit log; approving.py has repairs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup, escape

from aiops.domain import Intent, JobState
from aiops.errors import AiopsError, StoreError, UsageError
from aiops.render import language
from aiops.schema import agenda as agenda_schema
from aiops.schema import task as task_schema
from aiops.service import asking, graphview, pages, scores, sheets
from aiops.service.access import LOCAL
from aiops.service.desk import PROBLEM, At, Desk, From, Offset, To, Wanted, window
from aiops.service.events import OPEN
from aiops.service.pages import Reader

PAGE = 50
TAKEN = 500  # diagnoses in a file
SESSION = "web"  # of questions asked here, so that the next may be a follow-up
YEAR_S = 365 * 86_400
ENTRIES = 100  # of the audit log on a page
LOOKED = 2000  # entries that sessions are found in

router = APIRouter(tags=["people"], default_response_class=HTMLResponse)


def reader(request: Request, desk: Desk) -> Reader:
    """Whoever looks, by token and by what the browser says of itself."""
    who = request.state.principal or LOCAL
    return Reader(
        language=pages.spoken(request),
        tz=ZoneInfo(desk.ops.timezone),
        name=who.name,
        role=who.role.name.lower(),
        path=request.url.path,
        leaves=not desk.access.open,
    )


def answer(text: str, status: int = 200) -> HTMLResponse:
    """A page with what the browser may do with it."""
    return HTMLResponse(text, status, headers=pages.headers())


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form. UsageError where it has too many."""
    try:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=16)
    except ValueError as error:
        raise UsageError(f"this is not our form: {error}") from error
    return {name: values[0] for name, values in fields.items()}


# ---------------------------------------------------------------- diagnoses


@router.get("/", responses=PROBLEM)
def front(
    request: Request,
    desk: At,
    offset: Offset = 0,
    status: str = "",
    service: str = "",
    alertname: str = "",
    start: From = "",
    end: To = "",
) -> Response:
    """The list of diagnoses, filtered; those under way tell how they go on."""
    state = JobState(status) if status in set(JobState) else None
    listed = desk.page(offset, PAGE, Wanted(state, service, alertname, "", window(start, end)))
    wanted = {"status": state or "", "service": service, "alertname": alertname}
    kept = {k: v for k, v in (*wanted.items(), ("from", start), ("to", end)) if v}
    older = f"/?{urlencode({**kept, 'offset': listed.next})}" if listed.next is not None else None
    taken = f"/v1/diagnoses?{urlencode({**kept, 'format': 'csv', 'limit': TAKEN})}"
    who = reader(request, desk)
    return answer(pages.listing("Diagnoses", listed.diagnoses, older=older, reader=who, wanted=wanted, taken=taken))


@router.get("/diagnoses/{diagnosis_id}", responses=PROBLEM)
def diagnosis(diagnosis_id: str, request: Request, desk: At) -> Response:
    """How one diagnosis goes on; leads to its report once there is one."""
    found = desk.find(diagnosis_id)
    if found.report_url:
        return RedirectResponse(f"/reports/{found.id}", 302)
    job = desk.ops.queue.get(found.id)
    yaml = task_schema.dump(job.task) if job else ""
    who = replace(reader(request, desk), path="/")
    going = found.status in OPEN
    return answer(pages.page("diagnosis", who, d=found, going=going, yaml=verbatim(yaml)))


# ---------------------------------------------------------------- asking


@router.get("/ask", responses=PROBLEM)
def ask_page(request: Request, desk: At, text: Annotated[str, Query(max_length=4000)] = "") -> Response:
    """Where one asks in words; an address may bring them along, but nothing runs for an address alone."""
    return _asking(reader(request, desk), text=text)


@router.post("/ask", responses=PROBLEM)
async def ask(request: Request, desk: At) -> Response:
    """Words into a task to look at and edit. Runs nothing."""
    text = (await form_of(request)).get("text", "").strip()[:4000]
    return await anyio.to_thread.run_sync(_plan, request, desk, text)


def _plan(request: Request, desk: Desk, text: str) -> Response:
    who = reader(request, desk)
    asked = language.of_text(text)
    if asked != language.ENGLISH and pages.LANGUAGE not in request.cookies:
        who = replace(who, language=asked)
    try:
        plan = desk.ops.plan(text, session=SESSION) if text else None
    except AiopsError as error:
        return _asking(who, text=text, note=str(error), status=error.http_status)
    if plan is None:
        return _asking(who, note="", status=400)
    if plan.task.intent in (Intent.CLARIFY, Intent.REJECT):
        return _asking(who, text=text, question=plan.task.question, choices=plan.choices)
    several = plan.agenda and agenda_schema.dump(plan.agenda, plan.origins_of)
    yaml = several or task_schema.dump(plan.task, plan.origins)
    return _asking(who, text=text, note=plan.note, yaml=yaml, route=plan.route)


@router.post("/run", responses=PROBLEM)
async def run(request: Request, desk: At) -> Response:
    """Starts the task of the form and leads to where it can be followed."""
    yaml = (await form_of(request)).get("yaml", "").replace("\r\n", "\n")

    def start() -> Response:
        try:
            started = asking.begin(desk, yaml.encode())
        except AiopsError as error:
            return _asking(reader(request, desk), yaml=yaml, note=str(error), status=error.http_status)
        return RedirectResponse(f"/diagnoses/{started.id}", 303)

    return await anyio.to_thread.run_sync(start)


def _asking(
    who: Reader,
    *,
    text: str = "",
    yaml: str = "",
    note: str = "",
    question: str = "",
    choices: Sequence[str] = (),
    route: str = "",
    status: int = 200,
) -> Response:
    shown = {"text": text, "yaml": yaml, "note": note, "question": question, "choices": choices, "route": route}
    return answer(pages.page("ask", replace(who, path="/ask"), verbatim=verbatim, **shown), status)


def verbatim(text: str) -> Markup:
    """Lines as they are, but for characters that nobody sees."""
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
    return escape("".join(kept))


# ---------------------------------------------------------------- what is unusual now


@router.get("/anomalies", responses=PROBLEM)
def anomalies(
    request: Request, desk: At, form: Annotated[Literal["html", "csv"], Query(alias="format")] = "html"
) -> Response:
    """The highest scores of `aiops watch`, as Prometheus has scraped them."""
    found = scores.standing(desk.ops.sources.metrics, datetime.now(UTC))
    if form == "csv":
        rows = ((row.score, row.series, row.service, found.at) for row in found.rows)
        return sheets.answer("anomalies", ("score", "series", "service", "at"), rows)
    return answer(pages.page("anomalies", reader(request, desk), now=found, most=scores.MOST))


# ---------------------------------------------------------------- the graph


@router.get("/graph", responses=PROBLEM)
def graph(
    request: Request,
    desk: At,
    service: Annotated[str, Query(max_length=500)] = "",
    hops: Annotated[int, Query(ge=1, le=5)] = 2,
) -> Response:
    """What a service calls and what calls it, within some hops."""
    store = desk.ops.sources.graph
    known = store.nodes()
    node = desk.ops.rules.entities.aliases.get(service, service)
    calls = list(store.calls([node], hops)) if node in known else []
    note = f"{service!r}: " + _nothing_known(pages.spoken(request)) if service and not calls else ""
    picture = Markup(graphview.svg(node, calls, hops)) if calls else ""  # noqa: S704 - it escapes every text it draws
    return answer(
        pages.page(
            "graph",
            reader(request, desk),
            service=service,
            hops=hops,
            known=known[:2000],
            calls=calls,
            picture=picture,
            note=note,
        )
    )


def _nothing_known(tongue: str) -> str:
    with language.speaking(tongue):
        return language.say("no dependency of it is known.")


# ---------------------------------------------------------------- who did what


@dataclass(frozen=True, slots=True)
class Session:
    """Turns of one person under one name."""

    session: str
    actor: str
    channel: str
    at: datetime
    turns: int
    text: str


@router.get("/sessions", responses=PROBLEM)
def sessions(request: Request, desk: At) -> Response:
    """Who asked what: the latest entries of the audit log, by session."""
    entries, _ = desk.ops.store.audit_head()
    found: dict[tuple[str, str, str], Session] = {}
    for told in desk.ops.store.audit_entries(max(0, entries - LOOKED)):
        entry = _entry(told)
        key = (str(entry.get("channel", "")), str(entry.get("actor", "")), str(entry.get("session", "")))
        if told["kind"] != "turn" or not entry.get("text"):
            continue
        before = found.get(key)
        found[key] = Session(
            key[2], key[1], key[0], _at(told), before.turns + 1 if before else 1, str(entry.get("text", ""))
        )
    rows = sorted(found.values(), key=lambda s: s.at, reverse=True)
    return answer(pages.page("sessions", reader(request, desk), rows=rows, looked=min(entries, LOOKED)))


@router.get("/audit", responses=PROBLEM)
def audit(
    request: Request,
    desk: At,
    until: Annotated[int | None, Query(ge=0)] = None,
    session: Annotated[str, Query(max_length=64)] = "",
    check: bool = False,
) -> Response:
    """The audit log, newest first; `check` goes through the whole chain."""
    store = desk.ops.store
    head = store.audit_head()
    end = head[0] if until is None else min(until, head[0])
    begin = max(0, end - (LOOKED if session else ENTRIES))
    told = [one for one in store.audit_entries(begin, end) if not session or _entry(one).get("session") == session]
    rows = [_row(one) for one in reversed(told)]
    return answer(
        pages.page(
            "audit",
            reader(request, desk),
            rows=rows,
            head=head,
            session=session,
            older=begin if begin > 0 else None,
            checked=store.audit_verify()[1] if check else None,
        )
    )


def _row(told: Mapping[str, object]) -> dict[str, Any]:
    entry = _entry(told)
    who = " ".join(str(entry[key]) for key in ("channel", "actor") if entry.get(key))
    failed = "" if entry.get("status") in (None, "success") else f"{entry.get('status')}: {entry.get('error', '')}"
    return {
        "number": told["number"],
        "at": _at(told),
        "who": who,
        "act": str(entry.get("action") or told["kind"]),
        "words": str(entry.get("text", "")),
        "report": str(entry.get("report", "")),
        "result": failed or str(entry.get("result", "")),
    }


def _entry(told: Mapping[str, object]) -> Mapping[str, object]:
    entry = told["entry"]
    return entry if isinstance(entry, dict) else {}


def _at(told: Mapping[str, object]) -> datetime:
    try:
        return datetime.fromisoformat(str(told["at"]))
    except ValueError as error:
        raise StoreError(f"entry {told['number']} of the audit log has no time") from error


# ---------------------------------------------------------------- the language


@router.get("/language", response_class=RedirectResponse, status_code=303)
async def choose(
    to: Annotated[str, Query(max_length=8)], request: Request, wanted: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """Keeps the language in a cookie and leads back."""
    leads = RedirectResponse(wanted if pages.LOCAL_PATH.fullmatch(wanted) else "/", 303)
    if to in language.LANGUAGES:
        secure = request.url.scheme == "https"
        leads.set_cookie(pages.LANGUAGE, to, max_age=YEAR_S, httponly=True, samesite="lax", secure=secure)
    return leads

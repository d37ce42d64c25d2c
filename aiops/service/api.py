"""The routes: each translates a request into a call of the facade or the queue, and its answer into JSON or a page.

Handlers that touch the core are plain functions: FastAPI runs them in its thread pool, since the core is synchronous.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse

from aiops import __version__
from aiops.domain import Change, Intent, Job, JobState, Report, Task, TimeRange, Verdict, job_id
from aiops.errors import AiopsError, NotFound, Refused, SourceError, UsageError
from aiops.flows import fold
from aiops.ops import Ops
from aiops.render import html, markdown, svg
from aiops.schema import alertmanager, http, moments, wire
from aiops.schema import task as task_schema
from aiops.service import pages
from aiops.service.guard import BODY_LIMIT, LOOPBACK, Guard
from aiops.service.metrics import Registry, gauge
from aiops.service.worker import Worker

log = logging.getLogger(__name__)

DRAIN_S = 8.0  # with the 2 s that open connections get, within the 10 s of the contract
PING_S = 2.0
MAX_OFFSET = 10_000
FOUND = 20  # matches a look-up lists


@dataclass(frozen=True, slots=True)
class Desk:
    """What every route needs."""

    ops: Ops
    registry: Registry
    worker: Worker
    external_url: str

    def link(self, path: str) -> str:
        return f"{self.external_url.rstrip('/')}{path}"

    def submit(self, task: Task) -> http.Diagnosis:
        """Puts a task in the queue under the id that the same question has everywhere."""
        key = f"{self.ops.identity}\n{wire.encode(task).decode()}"
        (job,) = self.ops.queue.put([Job(job_id(key), key, task, enqueued_at=datetime.now(UTC))])
        self.worker.wake()
        return self.diagnosis(job)

    def diagnosis(self, job: Job) -> http.Diagnosis:
        reported = job.state in (JobState.DONE, JobState.INCONCLUSIVE)
        symptom = job.task.inputs.symptom
        return http.Diagnosis(
            id=job.id,
            status=job.state,
            report_url=self.link(f"/reports/{job.id}") if reported else None,
            episode_id=job.episode_id or None,
            error=job.error or None,
            summary=(symptom.service if symptom else None)
            or ", ".join(sorted({a.name for a in job.task.inputs.alerts})),
            created=job.enqueued_at,
        )

    def stored(self, row: Mapping[str, str]) -> http.Diagnosis:
        """A report that no job of the queue led to, or whose job is gone."""
        return http.Diagnosis(
            id=row["id"],
            status=JobState.DONE if row.get("verdict") == Verdict.FOUND else JobState.INCONCLUSIVE,
            report_url=self.link(f"/reports/{row['id']}"),
            summary=row.get("summary"),
            created=datetime.fromisoformat(row["created"]),
        )

    def page(self, offset: int, limit: int) -> http.Diagnoses:
        """Newest first, from the queue and the store."""
        wanted = offset + limit + 1
        stored = {row["id"]: self.stored(row) for row in self.ops.store.reports(wanted)}
        rows = stored | {job.id: self.diagnosis(job) for job in self.ops.queue.recent(wanted)}
        for known in rows.keys() & stored.keys():
            rows[known] = rows[known].model_copy(update={"summary": stored[known].summary})
        ordered = sorted(
            rows.values(), key=lambda d: (d.created or datetime.min.replace(tzinfo=UTC), d.id), reverse=True
        )
        more = len(ordered) > offset + limit and offset + limit <= MAX_OFFSET
        return http.Diagnoses(diagnoses=ordered[offset : offset + limit], next=offset + limit if more else None)


def _desk(request: Request) -> Desk:
    return cast(Desk, request.app.state.desk)


At = Annotated[Desk, Depends(_desk)]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET)]
Limit = Annotated[int, Query(ge=1, le=200)]

v1 = APIRouter(prefix="/v1", tags=["v1"])
people = APIRouter(tags=["people"])
operation = APIRouter(tags=["operation"])
_PROBLEM: dict[int | str, dict[str, Any]] = {code: {"model": http.Problem} for code in (400, 404, 503)}


# ---------------------------------------------------------------- in


@v1.post(
    "/webhooks/alertmanager",
    status_code=202,
    responses=_PROBLEM | {413: {"model": http.Problem}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Notification"}}},
        }
    },
)
async def alertmanager_webhook(request: Request, response: Response, desk: At) -> http.Receipt:
    """Takes a notification of Alertmanager (version 4). Durable when answered.

    Firing alerts start diagnoses, one per group and service; repetitions join the one that is under way."""
    return await anyio.to_thread.run_sync(_take, desk, await request.body(), response)


def _take(desk: Desk, body: bytes, response: Response) -> http.Receipt:
    receipt = fold.accept(alertmanager.notification(body), desk.ops.rules.entities, desk.ops.store, desk.ops.queue)
    desk.worker.wake()
    for fate in ("accepted", "duplicates", "suppressed"):
        desk.registry.count("aiops_alerts_total", getattr(receipt, fate), fate=fate)
    started = [http.Started(id=i, fingerprints=list(f)) for i, f in receipt.diagnoses]
    if started:
        response.headers["location"] = desk.link(f"/v1/diagnoses/{started[0].id}")
    return http.Receipt(
        accepted=receipt.accepted, duplicates=receipt.duplicates, suppressed=receipt.suppressed, diagnoses=started
    )


@v1.post("/ask", status_code=202, responses=_PROBLEM | {200: {"model": http.Answer}, 403: {"model": http.Problem}})
def ask(question: http.Question, response: Response, desk: At) -> http.Answer:
    """Words into a task, which is started: 202. With `plan`, or when something must be asked back: 200, nothing is run."""
    plan = desk.ops.plan(question.text, session=question.session, now=question.now)
    answer = http.Answer(
        task=wire.plain(plan.task),
        yaml=task_schema.dump(plan.task),
        origins=dict(plan.origins),
        route=plan.route,
        note=plan.note or None,
        question=plan.task.question or None,
        choices=list(plan.choices),
    )
    if plan.task.intent is Intent.REJECT and not question.plan:
        raise Refused(plan.task.question or "this request is outside what aiops may do")
    if question.plan or plan.task.intent is Intent.CLARIFY:
        response.status_code = 200
        return answer
    return answer.model_copy(update={"diagnosis": _submitted(desk, plan.task, response)})


@v1.post(
    "/tasks",
    status_code=202,
    responses=_PROBLEM,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/yaml": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
async def tasks(request: Request, response: Response, desk: At) -> http.Diagnosis:
    """Starts a task as `aiops ask --plan` prints it, in YAML or JSON."""
    body = await request.body()

    def start() -> http.Diagnosis:
        task = task_schema.load(body, "body")
        if task.intent in (Intent.CLARIFY, Intent.REJECT):
            raise UsageError(f"a task that is to {task.intent} can't be run: {task.question}")
        return _submitted(desk, task, response)

    return await anyio.to_thread.run_sync(start)


@v1.post("/changes", status_code=201, responses=_PROBLEM)
def changes(notice: http.ChangeNotice, desk: At) -> http.ChangeNotice:
    """Records a deployment, a flag, a configuration: changes close before an onset are evidence."""
    if desk.ops.sources.changes is None:
        raise UsageError("no store for changes is configured (sources.changes)")
    desk.ops.sources.changes.add(Change(notice.node, notice.at, notice.kind, notice.summary, notice.link))
    return notice


def _submitted(desk: Desk, task: Task, response: Response) -> http.Diagnosis:
    diagnosis = desk.submit(task)
    response.headers["location"] = desk.link(f"/v1/diagnoses/{diagnosis.id}")
    return diagnosis


# ---------------------------------------------------------------- out


@v1.get("/diagnoses", responses=_PROBLEM)
def diagnoses(desk: At, offset: Offset = 0, limit: Limit = 50) -> http.Diagnoses:
    """Newest first."""
    return desk.page(offset, limit)


@v1.get("/diagnoses/{diagnosis_id}", responses=_PROBLEM)
def diagnosis(diagnosis_id: str, desk: At) -> http.Diagnosis:
    """Where one diagnosis stands."""
    job = desk.ops.queue.get(diagnosis_id)
    if job is not None:
        return desk.diagnosis(job)
    report = _report(desk, diagnosis_id)
    status = JobState.DONE if report.verdict is Verdict.FOUND else JobState.INCONCLUSIVE
    return http.Diagnosis(
        id=report.id, status=status, report_url=desk.link(f"/reports/{report.id}"), summary=report.summary[0]
    )


@people.get("/reports/{name}", response_class=HTMLResponse, responses=_PROBLEM)
def report(name: str, desk: At) -> Response:
    """A report as a page; `{id}.md`, `{id}.json` and `{id}.svg` are its other forms."""
    report_id, dot, ending = name.partition(".")
    form = _FORMS.get(dot + ending)
    if form is None:
        raise NotFound(f"no form {dot + ending!r} of a report; there are {', '.join(filter(None, _FORMS))}")
    return form(_report(desk, report_id), ZoneInfo(desk.ops.timezone))


def _html(found: Report, zone: ZoneInfo) -> Response:
    policy = f"{html.content_security_policy()}; frame-ancestors 'none'"
    return HTMLResponse(html.html(found, tz=zone, home="/"), headers={"content-security-policy": policy})


def _markdown(found: Report, zone: ZoneInfo) -> Response:
    return PlainTextResponse(markdown.markdown(found, tz=zone), media_type="text/markdown")


def _json(found: Report, _: ZoneInfo) -> Response:
    return Response(wire.encode(wire.public_report(found)), media_type="application/json")


def _svg(found: Report, zone: ZoneInfo) -> Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return Response(svg.svg(found, tz=zone), media_type="image/svg+xml", headers={"content-security-policy": policy})


_FORMS = {"": _html, ".md": _markdown, ".json": _json, ".svg": _svg}


def _report(desk: Desk, report_id: str) -> Report:
    try:
        return desk.ops.report(report_id)
    except NotFound:
        job = desk.ops.queue.get(report_id)
        if job is None:
            raise
        reason = f": {job.error}" if job.error else ""
        raise NotFound(f"diagnosis {report_id} is {job.state}{reason}; there is no report of it") from None


@people.get("/r", response_class=RedirectResponse, status_code=302, responses=_PROBLEM)
def find(
    request: Request,
    desk: At,
    fingerprint: str = "",
    alertname: str = "",
    start: Annotated[str, Query(alias="from", description="epoch ms or RFC 3339")] = "",
    end: Annotated[str, Query(alias="to", description="epoch ms or RFC 3339")] = "",
) -> Response:
    """Leads to the newest report about an alert: the target of links from Grafana. Without a match: 404 and a list."""
    if not (fingerprint or alertname):
        raise UsageError("fingerprint or alertname is needed")
    rows = desk.ops.store.find(fingerprint, alertname, _window(start, end), 1)
    if rows:
        return RedirectResponse(desk.link(f"/reports/{rows[0]['id']}"), 302)
    note = f"No report about {fingerprint or alertname} in that time. The latest reports:"
    latest = [desk.stored(row) for row in desk.ops.store.reports(FOUND)]
    if "text/html" in request.headers.get("accept", ""):
        page = pages.listing("No such report", latest, note)
        return HTMLResponse(page, 404, headers={"content-security-policy": pages.CSP})
    listed = http.Diagnoses(diagnoses=latest).model_dump(mode="json")
    return JSONResponse({"detail": note, **listed}, 404)


def _window(start: str, end: str) -> TimeRange | None:
    if not (start or end):
        return None
    first = _moment("from", start) if start else datetime(1970, 1, 1, tzinfo=UTC)
    last = _moment("to", end) if end else datetime.now(UTC)
    if last < first:
        raise UsageError(f"from {first.isoformat()} lies after to {last.isoformat()}")
    return TimeRange(first, last)


def _moment(name: str, text: str) -> datetime:
    try:
        if text.isdecimal():
            return moments.utc(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text)))
        return moments.utc(datetime.fromisoformat(text.replace(" ", "+")))  # a `+` in a query that nobody escaped
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{name}={text!r} is neither epoch milliseconds nor RFC 3339 with a time zone") from error


@people.get("/", response_class=HTMLResponse)
def front(desk: At, offset: Offset = 0) -> Response:
    """The list of diagnoses."""
    listed = desk.page(offset, 50)
    page = pages.listing("Diagnoses", listed.diagnoses, older=listed.next)
    return HTMLResponse(page, headers={"content-security-policy": pages.CSP})


# ---------------------------------------------------------------- operation


@operation.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """The process answers."""
    return "ok\n"


@operation.get("/readyz", responses={503: {"model": http.Readiness}})
def readyz(response: Response, desk: At) -> http.Readiness:
    """Whether notifications can be taken and diagnosed. A metrics source that is down is told, but costs only a gap."""
    ops = desk.ops
    needed = [_part("store", ops.store.ping), _part("queue", ops.queue.ping)]
    needed.append(http.Part(name="worker", ok=desk.worker.up, says="running" if desk.worker.up else "stopped"))
    ready = all(part.ok for part in needed)
    response.status_code = 200 if ready else 503
    return http.Readiness(ready=ready, parts=[*needed, _part("metrics", ops.sources.metrics.ping)])


def _part(name: str, ping: Any) -> http.Part:
    try:
        return http.Part(name=name, ok=True, says=ping(PING_S))
    except AiopsError as error:
        return http.Part(name=name, ok=False, says=str(error))


@operation.get("/metrics", response_class=PlainTextResponse)
def metrics(desk: At) -> Response:
    """What this server counts about itself, for Prometheus."""
    gauges = {
        gauge("aiops_build_info", version=__version__): 1.0,
        gauge("aiops_queue_depth"): float(desk.ops.queue.depth()),
        gauge("aiops_worker_up"): float(desk.worker.up),
        gauge("aiops_worker_busy"): float(desk.worker.busy),
    }
    return Response(desk.registry.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


# ---------------------------------------------------------------- the whole


def create(ops: Ops, *, external_url: str = "", body_limit: int = BODY_LIMIT) -> FastAPI:
    """The application: routes, embedded worker and guard around `ops`, which the caller closes after it has stopped."""
    registry = Registry()
    desk = Desk(ops, registry, Worker(ops, registry, external_url), external_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        desk.worker.start()
        yield
        await anyio.to_thread.run_sync(desk.worker.stop, DRAIN_S)

    app = FastAPI(
        title="aiops",
        version=__version__,
        description="Root-cause analysis of incidents from metrics, logs, traces and topology.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        telemetry={"auto_configure": False},  # else an environment variable could make it send
    )
    app.state.desk = desk
    for router in (v1, people, operation):
        app.include_router(router)
    app.add_exception_handler(AiopsError, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broken)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    named = urlsplit(external_url).hostname
    hosts = LOOPBACK | ({named} if named else frozenset())
    app.add_middleware(Guard, registry=registry, hosts=hosts, limit=body_limit)
    return app


def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, AiopsError)
    status = 503 if isinstance(error, SourceError) else error.http_status
    return JSONResponse({"detail": str(error)}, status)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return JSONResponse({"detail": told}, 400)


def _broken(_: Request, error: Exception) -> Response:  # noqa: ARG001 - the server logs it
    return JSONResponse({"detail": "internal error; the log of the server has the details"}, 500)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's own, with the webhook's body, and without the 422 that we answer as 400."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        _, components = alertmanager.json_schema()
        schema["components"]["schemas"] |= components
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        for path in schema["paths"].values():
            for method in path.values():
                method["responses"].pop("422", None)
        app.openapi_schema = schema
    return app.openapi_schema

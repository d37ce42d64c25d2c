"""Questions, tasks and changes: what people and programs send beside alerts."""

from __future__ import annotations

import threading

import anyio.to_thread
from fastapi import APIRouter, Request, Response

from aiops.domain import Agenda, Change, Intent, Task
from aiops.errors import Refused, UsageError
from aiops.schema import agenda as agenda_schema
from aiops.schema import http, wire
from aiops.schema import task as task_schema
from aiops.service.desk import PROBLEM, At, Desk

router = APIRouter(prefix="/v1", tags=["v1"])


@router.post("/ask", status_code=202, responses=PROBLEM | {200: {"model": http.Answer}})
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
    if plan.agenda:
        shown = {"agenda": agenda_schema.plain(plan.agenda), "yaml": agenda_schema.dump(plan.agenda, plan.origins_of)}
        answer = answer.model_copy(update=shown)
    if plan.task.intent is Intent.REJECT and not question.plan:
        raise Refused(plan.task.question or "this request is outside what aiops may do")
    if question.plan or plan.task.intent is Intent.CLARIFY:
        response.status_code = 200
        return answer
    if plan.agenda:  # the first is in the queue before the answer is out, so that its diagnosis can be looked up
        started = _submitted(desk, plan.task, response)
        _in_background(desk, plan.agenda)
        return answer.model_copy(update={"diagnosis": started})
    return answer.model_copy(update={"diagnosis": _submitted(desk, plan.task, response)})


@router.post(
    "/tasks",
    status_code=202,
    responses=PROBLEM,
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
    """Starts a task, or several, as `aiops ask --plan` prints it, in YAML or JSON."""
    started = await anyio.to_thread.run_sync(begin, desk, await request.body())
    response.headers["location"] = desk.link(f"/v1/diagnoses/{started.id}")
    return started


def begin(desk: Desk, text: bytes) -> http.Diagnosis:
    """Starts what the YAML or JSON asks for; of several tasks, answers the first. Raises DataError, UsageError."""
    task = agenda_schema.load(text, "body")
    if isinstance(task, Agenda):
        started = desk.submit(task.steps[0].task)
        _in_background(desk, task)
        return started
    if task.intent in (Intent.CLARIFY, Intent.REJECT):
        raise UsageError(f"a task that is to {task.intent} can't be run: {task.question}")
    return desk.submit(task)


@router.post("/changes", status_code=201, responses=PROBLEM)
def changes(notice: http.ChangeNotice, desk: At) -> http.ChangeNotice:
    """Records a deployment, a flag, a configuration: changes close before an onset are evidence."""
    if desk.ops.sources.changes is None:
        raise UsageError("no store for changes is configured (sources.changes)")
    desk.ops.sources.changes.add(Change(notice.node, notice.at, notice.kind, notice.summary, notice.link))
    return notice


def _in_background(desk: Desk, agenda: Agenda) -> None:
    """The workers of the queue do the work; this thread only waits for it and starts what comes after."""
    threading.Thread(target=desk.ops.run_agenda, args=(agenda,), kwargs={"queued": True}, daemon=True).start()


def _submitted(desk: Desk, task: Task, response: Response) -> http.Diagnosis:
    diagnosis = desk.submit(task)
    response.headers["location"] = desk.link(f"/v1/diagnoses/{diagnosis.id}")
    return diagnosis

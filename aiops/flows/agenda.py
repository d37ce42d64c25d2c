"""Several tasks of one request: each starts when those before it have answered, all that may run together do.

A task whose forerunner failed, or whose condition does not hold, is skipped and says why. One trace id stands on everything
that a run leaves behind, so that its reports, logs and audit entries are found together.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum

from aiops.domain import Agenda, Panel, Report, Step, Task
from aiops.errors import AiopsError
from aiops.schema.wire import encode
from aiops.stages.judge import judge

log = logging.getLogger(__name__)
AT_ONCE = 4


class StepState(StrEnum):
    """How a task of an agenda ended."""

    ANSWERED = "answered"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What became of one task: its report, or why there is none."""

    task: Task
    state: StepState
    why: str = ""
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class AgendaResult:
    """What became of all tasks, in the order of the agenda. `trace_id`: 32 hex digits (W3C); `tenant`: whose data was read."""

    agenda_id: str
    trace_id: str
    tenant: str
    results: tuple[StepResult, ...]


Perform = Callable[[Task], tuple[Report, Panel]]


def trace_id_of(agenda: Agenda, salt: str = "") -> str:
    """The same agenda of the same moment has the same trace id, so that a repeat joins it."""
    return hashlib.sha256(encode(agenda) + salt.encode()).hexdigest()[:32]


def run(
    agenda: Agenda, perform: Perform, *, trace_id: str = "", tenant: str = "", at_once: int = AT_ONCE
) -> AgendaResult:
    """Runs all tasks, up to `at_once` together. `perform` answers report and series, or raises; never raises itself."""
    trace = trace_id or trace_id_of(agenda)
    done: dict[str, StepResult] = {}
    panels: dict[str, Panel] = {}
    waiting = list(agenda.steps)
    running: dict[Future[tuple[Report, Panel]], Step] = {}
    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="agenda") as pool:
        while waiting or running:
            for step in [s for s in waiting if all(name in done for name in s.after)]:
                waiting.remove(step)
                why = _why_not(step, done, panels)
                if why:
                    done[step.task.task_id] = StepResult(step.task, StepState.SKIPPED, why)
                else:
                    running[pool.submit(perform, step.task)] = step
            if not running:
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(future)
                done[step.task.task_id] = _result(step.task, future, panels, trace)
    return AgendaResult(agenda.agenda_id, trace, tenant, tuple(done[s.task.task_id] for s in agenda.steps))


def _why_not(step: Step, done: Mapping[str, StepResult], panels: Mapping[str, Panel]) -> str:
    """Why a task whose forerunners have ended is not started, "" where it is."""
    for name in step.after:
        if done[name].state is not StepState.ANSWERED:
            return f"{name} was {done[name].state}: {done[name].why}"
    condition = step.only_if
    if condition is None:
        return ""
    report = done[condition.task].report
    assert report is not None  # an answered step has one
    holds, said = judge(condition, report, panels[condition.task])
    if holds:
        return ""
    about = f"{condition.service or 'it'} is not {condition.holds}"
    return (
        f"whether {condition.service or 'it'} is {condition.holds} can't be told: {said}"
        if holds is None
        else f"{about}: {said}"
    )


def _result(task: Task, future: Future[tuple[Report, Panel]], panels: dict[str, Panel], trace: str) -> StepResult:
    try:
        report, panels[task.task_id] = future.result()
    except AiopsError as error:
        return StepResult(task, StepState.FAILED, str(error))
    except Exception:  # a defect in one task must not take the answers of the others with it
        log.exception("task %s of trace %s failed", task.task_id, trace)
        return StepResult(task, StepState.FAILED, "internal error; the log has it under the trace id")
    return StepResult(task, StepState.ANSWERED, report=report)

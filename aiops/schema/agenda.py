"""Several tasks of one request as YAML: `tasks`, each a task as `aiops run` takes it, with `after` and `only_if` beside.

A file without `tasks` is one task, exactly as `schema.task` has it. Errors name the field, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiops.domain import Agenda, Condition, Intent, Step, Task
from aiops.errors import DataError
from aiops.schema import task as task_schema
from aiops.schema.task import TASK_ID, Name, TaskModel

Holds = Literal["worse", "better", "higher", "lower", "abnormal", "normal", "found", "full"]
MOST = 16
_TaskId = Annotated[str, Field(pattern=TASK_ID)]


class ConditionModel(BaseModel):
    """What the report of another task must show."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    task: _TaskId = Field(description="the task_id of a task that stands before this one")
    holds: Holds = Field(description="worse, better, higher, lower, abnormal, normal, found or full")
    service: Name | None = Field(None, description="of which service of that task; without it, of any")


class StepModel(TaskModel):
    """One of several tasks."""

    after: tuple[_TaskId, ...] = Field(
        (), max_length=MOST, description="task_ids that must have answered before it starts"
    )
    only_if: ConditionModel | None = Field(None, description="task, holds, service: else it is skipped")

    @model_validator(mode="after")
    def _runnable(self) -> StepModel:
        if self.intent in (Intent.CLARIFY, Intent.REJECT):
            raise ValueError(f"a task that is to {self.intent} can't be one of several")
        return self

    def step(self) -> Step:
        """The noun; what a condition looks at is waited for too."""
        condition = None
        after = self.after
        if self.only_if:
            condition = Condition(self.only_if.task, self.only_if.holds, self.only_if.service or "")
            after = tuple(dict.fromkeys((*after, condition.task)))
        return Step(self.task(), after, condition)


class AgendaModel(BaseModel):
    """Several tasks, in the order spoken."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    agenda_id: str = Field(pattern=TASK_ID, description="4 to 32 of a-z, 0-9 and _")
    tasks: tuple[StepModel, ...] = Field(min_length=2, max_length=MOST, description=f"2 to {MOST} tasks")

    @model_validator(mode="after")
    def _ordered(self) -> AgendaModel:
        known: set[str] = set()
        for one in self.tasks:
            waits = {*one.after, *([one.only_if.task] if one.only_if else [])}
            if one.task_id in known:
                raise ValueError(f"task_id {one.task_id} stands twice")
            if missing := sorted(waits - known):
                raise ValueError(f"{one.task_id} comes after {', '.join(missing)}, which stands not before it")
            known.add(one.task_id)
        return self

    def agenda(self) -> Agenda:
        """The noun."""
        return Agenda(self.agenda_id, tuple(one.step() for one in self.tasks))


def load(text: str | bytes, source: str = "task") -> Task | Agenda:
    """YAML or JSON -> one task, or several. DataError names the field, the value and what is allowed."""
    values = task_schema.mapping(text, source)
    if "tasks" not in values:
        return task_schema.parse(values, source)
    try:
        return AgendaModel.model_validate(values).agenda()
    except ValidationError as error:
        raise DataError(
            "; ".join(task_schema.problem(source, one, AgendaModel) for one in error.errors()[:5])
        ) from error


def dump(agenda: Agenda, origins: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The YAML. `origins`: task_id -> dotted field -> where its value came from."""
    origins = origins or {}
    lines = [f"agenda_id: {agenda.agenda_id}", "tasks:"]
    for step in agenda.steps:
        own = task_schema.dump(step.task, origins.get(step.task.task_id)).splitlines()
        own += _joints(step)
        lines += [("  - " if number == 0 else "    ") + line for number, line in enumerate(own)]
    return "\n".join(lines) + "\n"


def plain(agenda: Agenda) -> dict[str, Any]:
    """Plain values, as the YAML has them."""
    return {"agenda_id": agenda.agenda_id, "tasks": [_plain(step) for step in agenda.steps]}


def _plain(step: Step) -> dict[str, Any]:
    values = task_schema.plain(step.task)
    if step.after:
        values["after"] = list(step.after)
    if step.only_if:
        values["only_if"] = _condition(step.only_if)
    return values


def _condition(condition: Condition) -> dict[str, str]:
    values = {"task": condition.task, "holds": condition.holds}
    return values | ({"service": condition.service} if condition.service else {})


def _joints(step: Step) -> list[str]:
    joints = {key: value for key, value in _plain(step).items() if key in {"after", "only_if"}}
    return [line for key, value in joints.items() for line in task_schema.field_lines(key, value)]


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of several tasks."""
    return AgendaModel.model_json_schema()


def reference() -> str:
    """The field table of the docs, in Markdown: what stands beside a task's own fields."""
    beside = {name: info for name, info in StepModel.model_fields.items() if name not in TaskModel.model_fields}
    rows = ["| field | what is allowed | default |", "|---|---|---|"]
    rows += [task_schema.row(name, info) for name, info in AgendaModel.model_fields.items()]
    rows += [task_schema.row(f"tasks.{name}", info) for name, info in beside.items()]
    rows += [task_schema.row(f"tasks.only_if.{name}", info) for name, info in ConditionModel.model_fields.items()]
    return "\n".join(rows) + "\n"

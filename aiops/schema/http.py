"""Bodies of the HTTP interface: what OpenAPI shows and what is checked at the door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from aiops.domain import JobState, RepairState
from aiops.schema import moments

Moment = Annotated[AwareDatetime, AfterValidator(moments.utc)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str


class Diagnosis(BaseModel):
    """Where a diagnosis stands. `report_url` once there is a report, `error` when it failed, `waiting` why nobody has begun.

    Of an episode: how many `alerts` it has by now, and `recurrences`, how often it was closed and came back."""

    id: str
    status: JobState
    report_url: str | None = None
    episode_id: str | None = None
    error: str | None = None
    waiting: str | None = None
    summary: str | None = None
    created: datetime | None = None
    alerts: int | None = None
    recurrences: int | None = None


class Diagnoses(BaseModel):
    """Newest first. `next` is the `offset` of the following page."""

    diagnoses: list[Diagnosis]
    next: int | None = None


class Started(BaseModel):
    id: str
    fingerprints: list[str]


class Receipt(BaseModel):
    """What became of a notification: the three figures add up to the number of its alerts."""

    accepted: int
    duplicates: int
    suppressed: int
    diagnoses: list[Started]


class Question(Body):
    """Words. `plan` shows the task and runs nothing."""

    text: Annotated[str, Field(min_length=1, max_length=4000)]
    session: Annotated[str, Field(max_length=64)] = ""
    now: Moment | None = None
    plan: bool = False


class Answer(BaseModel):
    """The task the words were taken for, with the origin of each value and the route that read it (rules, model).

    `diagnosis` when it was started; `question` and `choices` when something must be asked back. Where the words ask several
    things, `agenda` has all of them and `task` the first; those that wait for others start when these have answered."""

    task: dict[str, Any]
    yaml: str
    origins: dict[str, str]
    route: str
    note: str | None = None
    question: str | None = None
    choices: list[str] = []
    diagnosis: Diagnosis | None = None
    agenda: dict[str, Any] | None = None


class ChangeNotice(Body):
    """Somebody deployed, switched or configured something."""

    node: Annotated[str, Field(min_length=1, max_length=253)]
    at: Moment
    kind: Annotated[str, Field(min_length=1, max_length=64)] = "change"
    summary: Annotated[str, Field(max_length=1000)] = ""
    link: Annotated[str, Field(max_length=2000, pattern="^(https?://.*)?$")] = ""


class RepairAsked(Body):
    """Which report's first cause is to be repaired, by which runbook ("" = the one that the report proposes), with what values."""

    report_id: Annotated[str, Field(min_length=1, max_length=64)]
    runbook: Annotated[str, Field(max_length=64)] = ""
    parameters: Annotated[dict[str, str], Field(max_length=20)] = {}


class Decision(Body):
    """`hash`: of the plan that is meant, "" = the one that the id stands for."""

    hash: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    why: Annotated[str, Field(max_length=1000)] = ""


class Approved(BaseModel):
    by: str
    at: datetime
    note: str | None = None


class Remediation(BaseModel):
    """A plan, whose `hash` covers all of it, and what has become of it: `steps`, the last of which is its `state`."""

    id: str
    state: RepairState
    why: str | None = None
    mode: str
    hash: str
    requester: str
    planned: datetime
    report_url: str
    plan: dict[str, Any]
    approvals: list[Approved]
    steps: list[dict[str, Any]]


class Remediations(BaseModel):
    """Newest first. `stopped`: why none may act."""

    stopped: str | None = None
    remediations: list[Remediation]


class Part(BaseModel):
    name: str
    ok: bool
    says: str


class Readiness(BaseModel):
    ready: bool
    parts: list[Part]

"""Slots -> Task: code, never a model, makes the id, the absolute times and the YAML's origins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from aiops.domain import Agenda, Condition, Inputs, Intent, Step, Symptom, Task, TimeRange
from aiops.schema import moments
from aiops.schema.task import length
from aiops.schema.wire import encode
from aiops.stages.interpret.clauses import Clause
from aiops.stages.interpret.slots import Reading, Slots
from aiops.stages.interpret.timegrammar import window

_FORMATS = {"markdown": "markdown", "json": "json", "plaintext": "plaintext"}
_FORECAST_DEFAULT = timedelta(hours=6)
# Slots -> the task's fields that they fill.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "intent": ("intent",),
    "services": ("inputs.services", "inputs.symptom"),
    "metrics": ("inputs.metrics",),
    "time": ("inputs.window", "inputs.horizon"),
    "filters": ("inputs.filters",),
    "action": ("inputs.action",),
    "output": ("expected_output_format",),
}


def task_of(reading: Reading, now: datetime, noticed: datetime) -> Task:
    """The task; `now` is aware, in the speaker's zone. `noticed`: when the trouble began, where the words don't say.

    The id is the same for the same meaning at the same time."""
    slots = reading.slots
    intent = Intent(slots.intent)
    if intent is Intent.REJECT:
        return Task(_task_id(intent, Inputs(), reading.question), intent, question=reading.question)
    inputs = Inputs(
        symptom=_symptom(slots, intent, now, noticed),
        services=slots.services,
        metrics=slots.metrics,
        window=_window(slots, now),
        horizon=_horizon(slots, intent),
        filters=slots.filters,
        action=slots.action if intent in (Intent.REMEDIATE, Intent.CLARIFY) else "none",
        order=slots.order if intent is Intent.QUERY else "highest",
    )
    return Task(_task_id(intent, inputs, reading.question), intent, inputs, _FORMATS[slots.output], _question(reading))


def agenda_of(several: Sequence[Clause], tasks: Sequence[Task]) -> Agenda:
    """The clauses' tasks, and which waits for which."""
    ids = [task.task_id for task in tasks]
    steps = tuple(
        Step(
            task,
            tuple(ids[index] for index in clause.after),
            Condition(ids[clause.after[-1]], clause.holds, clause.subject) if clause.holds else None,
        )
        for clause, task in zip(several, tasks, strict=True)
    )
    return Agenda(f"agenda_{hashlib.sha256(encode(steps)).hexdigest()[:12]}", steps)


def origins_of(reading: Reading) -> dict[str, str]:
    """Dotted task field -> said | default | session."""
    told = {field: origin for slot, origin in sorted(reading.origins.items()) for field in _FIELDS.get(slot, ())}
    if reading.slots.intent == "query" or not reading.slots.services:  # then the symptom is a moment and no more
        told["inputs.symptom"] = reading.origins.get("time", "default")
    return told


def _task_id(intent: Intent, inputs: Inputs, question: str) -> str:
    return f"{intent}_{hashlib.sha256(encode(inputs) + question.encode()).hexdigest()[:12]}"


def _question(reading: Reading) -> str:
    if not reading.choices:
        return reading.question
    return f"{reading.question} ({' / '.join(reading.choices)})"


def _symptom(slots: Slots, intent: Intent, now: datetime, noticed: datetime) -> Symptom | None:
    asked = _window(slots, now)
    if intent in (Intent.QUERY, Intent.DETECT) and not asked and not slots.services:
        return Symptom(at=noticed.astimezone(UTC))  # since when "now" is
    if intent is Intent.QUERY and not asked:
        return Symptom(at=noticed.astimezone(UTC))
    if intent in (Intent.CLARIFY, Intent.QUERY, Intent.FORECAST) or not slots.services:
        return None
    # The window that is asked about is to be explained; what came before it is what it is compared with.
    at = asked.start if asked is not None else noticed.astimezone(UTC)
    return Symptom(slots.services[0], slots.metrics[0] if slots.metrics else None, at)


def _window(slots: Slots, now: datetime) -> TimeRange | None:
    if slots.time.startswith("next:"):
        return None
    if slots.time.startswith("range:") and slots.intent == "clarify":
        return None  # the question is about this very window
    asked = window(slots.time, now, day=slots.day, zone_name=slots.zone)
    if asked is None or asked.empty:
        return None
    # "The last 3000 weeks" is all that there can be; of a time before all times there are no samples, and that is the answer.
    start = max(asked.start, moments.EARLIEST)
    return TimeRange(start, max(asked.end, start + timedelta(seconds=1)))


def _horizon(slots: Slots, intent: Intent) -> timedelta | None:
    if slots.time.startswith("next:"):
        return length(slots.time.removeprefix("next:"))
    return _FORECAST_DEFAULT if intent is Intent.FORECAST else None

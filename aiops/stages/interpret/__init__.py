"""Stage 1: words -> a validated Task. Rules first, the language model only where they are not sure, else one question back.

strip quoted text -> refuse -> rules -> sure? ----------------------------> Task
                                         |no
                                         +-> model (grammar) -> grounded? -> Task
                                                                 |no
                                                                 +-> one question with choices
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from aiops.domain import Agenda, Catalog, Task
from aiops.ports import LanguageModel
from aiops.stages.interpret import ask_model, convert, metricnames, questions, rules
from aiops.stages.interpret.clauses import Clause, clauses
from aiops.stages.interpret.match import Matcher
from aiops.stages.interpret.slots import Reading, Slots
from aiops.telemetry import stage

EARLIER = "earlier clause"  # where a value came from that another clause of the same request told

__all__ = ["Plan", "Reading", "Slots", "interpret", "read", "read_by_model"]


@dataclass(frozen=True, slots=True)
class Plan:
    """The task, and how it was understood.

    slots: what a session keeps for the next turn. origins: dotted task field -> said | default | session, in a request of several questions also `earlier clause`.
    route: rules | model | clarify. note: what the person should know, such as that no model was there to ask.
    agenda: where the words ask several things, all of them; `task` is then the first. `origins_of`: their origins by task_id.
    """

    task: Task
    slots: Mapping[str, object]
    origins: Mapping[str, str] = field(default_factory=dict)
    route: str = "rules"
    choices: tuple[str, ...] = ()
    note: str = ""
    agenda: Agenda | None = None
    origins_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@stage("interpret")
def interpret(
    text: str,
    catalog: Catalog,
    *,
    now: datetime,
    timezone: str = "UTC",
    context: Mapping[str, object] | None = None,
    model: LanguageModel | None = None,
    timeout: float = 20.0,
    noticed: datetime | None = None,
) -> Plan:
    """What `text` orders. `context` is the `slots` of the turn before. Never raises for any text; the model's failure
    costs a clarification. `now` must be aware; wall-clock words are read in `timezone`. `noticed`: when the trouble
    began, where the words don't say (default: now)."""
    here = now.astimezone(ZoneInfo(timezone))
    several = clauses(text, _matcher(_key(catalog)), here, _before(context))
    if several:
        return _several(several, catalog, here, noticed or here)
    reading = _at_home(read(text, catalog, now=here, context=context, model=model, timeout=timeout), catalog)
    return Plan(
        task=convert.task_of(reading, here, noticed or here),
        slots=_session(reading),
        origins=convert.origins_of(reading),
        route=reading.route,
        choices=reading.choices,
        note=reading.note,
    )


def _several(several: Sequence[Clause], catalog: Catalog, here: datetime, noticed: datetime) -> Plan:
    """The plan of a request that asks several things."""
    readings = [_at_home(_consistent(clause.reading), catalog) for clause in several]
    tasks = [convert.task_of(reading, here, noticed) for reading in readings]
    agenda = convert.agenda_of(several, tasks)
    readings = _carried(readings)
    origins = {task.task_id: convert.origins_of(reading) for task, reading in zip(tasks, readings, strict=True)}
    first = tasks[0]
    return Plan(first, _session(readings[-1]), origins[first.task_id], agenda=agenda, origins_of=origins)


def read(
    text: str,
    catalog: Catalog,
    *,
    now: datetime,
    context: Mapping[str, object] | None = None,
    model: LanguageModel | None = None,
    timeout: float = 20.0,
) -> Reading:
    """Slots of `text`; `now` is aware, in the speaker's zone."""
    before = _before(context)
    ruled = _consistent(rules.read(text, _matcher(_key(catalog)), now, before, catalog.having))
    if ruled.sure:
        return ruled
    return ask_model.read(ruled, catalog, before, model, timeout)


def read_by_model(
    text: str,
    catalog: Catalog,
    *,
    now: datetime,
    model: LanguageModel,
    context: Mapping[str, object] | None = None,
    timeout: float = 20.0,
) -> Reading:
    """As `read`, but the model is asked even where the rules are sure; what they refuse stays refused. For measurements: what
    the model says passes no check but the schema's, so that the figures are its own."""
    before = _before(context)
    ruled = rules.read(text, _matcher(_key(catalog)), now, before)
    if ruled.slots.intent == "reject":
        return ruled
    return ask_model.unchecked(ruled, catalog, before, model, timeout)


def _consistent(reading: Reading) -> Reading:
    """A change and the intent to change go together, whatever a session brought along."""
    slots = reading.slots
    if slots.intent == "remediate" and slots.action == "none":
        asked, choices = questions.ask("change", reading.said), ("restart", "scale", "rollback")
        return replace(reading, slots=replace(slots, intent="clarify"), question=asked, choices=choices)
    if slots.intent not in {"remediate", "clarify"} and slots.action != "none":
        return replace(reading, slots=replace(slots, action="none"))
    return reading


def _carried(readings: Sequence[Reading]) -> list[Reading]:
    """Each clause with where its values came from: what it took over from the clause before was said in this request, unless
    that had it from the session, or from nowhere."""
    told: list[Reading] = []
    for reading in readings:
        before = told[-1].origins if told else {}
        known = {name: origin for name, origin in before.items() if origin in {"session", "default"}}
        origins = {
            name: known.get(name, EARLIER) if told and origin == "session" else origin
            for name, origin in reading.origins.items()
        }
        told.append(replace(reading, origins=origins))
    return told


def _at_home(reading: Reading, catalog: Catalog) -> Reading:
    """Conditions in the metric's own unit; and where none of the services has a metric that was named, the one of theirs that
    means the same: "p99 of cart" is cart's own p99, whatever else the catalog has. A metric that was named in full stays."""
    filters = tuple(reading.exact.get(text, text) for text in reading.slots.filters)
    slots = replace(reading.slots, filters=filters)
    reading = replace(reading, slots=slots)
    asked = set(slots.services or catalog.services)
    own = [m for m, services in catalog.having.items() if asked.intersection(services)]
    if not own:
        return reading

    def home(metric: str) -> str:
        if metric in own or metric not in catalog.having or metric.lower() in reading.said:
            return metric
        return next(iter(metricnames.alike(metric, own)), metric)

    moved = {metric: home(metric) for metric in slots.metrics}
    if all(one == other for one, other in moved.items()):
        return reading
    filters = tuple(_LIMITED.sub(lambda found: moved.get(found[0], found[0]), text) for text in slots.filters)
    metrics = tuple(dict.fromkeys(moved.values()))
    return replace(reading, slots=replace(slots, metrics=metrics, filters=filters))


_LIMITED = re.compile(r"^[^<>=]+(?=[<>])")


def _session(reading: Reading) -> dict[str, Any]:
    """What the next turn may edit; a refused turn leaves nothing."""
    slots = reading.slots
    kept: dict[str, Any] = slots.as_dict() | {"day": slots.day, "zone": slots.zone, "order": slots.order}
    if slots.intent == "clarify" and reading.wanted:
        kept["wanted"] = reading.wanted
    return kept


def _before(context: Mapping[str, object] | None) -> Slots | None:
    """The turn before. A clarification that knew what was wanted is taken up as that; a refusal is no context."""
    if not context or context.get("intent") == "reject":
        return None
    try:
        wanted = context.get("wanted")
        taken_up = context.get("intent") == "clarify" and isinstance(wanted, str) and wanted
        return Slots.from_dict({**context, "intent": wanted} if taken_up else context)
    except (ValueError, TypeError):
        return None


_Key = tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...], tuple[tuple[str, str], ...]]


def _key(catalog: Catalog) -> _Key:
    aliases = tuple(sorted((k, tuple(v)) for k, v in catalog.aliases.items()))
    return catalog.services, catalog.metrics, aliases, tuple(sorted(catalog.carriers.items()))


@lru_cache(maxsize=8)  # the live catalog changes rarely; building a matcher costs some ten milliseconds
def _matcher(key: _Key) -> Matcher:
    services, metrics, aliases, carriers = key
    return Matcher(Catalog(services, metrics, dict(aliases), dict(carriers)))

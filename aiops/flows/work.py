"""A job done away from the store: a worker reads and concludes, `aiops serve` keeps what came of it.

A report needs what only `aiops serve` has: what feedback and repairs taught, and the changes it was told of. `completed` adds
them to the recording; where it adds something the report is concluded again, which reads nothing from outside.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeAlias

from aiops import pipeline, telemetry
from aiops.domain import (
    Alert,
    Change,
    Experience,
    Intent,
    Job,
    Presence,
    Prior,
    Recording,
    Result,
    Symptom,
    Task,
    Verdict,
)
from aiops.errors import AiopsError, ConfigError, Refused, UsageError
from aiops.pipeline import Sources
from aiops.ports import ChangeSource, JobQueue, MetricsSource
from aiops.recording import pack
from aiops.rules import Rules
from aiops.schema import wire
from aiops.stages.scope import LOOK_ON

log = logging.getLogger(__name__)

ASKED_AFTER = LOOK_ON  # people ask some minutes after trouble began, and then all that is there since is read
Progress = Callable[[int, int], None]
Lane: TypeAlias = tuple[str, ...]  # labels that a job needs


@dataclass(frozen=True, slots=True)
class Hand:
    """What a worker has of the house: sources, rules and the queue. The store is opened by `aiops serve` alone."""

    sources: Sources
    rules: Rules
    queue: JobQueue
    versions: Mapping[str, str]
    deadline_s: float
    closers: tuple[Callable[[], None], ...] = ()

    def make(self, job: Job, worker: str, progress: Progress | None = None) -> tuple[Verdict, Result]:
        """Runs the job's task. Raises Refused, UsageError, SourceError as `Ops.run`."""
        began = time.monotonic()
        task = runnable(job.task, self.sources.metrics)
        recording = pipeline.record(job.id, task, self.sources, self.rules, self.deadline_s)
        report = pipeline.conclude(recording, self.rules, self.versions, progress)
        report = dataclasses.replace(report, run={"computed_at": datetime.now(UTC).isoformat(timespec="seconds")})
        made = Result(worker, wire.encode(report), pack(recording), time.monotonic() - began, telemetry.took())
        return report.verdict, made

    def close(self) -> None:
        for close in reversed(self.closers):
            close()

    def __enter__(self) -> Hand:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def moments(metrics: MetricsSource, now: datetime | None = None) -> tuple[datetime, datetime]:
    """What `now` means, and since when trouble is assumed where nobody says: in a recorded incident both are when it was
    noticed."""
    recorded = metrics.window()
    if recorded is None:
        now = now or datetime.now(UTC)
        return now, now - ASKED_AFTER
    at = metrics.symptom().at or recorded.end
    return now or at, at


def runnable(task: Task, metrics: MetricsSource) -> Task:
    """The task with its moment. Raises Refused for `reject`, UsageError for `clarify`."""
    if task.intent is Intent.REJECT:
        raise Refused(task.question or "this request is outside what aiops may do")
    if task.intent is Intent.CLARIFY:
        raise UsageError(task.question or "a clarification is needed")
    return pinned(task, *moments(metrics))


def pinned(task: Task, now: datetime, noticed: datetime | None = None) -> Task:
    """A forecast, a query or a check with its moment: the same question at another time has an answer of its own. What is asked
    about without a time is what there is since `noticed`."""
    if task.intent not in (Intent.FORECAST, Intent.QUERY, Intent.DETECT) or task.inputs.window:
        return task
    if task.inputs.symptom and (task.intent is Intent.FORECAST or task.inputs.symptom.at):
        return task
    at = now if task.intent is Intent.FORECAST or noticed is None else noticed
    symptom = dataclasses.replace(task.inputs.symptom or Symptom(), at=at)
    return dataclasses.replace(task, inputs=dataclasses.replace(task.inputs, symptom=symptom))


def completed(
    recording: Recording,
    priors: tuple[Prior, ...],
    experience: tuple[Experience, ...],
    changes: ChangeSource | None,
    timeout: float,
) -> Recording:
    """The recording with `priors`, `experience` and the changes that `changes` knows; the same object where that adds nothing."""
    if (priors, experience) != (recording.priors, recording.experience):
        recording = dataclasses.replace(recording, priors=priors, experience=experience)
    if changes is None or recording.task.intent is Intent.FORECAST:
        return recording
    seen = recording.observation.changes
    try:
        missed = [change for change in changes.read(recording.scope, timeout) if change not in seen]
    except AiopsError as error:
        log.warning("the changes about %s can't be read: %s", recording.id, error)
        return recording
    if not missed:
        return recording
    observation = dataclasses.replace(recording.observation, changes=tuple(sorted([*seen, *missed], key=_when)))
    return dataclasses.replace(recording, observation=observation)


def _when(change: Change) -> tuple[datetime, str, str, str]:
    return change.at, change.node, change.kind, change.summary


def lane(text: str, setting: str) -> Lane:
    """The labels in `text`, parted by spaces or commas, sorted. Raises ConfigError, naming `setting`, for one that is none."""
    labels = sorted(set(re.split(r"[\s,]+", text.strip()))) if text.strip() else []
    for label in labels:
        if not re.fullmatch(r"[\w.\-/]+:[^\s,]+", label):
            raise ConfigError(f"{setting}: {label!r} is no label; write NAME:VALUE, as in env:prod")
    return tuple(labels)


def needed(alerts: Sequence[Alert], route_by: Sequence[str]) -> Lane:
    """The labels that a worker must have for these alerts: of those named in `route_by` what all of them say, `env=prod` as
    `env:prod`; white space and commas in a value as `_`."""
    said = {name: {alert.labels.get(name, "") for alert in alerts} for name in route_by}
    common = {name: next(iter(values)) for name, values in said.items() if len(values) == 1}
    word = re.compile(r"[\s,]+")
    return tuple(sorted(f"{name}:{word.sub('_', value)}" for name, value in common.items() if value))


def unmatched(lanes: Mapping[Lane, int], workers: Sequence[Presence]) -> dict[Lane, int]:
    """Of the jobs that wait, by the labels they need, those that no worker alive has all labels of."""
    return {needed: waiting for needed, waiting in lanes.items() if not _served(needed, workers)}


def no_worker(needed: Lane, workers: Sequence[Presence]) -> str:
    """Why a job that needs these labels is not claimed, where no worker alive may have it; "" where one may."""
    if _served(needed, workers):
        return ""
    alive = [worker for worker in workers if worker.alive]
    if not alive:
        return "no worker matches: none is alive"
    there = "; ".join(f"{worker.name} has {', '.join(worker.labels) or 'none'}" for worker in alive)
    return f"no worker matches: the labels {', '.join(needed)} are needed; {there}"


def _served(needed: Iterable[str], workers: Sequence[Presence]) -> bool:
    return any(worker.alive and set(needed) <= set(worker.labels) for worker in workers)

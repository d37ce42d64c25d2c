"""What one can ask of the house: the facade that the fronts (CLI, HTTP, Python) share.

    with aiops.connect(metrics="prometheus+http://127.0.0.1:9090") as ops:
        report = ops.diagnose(service="checkout", at=datetime.now(UTC))

Built by `app.connect`; knows ports and the pipeline, never an adapter. Synchronous and thread-safe.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING

from aiops import pipeline
from aiops.domain import (
    Actor,
    Agenda,
    Alert,
    Feedback,
    Inputs,
    Intent,
    Job,
    JobState,
    Panel,
    Prior,
    Recording,
    Repair,
    Report,
    Result,
    Symptom,
    Task,
    TimeRange,
    job_id,
)
from aiops.errors import AiopsError, NotFound, SourceError, UsageError
from aiops.flows import agenda as agendas
from aiops.flows import fold, retention, turns, work
from aiops.flows.episodes import Folding
from aiops.flows.repair import HOUSE, Governance, Repairs, called_for
from aiops.flows.retention import Retention
from aiops.pipeline import Sources
from aiops.ports import Chat, JobQueue, LanguageModel, Silences, Store
from aiops.recording import pack, unpack
from aiops.rules import Rules
from aiops.schema import wire
from aiops.schema.alerting import Alerting
from aiops.stages.priors import nodes_of, recall
from aiops.stages.scope import LOOK_BACK, LOOK_ON
from aiops.telemetry import stage

if TYPE_CHECKING:
    from aiops.stages.interpret import Plan

log = logging.getLogger(__name__)

QUEUE_PATIENCE_S = 900.0  # how long a task of an agenda waits for a worker
HELP_S = 10.0  # seconds for one message
MOST_NAMED = 40  # nodes that an error lists


@dataclass(frozen=True, slots=True)
class Ops:
    """The wired house. `identity` names the sources, so that the same question of another system is another diagnosis.

    `actor` is who asks (`by` makes it somebody else). Whatever is asked or done here leaves an entry in the audit log, durable
    before the answer is there; where it can't be written, the method raises StoreError."""

    sources: Sources
    rules: Rules
    store: Store
    queue: JobQueue
    model: LanguageModel | None
    identity: str
    versions: Mapping[str, str]
    deadline_s: float
    model_timeout_s: float
    timezone: str
    governance: Governance
    closers: tuple[Callable[[], None], ...] = ()
    priors: bool = True  # whether feedback counts in the next diagnosis
    graph_keep: timedelta = timedelta(days=30)
    session_keep: timedelta = timedelta(hours=8)
    keep: Retention = field(default_factory=Retention)
    actor: Actor = field(default_factory=Actor)
    tenant: str = ""  # whose data the metrics source shows
    alerting: Alerting = field(default_factory=Alerting)
    folding: Folding = field(default_factory=Folding)
    silences: Silences | None = None
    chats: tuple[Chat, ...] = ()
    trace_id: str = ""  # of the request that this is part of; stands in the volatile part of its reports

    # ------------------------------------------------ who asks

    def by(self, actor: Actor) -> Ops:
        """The same house for somebody else; it is closed once, by whoever opened it."""
        return dataclasses.replace(self, actor=actor)

    @contextmanager
    def turn(
        self, action: str, *, text: str = "", session: str = "", task: Task | None = None
    ) -> Iterator[turns.Notes]:
        """For what the fronts do beside the methods below: leaves one entry in the audit log when the block ends."""
        with turns.turn(self.store, self.actor, action, text=text, session=session, task=task) as notes:
            notes.trace = self.trace_id
            yield notes

    # ------------------------------------------------ asking

    def plan(self, text: str, *, session: str = "", now: datetime | None = None) -> Plan:
        """Words -> a validated Task with the origin of each value; runs nothing. The language model is asked only when
        the rules are not sure. A `session` makes the text a possible follow-up of this actor's turn before in it."""
        with self.turn("ask", text=text, session=session) as notes:
            plan = self._plan(text, turns.session_key(self.actor, session) if session else "", now)
            notes.task, notes.agenda, notes.route = plan.task, plan.agenda, turns.route_of(plan.task, plan.route)
        return plan

    def _plan(self, text: str, key: str, now: datetime | None) -> Plan:
        from aiops.stages.interpret import interpret  # its patterns take a while to compile, and only words need them

        now, noticed = work.moments(self.sources.metrics, now)
        before = self.store.session(key) if key else None
        catalog = pipeline.catalog(self.sources, self.rules, timeout=self.deadline_s)
        plan = interpret(
            text,
            catalog,
            now=now,
            timezone=self.timezone,
            context=before,
            model=self.model,
            timeout=self.model_timeout_s,
            noticed=noticed,
        )
        plan = dataclasses.replace(plan, task=work.pinned(plan.task, now))
        if plan.agenda:
            steps = tuple(dataclasses.replace(s, task=work.pinned(s.task, now)) for s in plan.agenda.steps)
            plan = dataclasses.replace(plan, agenda=dataclasses.replace(plan.agenda, steps=steps))
        if (
            key and plan.task.intent is not Intent.REJECT
        ):  # the turn before a refused one is still what the next may edit
            # By the clock: `now` may be the time of a recorded incident.
            self.store.save_session(key, plan.slots, datetime.now(UTC) + self.session_keep)
        return plan

    def diagnose(
        self,
        service: str | None = None,
        metric: str | None = None,
        at: datetime | None = None,
        since: timedelta | None = None,
        until: datetime | None = None,
        alerts: tuple[Alert, ...] = (),
    ) -> Report:
        """The root causes of a symptom noticed at `at`; without one, of what the recording or the alerts say.

        `since` is how far back from `at` to read (default one hour); `until` cuts what came later."""
        return self.run(self.task(service, metric, at, since, until, alerts))

    def task(
        self,
        service: str | None = None,
        metric: str | None = None,
        at: datetime | None = None,
        since: timedelta | None = None,
        until: datetime | None = None,
        alerts: tuple[Alert, ...] = (),
    ) -> Task:
        """The Task that `diagnose` runs."""
        told = fold.symptom(alerts, self.rules.entities)
        recorded = self.sources.metrics.symptom()
        moment = at or told.at or recorded.at or datetime.now(UTC)
        symptom = Symptom(service, metric, moment)
        if service is None:
            said = told if alerts else recorded
            symptom = Symptom(said.service, metric or said.metric, moment)
        window = None
        if since or until:
            fixed = self.sources.metrics.window() or TimeRange(moment - LOOK_BACK, moment + LOOK_ON)
            window = TimeRange(moment - since if since else fixed.start, until or fixed.end)
        inputs = Inputs(symptom=symptom, alerts=alerts, window=window)
        return Task(fold.task_id(Intent.DIAGNOSE, inputs), Intent.DIAGNOSE, inputs)

    def forecast(
        self,
        query: str,
        horizon: timedelta,
        *,
        since: timedelta | None = None,
        now: datetime | None = None,
        full_at: float | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Report:
        """What is expected of the series that `query` selects, from `now` on, and when each is full (at `full_at`).

        `since` is how far back the history goes (default: two weeks, or eight horizons). `progress(done, total)` is told how far
        it is. Raises UsageError for a query that the source does not understand or that matches nothing."""
        now, _ = work.moments(self.sources.metrics, now)
        window = TimeRange(now - since, now) if since else None
        inputs = Inputs(symptom=Symptom(at=now), window=window, horizon=horizon, query=query, full_at=full_at)
        return self.run(Task(fold.task_id(Intent.FORECAST, inputs), Intent.FORECAST, inputs), progress=progress)

    def run(
        self, task: Task, report_id: str | None = None, progress: Callable[[int, int], None] | None = None
    ) -> Report:
        """Runs a task through the corridor, stores report and recording, and answers the report.

        Raises Refused for `reject`, UsageError for `clarify`, SourceError when no source could be read."""
        with self.turn("run", task=task) as notes:
            notes.task = task = self._runnable(task)
            notes.report = report_id = report_id or job_id(self._key(task))
            report = self._run(task, report_id, progress)
            notes.result = str(report.verdict)
        return report

    def submit(self, task: Task) -> Job:
        """Puts a task in the queue, for a worker to run, under the id that the same question has everywhere.

        Raises Refused and UsageError as `run`, Overloaded when the queue is full."""
        with self.turn("submit", task=task) as notes:
            if task.intent in (Intent.REJECT, Intent.CLARIFY):
                self._runnable(task)
            key = self._key(task)
            needed = work.needed(task.inputs.alerts, self.folding.route_by)
            (job,) = self.queue.put([Job(job_id(key), key, task, enqueued_at=datetime.now(UTC), labels=needed)])
            notes.report, notes.result = job.id, str(job.state)
        return job

    def run_agenda(self, agenda: Agenda, *, queued: bool = False) -> agendas.AgendaResult:
        """Runs the tasks of one request, those that may together, under one trace id; a report each.

        `queued` leaves the work to the workers of the queue. Never raises for what a task does: its result says why."""
        trace = agendas.trace_id_of(agenda, datetime.now(UTC).isoformat())
        mine = dataclasses.replace(self, trace_id=trace)
        perform = mine.await_worker if queued else mine.run
        return agendas.run(agenda, lambda task: self._with_series(perform(task)), trace_id=trace, tenant=self.tenant)

    def await_worker(self, task: Task) -> Report:
        """As `run`, by a worker of the queue. Raises SourceError when none has answered in `QUEUE_PATIENCE_S`, or it failed."""
        job = self.submit(task)
        give_up = time.monotonic() + QUEUE_PATIENCE_S
        while job.state in (JobState.QUEUED, JobState.RUNNING):
            if time.monotonic() > give_up:
                raise SourceError(
                    f"task {task.task_id}", "the queue", f"no worker answered for {QUEUE_PATIENCE_S:.0f} s"
                )
            time.sleep(0.1)
            job = self.queue.get(job.id) or job
        if job.state in (JobState.FAILED, JobState.SUPPRESSED):
            raise SourceError(f"task {task.task_id}", "a worker", job.error or str(job.state))
        return self.report(job.id)

    def _with_series(self, report: Report) -> tuple[Report, Panel]:
        recorded = self.store.recording(report.id)
        return report, unpack(recorded, report.id).observation.panel if recorded else Panel.empty()

    def _runnable(self, task: Task) -> Task:
        return work.runnable(task, self.sources.metrics)

    def _key(self, task: Task) -> str:
        return f"{self.identity}\n{wire.encode(task).decode()}"

    def _run(self, task: Task, report_id: str, progress: Callable[[int, int], None] | None) -> Report:
        recording = pipeline.record(report_id, task, self.sources, self.rules, self.deadline_s)
        taught = self._taught(recording)
        recording = dataclasses.replace(recording, priors=taught, experience=self.store.experience())
        report = self._stamp(pipeline.conclude(recording, self.rules, self.versions, progress))
        report = self._with_episode(report)
        self._keep(recording, report, pack(recording))
        return report

    def take_in(self, job: Job, result: Result) -> Report:
        """Stores what a worker elsewhere has made of a job; concluded again where feedback or changes that only this house
        knows have a say. Twice does no harm."""
        with self.by(Actor("worker", result.worker)).turn("run", task=job.task) as notes:
            recording, report = unpack(result.recording, job.id), wire.decode(result.report, Report)
            learnt = tuple(
                one for one in self.store.experience() if one.fault in {c.fault for c in report.root_causes[:1]}
            )
            known = work.completed(recording, self._taught(recording), learnt, self.sources.changes, self.deadline_s)
            if known is not recording:
                report = self._stamp(pipeline.conclude(known, self.rules, self.versions))
            report = self._with_episode(report)
            self._keep(known, report, result.recording if known is recording else pack(known))
            notes.task, notes.report, notes.result = recording.task, report.id, str(report.verdict)
        return report

    def _taught(self, recording: Recording) -> tuple[Prior, ...]:
        return recall(self.store.told(recording.scope.symptom)) if self.priors else ()

    @stage("keep")
    def _keep(self, recording: Recording, report: Report, packed: bytes) -> None:
        about = recording.task.inputs.alerts, recording.scope.incident
        self.store.save(report.id, wire.encode(report), packed, wire.index(report), *about)
        self.by(HOUSE).repairs.propose(report)
        self._remember(recording, report)

    def _remember(self, recording: Recording, report: Report) -> None:
        """A graph that can't take it costs this memory, never the report."""
        before = min(datetime.now(UTC), recording.scope.at) - self.graph_keep
        try:
            pipeline.remember(recording, report, self.sources.graph, before)
        except AiopsError as error:
            log.warning("the graph has not taken what %s saw: %s", report.id, error)

    # ------------------------------------------------ looking back

    def report(self, report_id: str) -> Report:
        found = self.store.report(report_id)
        if found is None:
            raise NotFound(f"no report {report_id!r}")
        return wire.decode(found, Report)

    def replay(self, source: str | bytes) -> Report:
        """The report again, from its recording alone: an id, or the bytes of a recording."""
        recorded = source if isinstance(source, bytes) else self.store.recording(source)
        if recorded is None:
            raise NotFound(f"no recording of {source!r}")
        return self._stamp(pipeline.conclude(unpack(recorded), self.rules, self.versions))

    def feedback(self, report_id: str, cause: str, *, note: str = "", wrong: bool = False) -> tuple[Feedback, bool]:
        """Keeps what the true cause behind a report was, or, where `wrong`, that it was not `cause`: (what is kept, whether it
        is new). It takes the place of what was told about the report before.

        Raises NotFound for an unknown report, UsageError for a cause that neither the report nor the graph knows."""
        with self.turn("feedback", text=note) as notes:
            notes.report, notes.result = report_id, f"{'not ' if wrong else ''}{cause}"
            return self._feedback(report_id, cause, note, wrong)

    def _feedback(self, report_id: str, cause: str, note: str, wrong: bool) -> tuple[Feedback, bool]:
        recorded = self.store.recording(report_id)
        if recorded is None:
            raise NotFound(f"no report {report_id!r}; `aiops reports` lists them")
        recording = unpack(recorded, report_id)
        node = self.rules.entities.aliases.get(cause, cause)
        known = nodes_of(recording)
        if node not in known and node not in self.sources.graph.nodes():
            close = difflib.get_close_matches(node, known, 3, 0.6)
            meant = f"; did you mean {' or '.join(close)}?" if close else "."
            names = ", ".join(known[:MOST_NAMED]) + (
                f" and {len(known) - MOST_NAMED} more" if known[MOST_NAMED:] else ""
            )
            raise UsageError(f"{cause!r} is no node of report {report_id}{meant} Its nodes are: {names or 'none'}")
        symptom = recording.scope.symptom
        new = self.store.tell(Feedback(report_id, symptom, node, wrong, note, datetime.now(UTC)))
        return next(told for told in self.store.told(symptom) if told.report_id == report_id), new

    def withdraw(self, report_id: str) -> None:
        """Forgets what was told about a report. Raises NotFound where nothing was."""
        with self.turn("withdraw") as notes:
            notes.report = report_id
            if not self.store.untell(report_id):
                raise NotFound(f"nothing was told about a report {report_id!r}; `aiops feedback --list` shows what was")

    def cut(self, caller: str, callee: str) -> None:
        """Marks a dependency as wrong: it is never used nor learned again. Raises NotFound where there is none."""
        with self.turn("graph cut") as notes:
            notes.result = f"{caller} -> {callee}"
            if not self.sources.graph.cut(caller, callee):
                raise NotFound(f"no dependency {caller} -> {callee} is known")

    def restore(self, caller: str, callee: str) -> None:
        """Takes a cut back: what was cut is there again as it was. Raises NotFound where nothing is cut."""
        with self.turn("graph cut --undo") as notes:
            notes.result = f"{caller} -> {callee}"
            if not self.sources.graph.restore(caller, callee):
                raise NotFound(f"{caller} -> {callee} is not cut; `aiops graph cut --list` shows what is")

    def _with_episode(self, report: Report) -> Report:
        """With what its episode was by now, among what changes from run to run."""
        episode = self.store.episodes([report.id]).get(report.id)
        if episode is None:
            return report
        told = {"episode": episode.id, "alerts": str(episode.alerts), "recurrences": str(episode.recurrences)}
        return dataclasses.replace(report, run={**report.run, **told})

    def _stamp(self, report: Report) -> Report:
        volatile = {"computed_at": datetime.now(UTC).isoformat(timespec="seconds")}
        return dataclasses.replace(report, run=volatile | ({"trace_id": self.trace_id} if self.trace_id else {}))

    # ------------------------------------------------ repairing

    @property
    def repairs(self) -> Repairs:
        """Plans, approvals and runs of repairs, in the name of whoever asks."""
        sources = self.sources
        return Repairs(self.store, sources.metrics, sources.graph, self.governance, self.actor, self._call_for_help)

    def _call_for_help(self, repair: Repair) -> None:
        """A chat that is away costs the message alone: the report, the list and the figures tell it as well."""
        message = called_for(repair)
        log.error("%s", " ".join(message.lines))
        for chat in self.chats:
            try:
                chat.post(message, HELP_S, key=f"repair {repair.id} {len(repair.steps)}")
            except SourceError as error:
                log.warning("%s can't be told: %s", chat.name, error)

    # ------------------------------------------------ life

    def purge(self, now: datetime | None = None) -> Mapping[str, int]:
        """Takes away what is older than it is to be kept: how many of each kind. Audited where it is any."""
        gone = retention.purge(self.keep, self.store, self.queue, self.sources.changes, now or datetime.now(UTC))
        if any(gone.values()):
            with self.turn("purge") as notes:
                notes.result = ", ".join(f"{count} {what}" for what, count in gone.items() if count)
        return gone

    def close(self) -> None:
        for close in reversed(self.closers):
            close()

    def __enter__(self) -> Ops:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""What every route needs, and how jobs and reports are shown as diagnoses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request

from aiops.domain import Actor, Alert, Episode, Job, JobState, Mode, Report, Task, TimeRange, Verdict
from aiops.errors import NotFound, UsageError
from aiops.flows import fold, work
from aiops.ops import Ops
from aiops.schema import http, moments
from aiops.service.access import Access
from aiops.service.folder import Folder
from aiops.service.intake import Intake
from aiops.service.metrics import Registry
from aiops.service.repairing import Repairing
from aiops.service.worker import Worker

MAX_OFFSET = 2_000
SEARCHED = 500  # newest jobs and reports among which a filter looks

PROBLEM: dict[int | str, dict[str, Any]] = {code: {"model": http.Problem} for code in (400, 401, 403, 404, 408, 413)}
PROBLEM |= {415: {"model": http.Problem}, 421: {"model": http.Problem}, 503: {"model": http.Problem}}
OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which diagnoses a list is to show; what is empty asks for any."""

    status: JobState | None = None
    service: str = ""
    alertname: str = ""
    fingerprint: str = ""
    created: TimeRange | None = None

    @property
    def all(self) -> bool:
        return self == Wanted()


@dataclass(frozen=True, slots=True)
class _Row:
    """A diagnosis with what it is looked for by."""

    shown: http.Diagnosis
    service: str
    alertnames: frozenset[str]
    fingerprints: frozenset[str]

    def fits(self, wanted: Wanted) -> bool:
        return (
            wanted.status in (None, self.shown.status)
            and wanted.service in ("", self.service)
            and (not wanted.alertname or wanted.alertname in self.alertnames)
            and (not wanted.fingerprint or wanted.fingerprint in self.fingerprints)
            and (wanted.created is None or wanted.created.start <= (self.shown.created or OLDEST) < wanted.created.end)
        )


@dataclass(slots=True)
class Streams:
    """How many follow a diagnosis. Used by the event loop alone."""

    open: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    ops: Ops
    registry: Registry
    worker: Worker | None  # the one in here
    intake: Intake
    folder: Folder
    access: Access
    repairing: Repairing
    external_url: str
    streams: Streams = field(default_factory=Streams)

    def link(self, path: str) -> str:
        return f"{self.external_url.rstrip('/')}{path}"

    def submit(self, task: Task) -> http.Diagnosis:
        """Puts a task in the queue under the id that the same question has everywhere."""
        job = self.ops.submit(task)
        self.wake()
        return self.diagnosis(job)

    def wake(self) -> None:
        """Something was put in the queue; workers elsewhere see it by themselves."""
        if self.worker:
            self.worker.wake()

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

    def find(self, diagnosis_id: str) -> http.Diagnosis:
        """Where it stands, by its job or its report. Raises NotFound."""
        job = self.ops.queue.get(diagnosis_id)
        if job is not None:
            shown = self.diagnosis(job)
            shown.waiting = self._waiting(job)
            return self._counted([shown])[0]
        episode = self.ops.store.episodes([diagnosis_id]).get(diagnosis_id)
        if episode and episode.rounds and episode.diagnosis != diagnosis_id and not self._comes(diagnosis_id, episode):
            return self.find(episode.diagnosis)  # what had this id went into another, or was over before its turn
        if episode and (self._comes(diagnosis_id, episode) or not episode.rounds):
            return self.expected(episode)
        report = self.report(diagnosis_id)
        status = JobState.DONE if report.verdict is Verdict.FOUND else JobState.INCONCLUSIVE
        shown = http.Diagnosis(
            id=report.id, status=status, report_url=self.link(f"/reports/{report.id}"), summary=report.summary[0]
        )
        return self._counted([shown])[0]

    def begin(self, diagnosis_id: str) -> http.Diagnosis:
        """Begins a diagnosis of an episode now, whatever holds it up. Raises NotFound, UsageError."""
        with self.ops.turn("start") as notes:
            job = self.folder.begin(diagnosis_id)
            notes.report, notes.result = job.id, str(job.state)
        return self._counted([self.diagnosis(job)])[0]

    def expected(self, episode: Episode, alerts: Sequence[Alert] = ()) -> http.Diagnosis:
        """The next diagnosis of an episode, which has not begun."""
        waits = self.folder.wait_s(episode)
        queued = waits is not None and episode.mode is Mode.AUTO
        return http.Diagnosis(
            id=episode.diagnosis_of(episode.rounds + 1),
            status=JobState.QUEUED if queued else JobState.SUPPRESSED,
            episode_id=episode.id,
            error=None if queued else episode.why,
            waiting=(f"begins in {waits:.0f} s" if waits else "as many as may have begun this minute")
            if queued
            else None,
            summary=", ".join(sorted({alert.name for alert in alerts})) or None,
            created=episode.opened,
            alerts=episode.alerts,
            recurrences=episode.recurrences,
        )

    def _comes(self, diagnosis_id: str, episode: Episode) -> bool:
        return episode.due is not None and diagnosis_id == episode.diagnosis_of(episode.rounds + 1)

    def _counted(self, shown: list[http.Diagnosis]) -> list[http.Diagnosis]:
        """With what is known of their episodes by now."""
        episodes = self.ops.store.episodes([one.id for one in shown])
        for one in shown:
            if episode := episodes.get(one.id):
                one.episode_id, one.alerts, one.recurrences = episode.id, episode.alerts, episode.recurrences
        return shown

    def _waiting(self, job: Job) -> str | None:
        """Why no worker begins, where none alive may have the job."""
        if job.state is not JobState.QUEUED or (self.worker and set(job.labels) <= set(self.worker.presence.labels)):
            return None
        return work.no_worker(job.labels, self.ops.queue.workers()) or None

    def report(self, report_id: str) -> Report:
        """Raises NotFound, which tells why there is none where a job is known."""
        try:
            return self.ops.report(report_id)
        except NotFound:
            job = self.ops.queue.get(report_id)
            if job is None:
                raise
            reason = f": {job.error}" if job.error else ""
            raise NotFound(f"diagnosis {report_id} is {job.state}{reason}; there is no report of it") from None

    def page(self, offset: int, limit: int, wanted: Wanted | None = None) -> http.Diagnoses:
        """Newest first, from the queue and the store; a filter looks among the newest `SEARCHED` of each."""
        wanted = wanted or Wanted()
        rows = self._rows(offset + limit + 1 if wanted.all else SEARCHED)
        fitting = [row.shown for row in rows if row.fits(wanted)]
        more = len(fitting) > offset + limit and offset + limit <= MAX_OFFSET
        return http.Diagnoses(
            diagnoses=self._counted(fitting[offset : offset + limit]), next=offset + limit if more else None
        )

    def _rows(self, count: int) -> list[_Row]:
        stored = {row["id"]: self._of_report(row) for row in self.ops.store.reports(count)}
        expected = {e.id: self._of_episode(e, alerts) for e, alerts in self.ops.store.expected(count)}
        rows = expected | stored | {job.id: self._of_job(job) for job in self.ops.queue.recent(count)}
        for known in rows.keys() & stored.keys():
            rows[known].shown.summary = stored[known].shown.summary
        return sorted(rows.values(), key=lambda row: (row.shown.created or OLDEST, row.shown.id), reverse=True)

    def _of_episode(self, episode: Episode, alerts: Sequence[Alert]) -> _Row:
        service = fold.symptom(alerts, self.ops.rules.entities).service or ""
        names, prints = (frozenset(a.name for a in alerts), frozenset(a.fingerprint for a in alerts))
        return _Row(self.expected(episode, alerts), service, names, prints)

    def _of_job(self, job: Job) -> _Row:
        alerts, symptom = job.task.inputs.alerts, job.task.inputs.symptom
        service = (symptom.service if symptom else None) or ""
        names, prints = (frozenset(a.name for a in alerts), frozenset(a.fingerprint for a in alerts))
        return _Row(self.diagnosis(job), service, names, prints)

    def _of_report(self, row: Mapping[str, str]) -> _Row:
        names, prints = (frozenset(row.get(key, "").split("\n")) for key in ("alertnames", "fingerprints"))
        return _Row(self.stored(row), row.get("symptom", ""), names, prints)


def _desk(request: Request) -> Desk:
    """Where whoever sent the request is the one who asks: sessions and audit go by the token's name."""
    desk, principal = cast(Desk, request.app.state.desk), request.state.principal
    return replace(desk, ops=desk.ops.by(Actor("http", principal.name if principal else "")))


At = Annotated[Desk, Depends(_desk)]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET)]
Limit = Annotated[int, Query(ge=1, le=500)]
From = Annotated[str, Query(alias="from", description="epoch ms or RFC 3339")]
To = Annotated[str, Query(alias="to", description="epoch ms or RFC 3339")]


def window(start: str, end: str) -> TimeRange | None:
    """The time between two moments of a query, either of which may be absent. Raises UsageError."""
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

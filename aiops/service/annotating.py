"""Tells Grafana of diagnoses: an annotation when one begins, which its verdict then makes a region from the onset on.

What there is to tell follows from the store, so that a Grafana that is away, or a restart, loses none of the last `SINCE`; no
diagnosis waits for it, and none fails because of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from aiops.domain import Alert, Annotation, Job, JobState, Report, Untold
from aiops.errors import AiopsError, NotFound, SourceError, SourceRefused
from aiops.ops import Ops
from aiops.plain import clean
from aiops.ports import Annotations
from aiops.render.headline import onset, summary
from aiops.schema import links
from aiops.service.metrics import Registry

log = logging.getLogger(__name__)

TICK_S = 1.0
TIMEOUT_S = 5.0  # for what is sent about one diagnosis
PAUSE_S = 60.0  # at most, while Grafana is away
LOOK_S = 5.0  # how often a job is looked at that may have failed
SINCE = timedelta(hours=1)  # what has begun before is told no more
AT_ONCE = 100
TAG = 100  # characters that Grafana keeps of one
BEGUN, NO_REPORT = 0, -1  # beside the versions of reports


@dataclass(frozen=True, slots=True)
class _Told:
    """What there is to say of a diagnosis, and what of it has then been said."""

    annotation: Annotation
    told: int


class Annotator:
    """A thread between `start` and `stop`; none where there are no `marks` to make."""

    def __init__(self, ops: Ops, registry: Registry, marks: Annotations | None, external_url: str = "") -> None:
        self._ops, self._registry, self._marks = ops, registry, marks
        self._base = external_url.rstrip("/")
        self._zone = ZoneInfo(ops.timezone)
        self._later: dict[
            Untold, float
        ] = {}  # when to look again at one that is under way, or that Grafana did not take
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="annotator", daemon=True)

    def start(self) -> None:
        if self._marks:
            self._thread.start()

    def stop(self) -> None:
        """What has not been told by then is told after the next start."""
        self._stopping.set()
        if self._marks:
            self._thread.join(1.0)  # it may be asking, and nobody waits for the answer

    def _run(self) -> None:
        pause = TICK_S
        while not self._stopping.wait(pause):
            try:
                self.tell()
                pause = TICK_S
            except SourceError as error:
                log.warning("Grafana can't be told, which is tried again: %s", error)
                pause = min(2 * pause, PAUSE_S)
            except AiopsError as error:
                log.warning("it can't be read what to annotate: %s", error)
                pause = PAUSE_S
            except Exception:  # one report that breaks must not end the thread; the log has the traceback
                log.exception("annotations")
                pause = PAUSE_S

    def tell(self) -> None:
        """All that there is to tell by now. SourceError when nothing of it could be told, which is then told another time."""
        assert self._marks
        untold = self._ops.store.untold(datetime.now(UTC) - SINCE, AT_ONCE)
        self._later = {one: self._later.get(one, 0.0) for one in untold}
        sent, failure = 0, None
        for one in untold:
            if self._stopping.is_set() or time.monotonic() < self._later[one]:
                continue
            self._later[one] = time.monotonic() + LOOK_S
            if said := self._said(one):
                try:
                    self._send(self._marks, one, said)
                    sent += 1
                except SourceError as error:  # the next may be taken: it need not wait for this one
                    failure = error
        if failure and not sent:
            raise failure

    def _said(self, one: Untold) -> _Told | None:
        """None where it goes on and its beginning has been told."""
        if one.version:
            try:
                return _Told(self._verdict(self._ops.report(one.diagnosis)), one.version)
            except NotFound:  # purged since it was looked up
                return None
        job = self._ops.queue.get(one.diagnosis)
        if job is None:
            return None
        if job.state is JobState.FAILED:
            return _Told(self._failed(job), NO_REPORT)
        return None if one.annotation else _Told(self._begun(job), BEGUN)

    def _send(self, marks: Annotations, one: Untold, said: _Told) -> None:
        """Once, whatever is tried again: what was sent without an answer is looked for before it is sent again."""
        annotation = said.annotation
        if one.annotation is None:
            self._ops.store.annotated(one.diagnosis, "", BEGUN)
        try:
            known = marks.find(annotation, TIMEOUT_S) if one.annotation == "" else one.annotation or ""
            changed = bool(known) and marks.change(known, annotation, TIMEOUT_S)
            known = known if changed else marks.add(annotation, TIMEOUT_S)
        except SourceRefused as error:
            self._registry.count("aiops_annotations_total", outcome="refused")
            log.warning("Grafana refuses an annotation of diagnosis %s: %s", one.diagnosis, error)
            # Its beginning is not told again; its end is tried, for the reason may be gone by then.
            refused = replace(one, annotation=one.annotation or "")
            self._later |= dict.fromkeys((one, refused), time.monotonic() + SINCE.total_seconds())
            self._ops.store.annotated(one.diagnosis, refused.annotation or "", said.told)
            return
        except SourceError:
            self._registry.count("aiops_annotations_total", outcome="failed")
            raise
        self._registry.count("aiops_annotations_total", outcome="changed" if changed else "added")
        self._ops.store.annotated(one.diagnosis, known, said.told)

    # ------------------------------------------------ what is said

    def _begun(self, job: Job) -> Annotation:
        alerts = job.task.inputs.alerts
        symptom = job.task.inputs.symptom
        names = ", ".join(sorted({alert.name for alert in alerts} - {""})) or "An alert"
        told = next((a.annotations["summary"] for a in alerts if a.annotations.get("summary")), "")
        return self._annotation(
            job.id,
            (f"{names} fires: aiops looks for its cause.", told),
            ("diagnosing", (symptom.service if symptom else None) or ""),
            _since(alerts) or (symptom.at if symptom else None) or job.enqueued_at or datetime.now(UTC),
            alerts,
            f"/diagnoses/{job.id}",
        )

    def _failed(self, job: Job) -> Annotation:
        begun = self._begun(job)
        lines = (clean(f"aiops made no report: {job.error}", 500),)
        return replace(begun, lines=lines, tags=("aiops", "failed", *begun.tags[2:]), end=max(begun.start, self._now()))

    def _verdict(self, report: Report) -> Annotation:
        alerts = report.task.inputs.alerts
        computed = report.run.get("computed_at", "")
        end = min(datetime.fromisoformat(computed) if computed else datetime.now(UTC), self._now())
        start = onset(report) or _since(alerts) or report.symptom.at or end
        made = self._annotation(
            report.id,
            summary(report, self._zone),
            (str(report.verdict), report.symptom.service or ""),
            start,
            alerts,
            f"/reports/{report.id}",
        )
        return replace(made, end=max(start, end))

    def _annotation(
        self,
        about: str,
        lines: Iterable[str],
        tags: tuple[str, str],
        start: datetime,
        alerts: tuple[Alert, ...],
        path: str,
    ) -> Annotation:
        places = [place for alert in alerts if (place := links.panel(alert))[0]]
        dashboard, panel = places[0] if places else ("", 0)
        named = [tag for text in tags if (tag := clean(text, TAG))]
        plain = tuple([line for text in lines if (line := clean(text, 500))])
        link = f"{self._base}{path}" if self._base else ""
        return Annotation(about, start, None, plain, ("aiops", *named), link, dashboard, panel)

    def _now(self) -> datetime:
        """Of the source: a recorded incident's present is where its data end."""
        fixed = self._ops.sources.metrics.window()
        now = datetime.now(UTC)
        return min(now, fixed.end) if fixed else now


def _since(alerts: tuple[Alert, ...]) -> datetime | None:
    return min((alert.starts_at for alert in alerts), default=None)

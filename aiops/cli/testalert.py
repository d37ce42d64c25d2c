"""`aiops doctor --send-test-alert`: one alert, sent the way that alerts come, and followed until it is diagnosed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from aiops.cli.check import ASK_S, Part
from aiops.errors import AiopsError, SourceError

if TYPE_CHECKING:
    from aiops.domain import Alert, Job
    from aiops.ops import Ops
    from aiops.settings import Settings

NAME = "AiopsTest"
GROUPED_S = 90.0  # that an Alertmanager may gather alerts (group_wait) and bring them
PATIENCE_S = 60.0  # for what is to happen at once, where much else happens
LOOK_S = 0.2
LOOKED_AT = 500  # of the newest jobs


class Sender(Protocol):
    """Raises SourceError."""

    def send(self, alert: Alert, timeout: float) -> None: ...


def parts(load: Callable[[], Settings], token_file: Path | None) -> Iterator[Part]:
    """What became of it, step by step. Through the Alertmanager of `sources.silences`, else straight to `aiops serve`; both as the
    settings say, whose stores tell what came of it."""
    from aiops import app

    try:
        settings = load()
        with app.build(settings) as ops:
            yield from _sent(ops, settings, token_file)
    except AiopsError as error:
        yield Part("test alert", "failed", str(error), "aiops doctor", error.exit_code)


def _sent(ops: Ops, settings: Settings, token_file: Path | None) -> Iterator[Part]:
    from aiops import app
    from aiops.cli import common

    router = app.alertmanager(settings)
    token = common.read(str(token_file)).decode("utf-8", "replace").strip() if token_file else ""
    sender: Sender = router or app.own_webhook(settings, token)
    way = "by Alertmanager" if router else f"to aiops serve at {settings.text('service.listen')}"
    alert, began = _alert(ops), time.monotonic()
    try:
        sender.send(alert, ASK_S)
    except SourceError as error:
        yield Part("alert, sent", "failed", str(error), _mend(error, router is not None), error.exit_code)
        return
    yield Part("alert, sent", "ok", f"{' about '.join(alert.labels.values())}, {way}", seconds=_since(began))
    try:
        yield from _followed(ops, settings, alert, GROUPED_S if router else 0.0)
    finally:
        try:
            sender.send(replace(alert, status="resolved"), ASK_S)
        except SourceError as error:
            yield Part("alert, resolved", "poor", str(error), "its episode closes when it expires (episodes.expire_h)")


def _followed(ops: Ops, settings: Settings, alert: Alert, grouped_s: float) -> Iterator[Part]:
    began = time.monotonic()
    patience = grouped_s + settings.number("episodes.debounce_s") + PATIENCE_S
    job = _until(lambda: _job(ops, alert), patience)
    if job is None:
        yield Part(
            "alert, begun",
            "failed",
            f"no diagnosis of it began within {patience:.0f} s",
            "GET /v1/diagnoses: it may have joined an open episode; else the route of Alertmanager, or rules/alerts.yaml",
            3,
        )
        return
    yield Part("alert, begun", "ok", f"diagnosis {job.id}", seconds=_since(began))
    patience = settings.number("diagnosis.deadline_s") + PATIENCE_S
    ended = _until(lambda: _ended(ops, job.id), patience)
    if ended is None:
        yield Part("alert, diagnosed", "failed", f"not within {patience:.0f} s", "aiops doctor   (workers)", 3)
    elif ended.error:
        yield Part("alert, diagnosed", "failed", ended.error, "aiops doctor --live", 3, _since(began))
    else:
        link = f"{settings.text('service.external_url').rstrip('/')}/reports/{job.id}"
        yield Part("alert, diagnosed", "ok", f"{ended.state}: {link}", seconds=_since(began))


def _alert(ops: Ops) -> Alert:
    """Of a service that there is, so that all that a diagnosis reads is read; if possible one that nothing was asked about lately,
    so that it is folded into nothing."""
    from aiops.domain import Alert
    from aiops.flows import checkup
    from aiops.schema.alertmanager import fingerprint

    number = uuid4().hex[:8]
    labels = {"alertname": f"{NAME}{number}"}
    try:
        services = checkup.survey(ops.sources, ops.rules.entities, ops.deadline_s).few
    except AiopsError:  # the diagnosis will say what is wrong there
        services = ()
    lately = {job.task.inputs.symptom.service for job in ops.queue.recent(LOOKED_AT) if job.task.inputs.symptom}
    if chosen := [service for service in services if service not in lately] or list(services):
        labels[ops.rules.entities.labels["alert"][0]] = chosen[0]
    words = {"summary": "a test by aiops doctor: nothing is wrong"}
    return Alert(fingerprint(labels), "firing", labels, words, datetime.now(UTC), group_key=f"aiops doctor {number}")


def _job(ops: Ops, alert: Alert) -> Job | None:
    jobs = ops.queue.recent(LOOKED_AT)
    return next((job for job in jobs if any(a.labels == alert.labels for a in job.task.inputs.alerts)), None)


def _ended(ops: Ops, job_id: str) -> Job | None:
    from aiops.domain import JobState

    job = ops.queue.get(job_id)
    return None if job is None or job.state in (JobState.QUEUED, JobState.RUNNING) else job


def _until(found: Callable[[], Job | None], patience_s: float) -> Job | None:
    end = time.monotonic() + patience_s
    while (job := found()) is None and time.monotonic() < end:
        time.sleep(LOOK_S)
    return job


def _mend(error: SourceError, routed: bool) -> str:
    if error.came_back.startswith("HTTP 401"):
        return "aiops config token operator doctor > FILE, then --token-file FILE"
    return "aiops config show sources.silences" if routed else "aiops serve"


def _since(began: float) -> float:
    return time.monotonic() - began

"""The end of the last stage: what a report quotes from logs, alerts and sources is shown without the secrets in it.

Names (nodes, metrics, labels) stay, since a report is about them; the recording keeps what was read, so that a replay agrees.
"""

from __future__ import annotations

from dataclasses import replace

from aiops.domain import Alert, Event, Evidence, Gap, Report, RootCause, Task
from aiops.redaction import redact


def redacted(report: Report) -> Report:
    """The same report, where quoted text holds no secret. O(length of the text)."""
    first, second, third = map(redact, report.summary)
    return replace(
        report,
        summary=(first, second, third),
        task=_task(report.task),
        root_causes=tuple(_cause(cause) for cause in report.root_causes),
        events=tuple(_event(event) for event in report.events),
        gaps=tuple(_gap(gap) for gap in report.gaps),
    )


def _task(task: Task) -> Task:
    inputs = replace(task.inputs, alerts=tuple(_alert(alert) for alert in task.inputs.alerts))
    return replace(task, inputs=inputs, question=redact(task.question))


def _alert(alert: Alert) -> Alert:
    annotations = {name: redact(text) for name, text in alert.annotations.items()}
    return replace(alert, annotations=annotations, generator_url=redact(alert.generator_url))


def _cause(cause: RootCause) -> RootCause:
    return replace(cause, evidence=tuple(_evidence(each) for each in cause.evidence))


def _evidence(evidence: Evidence) -> Evidence:
    summary, query, link = map(redact, (evidence.summary, evidence.query, evidence.link))
    return replace(evidence, summary=summary, query=query, link=link)


def _event(event: Event) -> Event:
    summary, example, template = map(redact, (event.summary, event.example, event.template))
    return replace(event, summary=summary, example=example, template=template)


def _gap(gap: Gap) -> Gap:
    return replace(gap, what=redact(gap.what), why=redact(gap.why))

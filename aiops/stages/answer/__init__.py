"""The answer to a query or a check: figures in three lines. Decides what is said; `render/` decides how it looks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiops.domain import Figure, Findings, Gap, Intent, Recording, Verdict
from aiops.stages.answer.asked import Asked
from aiops.stages.answer.check import checked
from aiops.stages.answer.lacking import nothing
from aiops.stages.answer.values import queried
from aiops.stages.figures import Measured, asked_metrics, limits, measured

MOST_FIGURES = 40
MOST_CHARTS = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether there is one, its three lines, the rows of its table and what is drawn of them."""

    verdict: Verdict
    summary: tuple[str, str, str]
    figures: tuple[Figure, ...]
    measured: tuple[Measured, ...]  # of what is worth a chart


def answer(recording: Recording, findings: Findings, gaps: Sequence[Gap]) -> Answer:
    """What was asked for, in numbers. INCONCLUSIVE only where there are no samples to answer from."""
    task, panel = recording.task, recording.observation.panel
    told = measured(panel, task)
    asked = Asked(task, panel, told, limits(task, [one.course for one in told]), tuple(gaps))
    checks = task.intent is Intent.DETECT and not asked.limits  # a condition asks for yes or no, not for what is usual
    judged = [f for f in asked.known if f.abnormal is not None]
    if not asked.known or (checks and not judged):
        verdict, summary = Verdict.INCONCLUSIVE, nothing(asked)
    else:
        verdict = Verdict.FOUND
        summary = checked(asked, judged, findings) if checks else queried(asked)
    shown = tuple(f for f in asked.figures if f.samples or asked_metrics(task))[:MOST_FIGURES]
    drawable = [one for one in told if one.figure.samples]
    charted = [one for one in drawable if one.figure.fulfils is not False] or drawable
    if checks and not asked_metrics(task):
        charted = [one for one in charted if one.figure.abnormal] or charted
    return Answer(verdict, summary, shown, tuple(charted[:MOST_CHARTS]))

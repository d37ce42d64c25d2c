"""The three lines of a report in the reader's language and time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from aiops.domain import Report
from aiops.render.language import said, say
from aiops.units import zone

# As a stage writes a moment: always UTC, always with the letter for it.
_MOMENT = re.compile(r"(?<![\w:.-])(?:(\d{4}-\d\d-\d\d) )?(\d\d:\d\d(?::\d\d)?)Z(?!\w)")


def summary(report: Report, tz: tzinfo) -> tuple[str, str, str]:
    """Who and since when, by which path, resting on what. In English and UTC: exactly what the report holds."""
    first, second, third = report.summary
    return tuple(local(line, report, tz) for line in (said(first), said(second), _rests_on(third, report)))  # type: ignore[return-value]


def episode(report: Report) -> str:
    """How many alerts it was about when it was made, and how often they had come back; "" where it was of one that had not."""
    told = (report.run.get(name, "") for name in ("alerts", "recurrences"))
    alerts, recurrences = (int(number) if number.isdecimal() else 0 for number in told)
    counted = [say("{n} alerts", n=alerts)] if alerts > 1 or recurrences else []
    return ", ".join([*counted, say("came back {n} times", n=recurrences)] if recurrences else counted)


def onset(report: Report) -> datetime | None:
    """When the first cause began: its onset on its path, else its first anomaly; None where there is no cause."""
    if not report.root_causes:
        return None
    cause = report.root_causes[0]
    if cause.path.onsets and cause.path.onsets[0]:
        return cause.path.onsets[0]
    return min((a.onset for a in report.anomalies if a.node == cause.node), default=None)


def local(line: str, report: Report, tz: tzinfo) -> str:
    """A sentence of ours with its moments told in `tz`. One without a date is the one nearest to the symptom's."""
    near = report.symptom.at
    if tz is UTC or getattr(tz, "key", "") == "UTC" or near is None:
        return line
    return _MOMENT.sub(lambda found: _told(found, near, tz), line)


def _told(found: re.Match[str], near: datetime, tz: tzinfo) -> str:
    day, clock = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day or near.astimezone(UTC).date()}T{clock}+00:00")
    except ValueError:  # 25:61Z is not of ours
        return found[0]
    if not day:
        moment = min((moment + timedelta(days=n) for n in (-1, 0, 1)), key=lambda m: abs(m - near))
    there = moment.astimezone(tz)
    precise = "%H:%M:%S" if clock.count(":") == 2 else "%H:%M"
    return f"{there:%Y-%m-%d {precise}} {zone(there)}" if day else f"{there:{precise}}"


def _rests_on(line: str, report: Report) -> str:
    """The third line quotes the evidence, which may hold whatever a log holds: so each piece is said before the line is."""
    evidence = report.root_causes[0].evidence if report.root_causes else ()
    for one in evidence:
        line = line.replace(one.summary, said(one.summary))
    return said(line)

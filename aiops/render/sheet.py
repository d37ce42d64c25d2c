"""Tables for a spreadsheet: CSV (RFC 4180) of which no cell is a formula.

For people, so in UTF-8 with the mark that spreadsheets know it by; programs are better served with JSON. Heads are names that
never change; text is cleaned and quoted, and what would begin a formula gets an apostrophe in front, as a spreadsheet's own
users would write it. Numbers and times are ours and stand as they are.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import StringIO
from typing import TypeAlias

from aiops.domain import Anomaly, Figure, Forecast, Report
from aiops.render.clean import FORMULA, cell
from aiops.render.scale import from_s

MEDIA_TYPE = "text/csv; charset=utf-8"
_MARK = "\ufeff"
# A spreadsheet that divides by semicolons, as many are set to, sees a cell begin here too.
_SECOND = re.compile(rf'(;[\s"\']*)(?=[{re.escape("".join(FORMULA))}])')

Value: TypeAlias = str | float | datetime | None  # None: nothing is known


def sheet(heads: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """One table. O(cells)."""
    page = StringIO()
    page.write(_MARK)
    writer = csv.writer(page, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return page.getvalue()


def _cell(value: Value) -> str | float:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return _SECOND.sub(r"\1'", cell(value))
    return "" if value is None or math.isnan(value) else value


def of_report(report: Report) -> str:
    """What the report answers with: its figures, its forecasts, or else the anomalies of its diagnosis."""
    if report.figures:
        return sheet(_FIGURE, (_figure(f) for f in report.figures))
    if report.forecasts:
        return sheet(_FORECAST, (row for f in report.forecasts for row in _forecast(f)))
    return sheet(_ANOMALY, (_anomaly(a) for a in report.anomalies))


_FIGURE = (
    *("service", "metric", "how", "series", "samples", "last", "mean", "least", "most", "most_at", "total"),
    *("baseline", "change", "band_low", "band_high", "abnormal", "since", "direction", "score", "fulfils"),
)


def _figure(f: Figure) -> Sequence[Value]:
    low, high = f.band or (None, None)
    values = (f.series, f.samples, f.last, f.mean, f.least, f.most, f.most_at, f.total, f.baseline, f.change, low, high)
    judged = (_yes(f.abnormal), f.since, f.direction, f.score, _yes(f.fulfils))
    return (f.node, f.metric, f.how, *values, *judged)


def _yes(holds: bool | None) -> str:
    return "" if holds is None else "yes" if holds else "no"


_FORECAST = ("service", "metric", "series", "time", "mean", "lower", "upper", "level", "method", "trusted")


def _forecast(f: Forecast) -> Iterable[Sequence[Value]]:
    for at, mean, lower, upper in zip(f.times, f.mean, f.lower, f.upper, strict=False):
        yield f.node, f.metric, f.series, from_s(at), mean, lower, upper, f.level, f.method, _yes(f.trusted)


_ANOMALY = ("service", "metric", "onset", "direction", "value", "band_low", "band_high", "score")


def _anomaly(a: Anomaly) -> Sequence[Value]:
    return a.node, a.metric, a.onset, a.direction, a.value, *a.band, a.score

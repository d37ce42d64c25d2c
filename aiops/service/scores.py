"""What is unusual now, as `aiops watch` tells it to a Prometheus, and how far that can be relied upon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiops.domain import Samples, TimeRange, series_key
from aiops.errors import SourceError, SourceRefused
from aiops.ports import MetricsSource

MOST = 50
SCORES = f"topk({MOST}, aiops_anomaly_score)"
LAG = "max(aiops_watch_lag_seconds)"
HEARD = "max(max_over_time(timestamp(aiops_watch_ticks_total)[6h:15s]))"  # when the watch was scraped last, in epoch seconds
STEP = timedelta(seconds=15)
RECENT = 4 * STEP  # a source that is scraped less often than that still answers with what it had before
LATE_S = 120.0  # of delay, from which on "now" is the wrong word
TIMEOUT_S = 5.0
SERVICE_LABELS = ("service", "app", "job")


@dataclass(frozen=True, slots=True)
class Score:
    """How unusual one series is: 1 is the threshold. `service` is "" where no label names one."""

    score: float
    series: str
    service: str

    @property
    def unusual(self) -> bool:
        return self.score >= 1


@dataclass(frozen=True, slots=True)
class Standing:
    """The highest scores at `at`, highest first. `lag_s`: how old the newest step is that the watch evaluated.

    heard: where nothing is told any more, when something was last; `why` there is nothing to tell where the source fails."""

    at: datetime
    rows: tuple[Score, ...] = ()
    lag_s: float | None = None
    heard: datetime | None = None
    why: str = ""

    @property
    def unusual(self) -> int:
        return sum(row.unusual for row in self.rows)

    @property
    def late(self) -> bool:
        return self.lag_s is not None and self.lag_s > LATE_S


def standing(metrics: MetricsSource, now: datetime) -> Standing:
    """Never raises: a source that can't answer is told of."""
    at = datetime.fromtimestamp(now.timestamp() // STEP.total_seconds() * STEP.total_seconds(), UTC)
    recent = TimeRange(at - RECENT, at + STEP)
    try:
        told = metrics.samples(SCORES, recent, TIMEOUT_S, STEP)
        newest = _newest(metrics.samples(LAG, recent, TIMEOUT_S, STEP))
        lag_s = newest[1] if newest else None
        if latest := _newest(told):
            return Standing(latest[0], _rows(told), lag_s)
        heard = _newest(metrics.samples(HEARD, recent, TIMEOUT_S, STEP))
        return Standing(at, (), lag_s, datetime.fromtimestamp(int(heard[1]), UTC) if heard else None)
    except SourceRefused:
        return Standing(at, why="this source answers no such question; a Prometheus that scrapes the watch does")
    except SourceError as error:
        return Standing(at, why=str(error))


def _rows(read: Samples) -> tuple[Score, ...]:
    """Those that have a score at the latest step that has any; there is one."""
    newest = int(read.times.max())
    rows = []
    for k, labels in enumerate(read.labels):
        last = int(read.starts[k + 1]) - 1
        if last >= read.starts[k] and read.times[last] == newest:
            service = next((labels[name] for name in SERVICE_LABELS if labels.get(name)), "")
            rows.append(Score(float(read.values[last]), series_key({**labels, "__name__": ""}), service))
    return tuple(sorted(rows, key=lambda row: (-row.score, row.series))[:MOST])


def _newest(read: Samples) -> tuple[datetime, float] | None:
    """(when, what) of the last sample of all."""
    if not len(read.times):
        return None
    last = int(read.times.argmax())
    return datetime.fromtimestamp(int(read.times[last]) / 1e9, UTC), float(read.values[last])

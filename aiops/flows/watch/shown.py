"""What a watch tells of the fleet and of itself, as metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from aiops.flows.watch.names import Names
from aiops.flows.watch.selection import Selection
from aiops.kernels import tick
from aiops.schema.exposition import Family, labels

QUANTILES = (("0.025", 1), ("0.5", 0), ("0.975", 2))  # of the forecast, and where `expected` has them


@dataclass(slots=True)
class Tally:
    """What is counted from the start of the process on."""

    ticks: int = 0
    seconds: float = 0.0  # the last tick took
    errors: dict[str, int] = field(default_factory=lambda: {"metrics": 0, "state": 0})
    gaps: int = 0  # times that were left out
    skipped_s: int = 0  # how long they were together
    saved_at: float = 0.0


def families(selections: Sequence[Selection], names: Names, tally: Tally) -> list[Family]:
    """All but the lag, which depends on when somebody asks."""
    return [
        *_series(selections),
        Family("aiops_watch_series", "gauge", "Series that are watched, by selection and state.", _counts(selections)),
        _gauge("stretch", "How many times less often a selection is read than it should, and why.", [
            (labels(selection=s.query, reason=s.pace.reason), float(s.pace.stretch)) for s in selections
        ]),
        _gauge("source_gaps", "What the source could not give at the last read.", [
            (labels(selection=s.query), float(len(s.gaps))) for s in selections
        ]),
        _gauge("state_bytes", "Memory of the watched series.", [("", float(sum(s.fleet.state_bytes for s in selections)))]),
        _gauge("compressed_labels", "Labels whose values are exposed as buckets.", [("", float(len(names.compressed)))]),
        _gauge("tick_seconds", "Time that the last tick took.", [("", tally.seconds)]),
        _gauge("saved_timestamp_seconds", "When the state was saved last; 0 = not by this process.", [("", tally.saved_at)]),
        Family("aiops_watch_ticks_total", "counter", "Ticks since the start.", [("", float(tally.ticks))]),
        Family("aiops_watch_gaps_total", "counter", "Times that were left out, since too far back.", [("", float(tally.gaps))]),
        Family("aiops_watch_skipped_seconds_total", "counter", "How long they were.", [("", float(tally.skipped_s))]),
        Family("aiops_watch_errors_total", "counter", "Failures, by source: metrics or state.", [
            (labels(source=source), float(count)) for source, count in sorted(tally.errors.items())
        ]),
    ]  # fmt: skip


def summary(selection: Selection) -> str:
    """How far its series are, for people."""
    learnt = selection.fleet.learnt
    warming = learnt[learnt < tick.WARM]
    told = f"{selection.query}: {len(learnt)} series, {len(learnt) - len(warming)} scored"
    return told + (f", {len(warming)} warming ({warming.max()} of {tick.WARM} samples at most)" if len(warming) else "")


def _gauge(name: str, about: str, rows: list[tuple[str, float]]) -> Family:
    return Family(f"aiops_watch_{name}", "gauge", about, rows)


def _series(selections: Sequence[Selection]) -> tuple[Family, Family]:
    """Series that a compressed label leaves with one name show the highest of their scores, and no forecast."""
    scores: dict[str, float] = {}
    bands: dict[str, list[tuple[float, ...]]] = {}
    for selection in selections:
        held = selection.scores()
        for row, text in selection.texts.items():
            if text and not np.isnan(held[row]):
                scores[text] = max(scores.get(text, 0.0), float(held[row]))
        rows = np.array(sorted(row for row, text in selection.foreseen.items() if text), np.int64)
        told = selection.fleet.expected(rows, selection.until + selection.plan.step_s)
        for row, band in zip(rows.tolist(), told.T.tolist(), strict=True):
            bands.setdefault(selection.foreseen[row], []).append(tuple(band))
    forecasts = [
        (f'{text},quantile="{quantile}"', band[0][place])
        for text, band in sorted(bands.items())
        if len(band) == 1 and np.isfinite(band[0]).all()
        for quantile, place in QUANTILES
    ]
    return (
        Family("aiops_anomaly_score", "gauge", "How unusual a series is; 1 is the threshold.", sorted(scores.items())),
        Family(
            "aiops_forecast", "gauge", "What is expected of a series one step ahead; counters per second.", forecasts
        ),
    )


def _counts(selections: Sequence[Selection]) -> list[tuple[str, float]]:
    told = []
    for s in selections:
        scores = s.scores()
        shown = sum(1 for row, text in s.texts.items() if text and not np.isnan(scores[row]))
        anomalous = int(np.count_nonzero(scores[s.fleet.rows] >= 1.0))
        for state, count in (
            ("watched", len(s.fleet)),
            ("warming", int(np.count_nonzero(s.fleet.learnt < tick.WARM))),
            ("anomalous", anomalous),
            ("exposed", shown),
            ("refused", s.refused),
        ):
            told.append((labels(selection=s.query, state=state), float(count)))
    return told

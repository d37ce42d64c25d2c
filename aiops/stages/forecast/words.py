"""Forecasts in words and pictures: the three lines, and a chart of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from aiops.domain import Chart, Crossing, FloatArray, Forecast, Gap, TimeRange
from aiops.units import between, quantity

CHART_POINTS = 168  # of the history; with the horizon about one per pixel column of a phone
HORIZONS_SHOWN = 4  # of history before a forecast


def summary(forecasts: Sequence[Forecast], gaps: Sequence[Gap]) -> tuple[str, str, str]:
    """What is expected, how far that can be trusted, and what it rests on."""
    first = _headliner(forecasts)
    told = [f for f in forecasts if f.trusted]
    name = _name(first) if first.node or len(forecasts) == 1 else first.series
    if first.crossing and (first.trusted or first.passed):
        line = f"{name}: {_crossed(first.crossing, first)}"
    elif not told:
        line = f"No trustworthy forecast of {name}: {first.reason}"
    else:
        line = f"{name}: {_expected(first)}"
    more = (
        f" (and {len(forecasts) - 1} more series, {len(told)} of {len(forecasts)} trusted)"
        if len(forecasts) > 1
        else ""
    )
    return f"{line}{more}", _trust(first), _rests_on(first, gaps)


def _headliner(forecasts: Sequence[Forecast]) -> Forecast:
    """The one that reaches its limit first, or has; else the first that can be trusted, else the first."""
    crossing = [f for f in forecasts if (f.trusted or f.passed) and f.crossing and f.crossing.earliest]
    if crossing:
        return min(crossing, key=lambda f: (f.crossing.earliest if f.crossing else f.history.end, f.series))
    return next((f for f in forecasts if f.trusted), forecasts[0])


def _name(forecast: Forecast) -> str:
    return f"{forecast.metric} of {forecast.node}" if forecast.node else forecast.metric


def _expected(forecast: Forecast) -> str:
    metric, low, high = forecast.metric, forecast.lower[-1], forecast.upper[-1]
    likely = f", most likely {quantity(forecast.mean[-1], metric)}," if low < high else ""
    until = f"by {_clock(forecast.times[-1])} (now {quantity(forecast.last, metric)})"
    return f"{between(low, high, metric)}{likely} {until}"


def _crossed(crossing: Crossing, forecast: Forecast) -> str:
    """When it will be full, as an interval that says where it is open."""
    limit, now = (quantity(value, forecast.metric) for value in (crossing.limit, forecast.last))
    if forecast.passed:
        return f"{'down' if crossing.falling else 'up'} to {limit} already (now {now})"
    what = f"{'down' if crossing.falling else 'up'} to {limit}"
    until = _clock(forecast.times[-1])
    if crossing.earliest is None:
        return f"{_expected(forecast)}; not {what} by then"
    begin, likely = _when(crossing.earliest), crossing.expected
    if crossing.latest is None:
        most = f"most likely {_when(likely)}" if likely else "and most likely not at all by then"
        return f"{what} from {begin} on at the earliest, {most}; it may not come before {until} (now {now})"
    likely = likely or crossing.latest
    return (
        f"{what} in about {_about(likely - forecast.history.end)}: between {begin} and {_when(crossing.latest)}, "
        f"most likely {_when(likely)} (now {now})"
    )


def _about(ahead: timedelta) -> str:
    """How long that is, in whole days from three on, in hours from three on."""
    seconds = max(ahead.total_seconds(), 60.0)
    size, word = next(
        (s, w) for s, w in ((86_400, "days"), (3600, "hours"), (60, "minutes")) if seconds >= 3 * s or s == 60
    )
    return f"{round(seconds / size)} {word}"


def _trust(forecast: Forecast) -> str:
    if not forecast.trusted:
        band = between(forecast.lower[-1], forecast.upper[-1], forecast.metric)
        return f"Instead, a robust band around its past: {band}; it is no forecast"
    won = next(t for t in forecast.trials if t.method == forecast.method)
    naive = next((t for t in forecast.trials if t.mase is not None and t.method != won.method), None)
    beside = f", beside {naive.mase:.2f} of the {naive.method}" if naive and naive.mase is not None else ""
    return (
        f"By {forecast.method}: its {forecast.level:.0%} band covered {won.coverage or 0.0:.1%} of {won.origins} forecasts of the past; "
        f"error {won.mase or 0.0:.2f} (MASE){beside}"
    )


def _rests_on(forecast: Forecast, gaps: Sequence[Gap]) -> str:
    season = f", season of {_span(forecast.season_s)}" if forecast.season_s else ", no season"
    missing = f", {forecast.gaps} missing" if forecast.gaps else ""
    untried = [t.method for t in forecast.trials if t.why_not and t.why_not != forecast.reason]
    skipped = f". Not tried: {', '.join(untried)}" if untried else ""
    unseen = f". Not seen: {', '.join(g.what for g in gaps[:3])}" if gaps else ""
    return (
        f"Rests on {_window(forecast.history)}: {forecast.samples} samples, one each {_span(forecast.step_s)}"
        f"{missing}{season}{skipped}{unseen}"
    )


# ---------------------------------------------------------------- pictures


def chart(forecast: Forecast, times_s: Sequence[int], values: FloatArray, at_s: int) -> Chart:
    """The last horizons of the history, then the band; what is expected as a line, the limit as another."""
    ahead = len(forecast.times)
    shown = slice(max(0, len(values) - max(HORIZONS_SHOWN * ahead, 48)), None)
    past, seen = times_s[shown], values[shown]
    every = max(1, math.ceil(len(past) / CHART_POINTS))
    past, seen = past[::-every][::-1], seen[::-every][::-1]
    nothing: tuple[float | None, ...] = (None,) * len(past)
    crossing = forecast.crossing
    marks = [("now", at_s)]
    if crossing and forecast.trusted and not forecast.passed:
        moments = [("earliest", crossing.earliest), ("latest", crossing.latest)]
        marks += [(word, int(when.timestamp())) for word, when in moments if when]
    return Chart(
        title=_name(forecast),
        node=forecast.node,
        metric=forecast.metric,
        times=(*(int(t) for t in past), *forecast.times),
        values=(*(None if np.isnan(v) else float(v) for v in seen), *((None,) * ahead)),
        lower=(*nothing, *forecast.lower),
        upper=(*nothing, *forecast.upper),
        marks=tuple(marks),
        mean=(*nothing, *forecast.mean) if forecast.trusted else (),
        limit=crossing.limit if crossing else None,
        caption=caption(forecast),
    )


def caption(forecast: Forecast) -> str:
    """How the band was made."""
    if not forecast.trusted:
        return f"robust band around its past, no forecast: {forecast.reason}"
    return f"{forecast.level:.0%} band by {forecast.method}; it covered {forecast.coverage or 0.0:.1%} in the backtest"


# ---------------------------------------------------------------- times


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%MZ}"


def _clock(seconds: int) -> str:
    return _when(datetime.fromtimestamp(seconds, tz=UTC))


def _span(seconds: int) -> str:
    for size, unit in ((604_800, "w"), (86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _window(window: TimeRange) -> str:
    return f"{window.start:%Y-%m-%d %H:%MZ} to {window.end:%Y-%m-%d %H:%MZ}"

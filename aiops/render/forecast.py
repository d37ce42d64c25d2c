"""Forecasts for a terminal and in Markdown: a picture of letters, the card, and what every method did."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta, tzinfo

from aiops.domain import Chart, Crossing, Forecast, Report, Trial
from aiops.render.clean import clean
from aiops.render.language import listed, said, say
from aiops.render.scale import from_s
from aiops.render.values import between, figure, percent, quantity
from aiops.units import stamp

_BARS = "▁▂▃▄▅▆▇█"
_PAST, _AHEAD = 40, 24  # letters of the picture
_HEADS = ("method", "coverage", "MASE", "MSIS", "note")


def lines(report: Report, tz: tzinfo) -> Iterable[tuple[str, str, bool]]:
    """(lead, words, whether they are to be wrapped) of each line, for the terminal."""
    for forecast, chart in zip(report.forecasts, report.charts, strict=False):
        yield "  ", name(forecast), True
        yield "    ", expected(forecast, tz), True
        if words := crossed(forecast, tz):
            yield "    ", words, True
        for label, row in picture(chart, forecast):
            yield f"    {label:<6}", row, False
        yield "    ", trust(forecast), True
        yield f"    {say('history:')} ", history(forecast, tz), True
        if trials := tried(forecast):
            yield f"    {say('methods:')} ", "; ".join(map(trial, trials)), True


def markdown(report: Report, tz: tzinfo, escape: Callable[[str], str], code: Callable[[str], str]) -> Iterable[str]:
    """One list item and one table for each forecast. `escape` and `code` make text from outside harmless."""
    for forecast in report.forecasts:
        yield f"### {code(name(forecast))}"
        yield ""
        words = (
            expected(forecast, tz),
            crossed(forecast, tz),
            trust(forecast),
            f"{say('History')}: {history(forecast, tz)}",
        )
        yield from (f"- {escape(line)}" for line in words if line)
        yield ""
        if trials := tried(forecast):
            yield f"| {' | '.join(map(say, _HEADS))} |"
            yield f"|{' --- |' * len(_HEADS)}"
            for row in map(cells, trials):
                yield f"| {' | '.join(escape(cell) for cell in row)} |"
            yield ""


# ---------------------------------------------------------------- the card in words


def name(forecast: Forecast) -> str:
    """The series as people name it."""
    return clean(
        say("{metric} of {node}", metric=forecast.metric, node=forecast.node) if forecast.node else forecast.series, 300
    )


def expected(forecast: Forecast, tz: tzinfo) -> str:
    """Where it is and where it goes."""
    metric, until = forecast.metric, stamp(from_s(forecast.times[-1]), tz)
    band = between(forecast.lower[-1], forecast.upper[-1], metric)
    if not forecast.trusted:
        return say("now {now}; a robust band around its past is {band}", now=quantity(forecast.last, metric), band=band)
    likely = quantity(forecast.mean[-1], metric) if forecast.lower[-1] < forecast.upper[-1] else ""
    told = say("now {now}; {band} by {until}", now=quantity(forecast.last, metric), band=band, until=until)
    return told + (say(", most likely {value}", value=likely) if likely else "")


def crossed(forecast: Forecast, tz: tzinfo) -> str:
    """When it is full or empty; "" where there is no limit, or nothing to believe."""
    crossing = forecast.crossing
    if crossing is None or not (forecast.trusted or forecast.passed):
        return ""
    limit = quantity(crossing.limit, forecast.metric)
    what = say("down to {limit}", limit=limit) if crossing.falling else say("up to {limit}", limit=limit)
    if forecast.passed:
        return say("{what} already", what=what)
    if crossing.earliest is None:
        return say("not {what} within the horizon", what=what)
    return f"{what}: {_interval(crossing, tz)}"


def _interval(crossing: Crossing, tz: tzinfo) -> str:
    moments = (
        (say("earliest"), crossing.earliest),
        (say("most likely"), crossing.expected),
        (say("latest"), crossing.latest),
    )
    return listed([f"{word} {stamp(at, tz) if at else say('beyond the horizon')}" for word, at in moments])


def trust(forecast: Forecast) -> str:
    """Which method won and how it did, or why none can be believed."""
    if not forecast.trusted:
        return clean(
            say("no method can be trusted: {reason}. The band shown is no forecast", reason=said(forecast.reason))
        )
    origins = next((t.origins for t in forecast.trials if t.method == forecast.method), 0)
    return say(
        "{method}: its {level} band covered {share} in {n} forecasts of the past",
        method=clean(forecast.method, 80),
        level=percent(forecast.level),
        share=_share(forecast.coverage),
        n=origins,
    )


def history(forecast: Forecast, tz: tzinfo) -> str:
    """What it rests on."""
    start, end = stamp(forecast.history.start, tz), stamp(forecast.history.end, tz)
    window = say("{low} to {high}", low=start, high=end)
    samples = say("{n} samples {step} apart", n=forecast.samples, step=_span(forecast.step_s))
    missing = [say("{n} missing", n=forecast.gaps)] if forecast.gaps else []
    season = say("season of {span}", span=_span(forecast.season_s)) if forecast.season_s else say("no season")
    return listed([window, samples, *missing, season])


def tried(forecast: Forecast) -> tuple[Trial, ...]:
    """The card's methods; none where nothing was tried, for the one reason that is told anyway."""
    none = all(one.coverage is None and one.why_not == forecast.reason for one in forecast.trials)
    return () if none else forecast.trials


def trial(one: Trial) -> str:
    """One method in a few words."""
    if one.why_not:
        return clean(say("{method} not tried ({why})", method=one.method, why=said(one.why_not)), 300)
    told = say("{method} covered {share}", method=clean(one.method, 80), share=_share(one.coverage))
    return listed([told, f"MASE {_number(one.mase)}", f"MSIS {_number(one.msis)}"])


def cells(one: Trial) -> tuple[str, ...]:
    """One method as a row of `_HEADS`."""
    if one.why_not:
        return (one.method, "", "", "", say("not tried: {why}", why=said(one.why_not)))
    return (one.method, _share(one.coverage), _number(one.mase), _number(one.msis), say("{n} origins", n=one.origins))


def _share(value: float | None) -> str:
    return say("unknown") if value is None else f"{100 * value:.1f}%"


def _number(value: float | None) -> str:
    return say("unknown") if value is None else figure(value)


def _span(seconds: int) -> str:
    span = timedelta(seconds=seconds)
    for size, unit in ((timedelta(weeks=1), "w"), (timedelta(days=1), "d"), (timedelta(hours=1), "h")):
        if span >= size and span % size == timedelta(0):
            return f"{span // size} {unit}"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


# ---------------------------------------------------------------- a picture of letters


def picture(chart: Chart, forecast: Forecast) -> Iterable[tuple[str, str]]:
    """(label, row): upper bound, course and lower bound on one scale; a bar divides past and future."""
    ahead = len(forecast.times)
    past = _shrunk([math.nan if v is None else v for v in chart.values[:-ahead]], _PAST)
    bands = [_shrunk(list(row), _AHEAD) for row in (forecast.upper, forecast.mean, forecast.lower)]
    known = [v for row in (past, *bands) for v in row if math.isfinite(v)]
    low, high = min(known), max(known)
    pad = " " * len(past)
    upper, mean, lower = (_bars(row, low, high) for row in bands)
    yield say("upper"), f"{pad}│{upper}"
    yield "", f"{_bars(past, low, high)}│{mean}"
    yield say("lower"), f"{pad}│{lower}"


def _shrunk(values: Sequence[float], most: int) -> list[float]:
    """At most `most` values: the mean of each bucket; NaN where a bucket is empty."""
    size = max(1, math.ceil(len(values) / most))
    buckets = [[v for v in values[i : i + size] if math.isfinite(v)] for i in range(0, len(values), size)]
    return [sum(bucket) / len(bucket) if bucket else math.nan for bucket in buckets]


def _bars(values: Sequence[float], low: float, high: float) -> str:
    reach = (high - low) or 1.0
    return "".join(
        _BARS[min(int((v - low) / reach * len(_BARS)), len(_BARS) - 1)] if math.isfinite(v) else " " for v in values
    )

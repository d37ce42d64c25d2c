"""Numbers and times as people read them: three significant digits, a unit, a zone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIME = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((2.0**50, "PiB"), (2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
# Endings by which Prometheus and its exporters name units; longest first. Base unit of each, in seconds, bytes or cores.
_ENDINGS: tuple[tuple[str, str, float], ...] = (
    ("milliseconds", "time", 1e-3),
    ("microseconds", "time", 1e-6),
    ("nanoseconds", "time", 1e-9),
    ("millicores", "cores", 1e-3),
    ("seconds", "time", 1.0),
    ("percent", "percent", 1.0),
    ("ratio", "percent", 100.0),
    ("bytes", "bytes", 1.0),
    ("cores", "cores", 1.0),
    ("_kib", "bytes", 2.0**10),
    ("_mib", "bytes", 2.0**20),
    ("_gib", "bytes", 2.0**30),
    ("_ki", "bytes", 2.0**10),
    ("_mi", "bytes", 2.0**20),
    ("_gi", "bytes", 2.0**30),
    ("_pct", "percent", 1.0),
    ("_ms", "time", 1e-3),
    ("_us", "time", 1e-6),
    ("_ns", "time", 1e-9),
    ("_s", "time", 1.0),
)
_COUNTED = re.compile(r"_(?:total|count|sum|bucket)$")
_LADDERS: dict[str, tuple[tuple[float, str], ...]] = {
    "time": _TIME,
    "bytes": _BYTES,
    "percent": ((1.0, "%"),),
    "cores": ((1.0, "cores"),),
    "": (),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """How to say values of one metric at one magnitude: `value * factor`, then the suffix."""

    factor: float
    suffix: str

    def say(self, value: float) -> str:
        number = figure(value * self.factor)
        if not self.suffix or number == "no data":
            return number
        return f"{number}%" if self.suffix == "%" else f"{number} {self.suffix}"


def unit(metric: str, magnitude: float) -> Unit:
    """The unit in which values of about `magnitude` read best, known from the metric's name; unknown names have none.

    Of `rate(NAME)` it is that per second; of `p99(NAME)`, that of NAME.
    """
    name = metric.lower()
    if name.startswith("rate("):
        return _per_second(_COUNTED.sub("", name[5:-1]), magnitude)
    name = name.partition("(")[2].removesuffix(")") or name
    kind, base = next(((k, b) for ending, k, b in _ENDINGS if name.endswith(ending)), ("", 1.0))
    ladder = _LADDERS[kind]
    size = abs(magnitude * base)
    if not ladder or not math.isfinite(size):
        return Unit(base, ladder[-1][1]) if kind in {"percent", "cores"} else Unit(1.0, "")
    # Zero reads best in the base unit; 90 s is still said in seconds, 150 s in minutes.
    usable = [
        (scale, suffix) for scale, suffix in ladder if size >= scale * (2 if scale in {60.0, 3600.0, 86400.0} else 1)
    ]
    scale, suffix = (usable or ladder[-1:])[0] if size else next(s for s in ladder if s[0] == 1.0)
    return Unit(base / scale, suffix)


_SPOKEN = {
    "s": ("time", 1.0),
    "ms": ("time", 1e-3),
    "%": ("percent", 1.0),
    **{f"{p}{i}b": ("bytes", 2.0 ** (10 * n)) for n, p in ((1, "k"), (2, "m"), (3, "g"), (4, "t")) for i in ("", "i")},
}


def in_unit_of(metric: str, value: float, spoken: str) -> float:
    """A value that was told in a unit ("500 ms") in that of a metric whose name tells it: 0.5 of `latency_seconds`.

    As it is where the name tells none, or another kind of thing."""
    name = _COUNTED.sub("", metric.lower())
    kind, base = next(((k, b) for ending, k, b in _ENDINGS if name.endswith(ending)), ("", 1.0))
    said, scale = _SPOKEN.get(spoken.lower(), ("none", 1.0))
    return value * scale / base if said == kind else value


def _per_second(counted: str, magnitude: float) -> Unit:
    """Of a counter's rate; seconds of processor time per second are cores, other seconds per second are a plain share."""
    if counted.endswith("seconds"):
        return Unit(1.0, "cores") if "cpu" in counted else Unit(1.0, "")
    inner = unit(counted, magnitude)
    return Unit(inner.factor, f"{inner.suffix}/s" if inner.suffix.endswith("B") else "/s")


def quantity(value: float, metric: str) -> str:
    """A value of a metric with its unit: `quantity(0.0123, "latency_seconds")` is "12.3 ms"."""
    return unit(metric, value).say(value)


def between(low: float, high: float, metric: str) -> str:
    """A range in one unit: "0.2 to 0.45 s"; one value where it has no width."""
    scale = unit(metric, max(abs(low), abs(high)))
    if low == high:
        return scale.say(high)
    return f"{figure(low * scale.factor)} to {scale.say(high)}"


def figure(value: float) -> str:
    """Three significant digits; k, M, G, T above a thousand, an exponent only beyond those."""
    if math.isnan(value):
        return "no data"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        return f"{value:.2e}".replace("-", "−")
    for scale, suffix in _SI:
        if size >= scale * 0.9995:
            return f"{_three(value / scale)} {suffix}"
    return _three(value)


def _three(value: float) -> str:
    rounded = float(f"{value:.3g}")
    return f"{rounded:.6f}".rstrip("0").rstrip(".").replace("-", "−") if rounded else "0"


def percent(share: float) -> str:
    """A probability as whole per cent, never 0 or 100 unless it is: certainty must not come from rounding."""
    if math.isnan(share):
        return "unknown"
    whole = round(100 * share)
    if whole == 100 and share < 1:
        return ">99%"
    if whole == 0 and share > 0:
        return "<1%"
    return f"{whole}%"


def clock(moment: datetime, tz: tzinfo) -> str:
    """Time of day with seconds and without zone, for lines that name the zone once."""
    return moment.astimezone(tz).strftime("%H:%M:%S")


def stamp(moment: datetime, tz: tzinfo) -> str:
    """Date, time of day and zone."""
    local = moment.astimezone(tz)
    return f"{local:%Y-%m-%d %H:%M:%S} {zone(local)}"


def zone(local: datetime) -> str:
    """The zone's name; a bare offset, as some zones are named, is written UTC+03."""
    name = local.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


def moments(times: Iterable[datetime | None], tz: tzinfo) -> list[str]:
    """Times of one story: of day if all lie on one date, else with the date; "" for unknown ones."""
    local = [t.astimezone(tz) if t else None for t in times]
    pattern = "%H:%M:%S" if len({t.date() for t in local if t}) <= 1 else "%m-%d %H:%M:%S"
    return [t.strftime(pattern) if t else "" for t in local]


def lag(span: timedelta) -> str:
    """A signed delay: "+1 min 20 s", "+0.4 s", "same time"."""
    seconds = span.total_seconds()
    if not seconds:
        return "same time"
    sign, size = ("+" if seconds > 0 else "−"), abs(seconds)
    if size < 60:
        return f"{sign}{quantity(size, '_s')}"
    minutes, rest = divmod(round(size), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{n} {u}" for n, u in ((hours, "h"), (minutes, "min"), (rest if not hours else 0, "s")) if n]
    return sign + " ".join(parts)

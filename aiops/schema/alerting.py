"""`rules/alerts.yaml`: which alerts start diagnoses, how bad each is, and when they are expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from aiops.domain import Alert, Labels, Mode, TimeRange
from aiops.errors import ConfigError
from aiops.schema import selector

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Fits = Callable[[Labels], bool]


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that `fits`, and that came by `receiver` ("" = any), lead to diagnoses as `mode` says."""

    mode: Mode
    fits: Fits
    receiver: str = ""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A time in which alerts that `fits` are expected: `once`, or each of `days` (0 = Monday) from `opens` to `closes`, by the
    clock of `zone`; into the next day where it closes no later than it opens."""

    name: str
    fits: Fits
    zone: ZoneInfo
    days: frozenset[int] = frozenset()
    opens: time = time()
    closes: time = time()
    once: TimeRange | None = None

    def until(self, now: datetime) -> datetime | None:
        """When it ends, in UTC; None unless `now` lies in it."""
        windows = [self.once] if self.once else [self._on(now, back) for back in (0, 1)]
        return next((w.end for w in windows if w and w.start <= now < w.end), None)

    def _on(self, now: datetime, back: int) -> TimeRange | None:
        """The one that opens so many days before today."""
        day = now.astimezone(self.zone).date() - timedelta(days=back)
        if day.weekday() not in self.days:
            return None
        last = day + timedelta(days=self.closes <= self.opens)
        start, end = (datetime.combine(d, t, self.zone) for d, t in ((day, self.opens), (last, self.closes)))
        # A clock that is put forward may leave nothing between them.
        return TimeRange(start, max(start.astimezone(UTC), end.astimezone(UTC)))


@dataclass(frozen=True, slots=True)
class Alerting:
    """What `rules/alerts.yaml` says; without it every alert is diagnosed and all are equally bad."""

    routes: tuple[Route, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    severity: str = "severity"
    severities: Mapping[str, int] = field(default_factory=dict)

    def mode(self, alert: Alert, receiver: str) -> Mode:
        for route in self.routes:
            if route.receiver in ("", receiver) and route.fits(alert.labels):
                return route.mode
        return Mode.AUTO

    def rank(self, alert: Alert) -> int:
        """How bad it is, 0 being the mildest."""
        return self.severities.get(alert.labels.get(self.severity, "").lower(), 0)


class _Route(msgspec.Struct, forbid_unknown_fields=True):
    mode: Literal["auto", "on_demand", "off"] | bool  # YAML 1.1 takes `off` for false
    match: str = ""
    receiver: str = ""


class _Window(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    match: str
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    opens: str | int = msgspec.field(name="from", default="00:00")
    closes: str | int = msgspec.field(name="to", default="00:00")
    zone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    severity: str = "severity"
    severities: list[str] = []
    routes: list[_Route] = []
    maintenance: list[_Window] = []


def parse(text: str, name: str) -> Alerting:
    """Raises ConfigError, which names the file and what is wrong."""
    try:
        data = yaml.safe_load(text)
        told = msgspec.convert({} if data is None else data, _File)
        return Alerting(
            routes=tuple([Route(_mode(r.mode), _fits(r.match), r.receiver) for r in told.routes]),
            maintenance=tuple([_maintenance(one) for one in told.maintenance]),
            severity=told.severity,
            severities={word.lower(): rank for rank, word in enumerate(told.severities)},
        )
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {error}") from error
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error


def _mode(told: str | bool) -> Mode:
    if told is True:
        raise ValueError("a mode is auto, on_demand or off, not on")
    return Mode(told or "off")


def _fits(match: str) -> Fits:
    """Matchers, with or without braces; none fit everything."""
    if not match.strip():
        return lambda _: True
    matchers = selector.parse(match if match.strip().startswith("{") else f"{{{match}}}")
    if matchers is None:
        raise ValueError(f'{match!r} are no matchers, such as service="db", env=~"prod|stage"')
    return selector.chooser(matchers)


def _maintenance(told: _Window) -> Maintenance:
    try:
        zone = ZoneInfo(told.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"maintenance {told.name!r}: {told.zone!r} is no time zone") from error
    if not told.match.strip():
        raise ValueError(f'maintenance {told.name!r}: match is empty; alertname=~".*" means every alert')
    fits = _fits(told.match)
    if told.start is None and told.end is None:
        if not told.days:
            raise ValueError(f"maintenance {told.name!r}: it needs days, or start and end")
        days = frozenset(DAYS.index(day) for day in told.days)
        return Maintenance(told.name, fits, zone, days, _clock(told, told.opens), _clock(told, told.closes))
    if told.start is None or told.end is None or told.days:
        raise ValueError(f"maintenance {told.name!r}: it needs either days or both start and end")
    start, end = (m if m.tzinfo else m.replace(tzinfo=zone) for m in (told.start, told.end))
    return Maintenance(told.name, fits, zone, once=TimeRange(start, end))


def _clock(told: _Window, given: str | int) -> time:
    if isinstance(given, int):  # what YAML 1.1 makes of 22:00 without quotes
        given = f"{given // 60:02d}:{given % 60:02d}"
    found = re.fullmatch(r"([01]?\d|2[0-4]):([0-5]\d)", given)
    if found is None or (found[1] == "24" and found[2] != "00"):
        raise ValueError(f"maintenance {told.name!r}: {given!r} is no time of day, such as 22:00")
    return time(int(found[1]) % 24, int(found[2]))


def matching(matchers: tuple[tuple[str, str, str], ...]) -> Fits:
    """Of a silence. ValueError for a regular expression that is none."""
    return selector.chooser([selector.Matcher(*one) for one in matchers])

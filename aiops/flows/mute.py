"""What is kept quiet: alerts that a silence of Alertmanager or a maintenance window fits, while it lasts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from aiops.domain import Alert, Silence, TimeRange
from aiops.schema import alerting
from aiops.schema.alerting import Fits, Maintenance

log = logging.getLogger(__name__)

Muting: TypeAlias = tuple[tuple[Fits, str], ...]  # what is quiet at one moment, and why


@dataclass(frozen=True, slots=True)
class Quiet:
    """Maintenance windows, and silences ready to be matched: (what fits, when, why)."""

    maintenance: tuple[Maintenance, ...] = ()
    silences: tuple[tuple[Fits, TimeRange, str], ...] = ()

    def at(self, now: datetime) -> Muting:
        """What is kept quiet at that moment."""
        ends = [(window, window.until(now)) for window in self.maintenance]
        expected = [(w.fits, f"maintenance {w.name!r} until {_minute(end)}") for w, end in ends if end]
        silenced = [(fits, why) for fits, window, why in self.silences if window.start <= now < window.end]
        return (*expected, *silenced)


def matched(silences: Iterable[Silence]) -> tuple[tuple[Fits, TimeRange, str], ...]:
    """Silences ready to be matched. One that can't be understood keeps nothing quiet, and the log says so."""
    ready = []
    for silence in silences:
        try:
            fits = alerting.matching(silence.matchers)
        except ValueError as error:
            log.warning("silence %s is not respected: %s", silence.id, error)
            continue
        ready.append((fits, silence.window, f"silence {silence.id} until {_minute(silence.window.end)}"))
    return tuple(ready)


def why(alert: Alert, quiet: Muting) -> str:
    """Why an alert is kept quiet; "" where it is not."""
    return next((reason for fits, reason in quiet if fits(alert.labels)), "")


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"

"""Times from outside: aware, in UTC, and within what int64 nanoseconds hold with room for windows around them."""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)


def utc(moment: datetime) -> datetime:
    """The same moment in UTC. ValueError when it has no time zone or lies outside of EARLIEST .. LATEST."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"{moment.isoformat()} does not lie between {EARLIEST.year} and {LATEST.year}")
    return moment.astimezone(UTC)

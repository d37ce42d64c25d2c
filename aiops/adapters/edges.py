"""What every GraphStore takes: kinds from closed lists, and names that each store can index."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from aiops.domain import CALL_KINDS, SIGHTING_KINDS, Call, Sighting
from aiops.errors import DataError
from aiops.ports import LONGEST_NAME


def checked_calls(calls: Iterable[Call]) -> tuple[Call, ...]:
    """All of them. DataError for a kind or name that can't be stored, whatever the store."""
    given = tuple(calls)
    _check(CALL_KINDS, {call.kind for call in given}, {end for call in given for end in (call.caller, call.callee)})
    return given


def checked_sightings(sightings: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """As `checked_calls`."""
    given = tuple(sightings)
    names = {name for one in given for end in (one.cause, one.effect) for name in (end.service, end.name)}
    _check(SIGHTING_KINDS, {one.kind for one in given}, names)
    return given


def _check(allowed: Collection[str], kinds: set[str], names: set[str]) -> None:
    if strange := sorted(kinds.difference(allowed)):
        raise DataError(f"a kind is one of {', '.join(allowed)}, not {', '.join(strange)}")
    for name in names:
        if len(name) > LONGEST_NAME // 4 and len(name.encode(errors="surrogatepass")) > LONGEST_NAME:
            raise DataError(f"the name {name[:40]!r}... is longer than the {LONGEST_NAME} bytes that can be looked up")

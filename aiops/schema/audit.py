"""The audit chain: what an entry is, what ties it to the one before, and the files that it is exported to.

    hash[n] = SHA-256( hash[n-1] || JSON of [n, at, kind, entry] )        hash[-1] = 32 zero bytes

`at` is in milliseconds since the epoch; `entry` is text, namely canonical JSON (keys sorted, no blanks, ASCII). Whoever edits,
removes, inserts or moves an entry has to compute every later hash anew, and then contradicts each head that was noted before.

An export is a file of lines, one entry each, and beside it a *head*, which says where the file begins and where it ends, and
may be signed. Lines are compared byte for byte with what the entry in them is written as.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiops.errors import DataError

HEAD_SCHEMA = "aiops-audit-head/1"
CHECKPOINT = "checkpoint"  # the kind of the entry that says which entries stand in an archive
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_FIELDS = ("number", "at", "kind", "entry", "previous", "hash")


@dataclass(frozen=True, slots=True)
class Entry:
    """One link. `at`: milliseconds since the epoch; `text`: canonical JSON; `hash`: 32 bytes, as it is stored."""

    number: int
    at: int
    kind: str
    text: str
    hash: bytes

    def follows(self, previous: bytes) -> bool:
        """Whether its hash is what it must be behind an entry with the hash `previous`."""
        return self.hash == link(previous, self.number, self.at, self.kind, self.text)


@dataclass(frozen=True, slots=True)
class Place:
    """Between two entries: `number` is the next one's, `hash` that of the one before (zeros where there is none)."""

    number: int = 0
    hash: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a chain holds: up to `end`. `wrong` says what is the matter with entry `end.number`; "" when nothing is."""

    end: Place
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """Where an export begins and ends. `key` names the key of the `signature`; both are "" when nobody signed."""

    begin: Place
    end: Place
    at: str
    key: str = ""
    signature: bytes = b""

    def signed(self) -> bytes:
        """What the signature is of: everything else."""
        return canonical({k: v for k, v in self._plain().items() if k != "signature"}).encode()

    def dump(self) -> str:
        """The file's content."""
        return json.dumps(self._plain(), indent=2) + "\n"

    def _plain(self) -> dict[str, Any]:
        return {
            "schema": HEAD_SCHEMA,
            "first": self.begin.number,
            "previous": self.begin.hash.hex(),
            "entries": self.end.number,
            "hash": self.end.hash.hex(),
            "at": self.at,
            "key": self.key,
            "signature": self.signature.hex(),
        }


def canonical(value: object) -> str:
    """JSON with sorted keys and no blanks: the same value gives the same text. DataError for what JSON can't hold."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"can't be stored as JSON: {error}") from error


def link(previous: bytes, number: int, at: int, kind: str, text: str) -> bytes:
    """The hash of an entry. 32 bytes."""
    return hashlib.sha256(previous + json.dumps([number, at, kind, text]).encode()).digest()


def walk(entries: Iterable[Entry], begin: Place) -> Walk:
    """Follows the chain from `begin` to the first entry that is not what it must be. O(entries)."""
    end = begin
    for entry in entries:
        if entry.number != end.number:
            return Walk(end, f"entry {end.number} is missing")
        if not entry.follows(end.hash):
            return Walk(end, f"entry {end.number} was changed, moved or inserted")
        end = Place(end.number + 1, entry.hash)
    return Walk(end)


# ---------------------------------------------------------------- the files


def shown(entry: Entry, previous: bytes) -> dict[str, Any]:
    """An entry as it is exported: number, at (RFC 3339), kind, entry, previous, hash."""
    return _shown(entry, json.loads(entry.text), previous)


def _shown(entry: Entry, told: object, previous: bytes) -> dict[str, Any]:
    moment = (_EPOCH + entry.at * _MS).isoformat(timespec="milliseconds")
    return dict(zip(_FIELDS, (entry.number, moment, entry.kind, told, previous.hex(), entry.hash.hex()), strict=True))


def line(told: Mapping[str, Any]) -> bytes:
    """What `shown` gives, as one line of UTF-8."""
    try:
        return json.dumps(told, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8
        return json.dumps(told).encode() + b"\n"


def check(lines: Iterable[bytes], head: Head | None) -> Walk:
    """Follows the chain through an exported file, whose lines come with their line ends.

    Without a head the file must begin with the first entry of all, and entries cut off its end are not missed."""
    begin = head.begin if head else Place()
    found = walk(_entries(lines, begin.number), begin)
    if found.wrong or head is None or found.end == head.end:
        return found
    missing, there = head.end.number, found.end.number
    if there < missing:
        return Walk(found.end, f"entries {there} to {missing - 1} were cut off")
    if there > missing:
        return Walk(head.end, f"entry {missing} stands behind the end that the head tells")
    return Walk(found.end, f"entry {there - 1} has another hash than the head tells: the chain was rewritten")


def _entries(lines: Iterable[bytes], first: int) -> Iterator[Entry]:
    """What can't be read as an entry is the one that should stand there, with nothing in it: it does not hold."""
    for number, raw in enumerate(lines, first):
        try:
            yield _entry(raw)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, DataError):
            yield Entry(number, 0, "", "", b"")


def _entry(raw: bytes) -> Entry:
    told = json.loads(raw)
    at = (datetime.fromisoformat(told["at"]) - _EPOCH) // _MS
    entry = Entry(int(told["number"]), at, str(told["kind"]), canonical(told["entry"]), bytes.fromhex(told["hash"]))
    previous = bytes.fromhex(told["previous"])
    if line(_shown(entry, told["entry"], previous)) != raw or not entry.follows(previous):
        return Entry(entry.number, 0, "", "", b"")
    return entry


def head_of(data: bytes, name: str) -> Head:
    """Reads a head's file. DataError when it is none."""
    try:
        told = json.loads(data)
        head = Head(
            Place(int(told["first"]), bytes.fromhex(told["previous"])),
            Place(int(told["entries"]), bytes.fromhex(told["hash"])),
            str(told["at"]),
            str(told["key"]),
            bytes.fromhex(told["signature"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{name}: is no head of an audit log ({HEAD_SCHEMA}): {error!r}") from error
    if head.dump().encode() != data:  # another schema, too
        raise DataError(f"{name}: is no head of an audit log as {HEAD_SCHEMA} writes it")
    return head

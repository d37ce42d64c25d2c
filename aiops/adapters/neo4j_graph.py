"""GraphStore on Neo4j (5 or newer), for many writers and for people who look at the graph with Neo4j's own tools.

What is asked and told stands in `cypher`. The neighbourhood is read breadth first, one query per hop: a variable-length
pattern would walk every path, which hubs make exponential.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, TypeAlias, cast

import neo4j
from neo4j import exceptions

from aiops.adapters import cypher
from aiops.adapters.edges import checked_calls, checked_sightings
from aiops.domain import (
    CALL_KINDS,
    NS,
    Call,
    Calls,
    Entity,
    EntityKind,
    Sighting,
    from_ns,
    to_ns,
)
from aiops.errors import ConfigError, DataError, SourceError, SourceRefused, SourceUnreachable, StoreError

Row: TypeAlias = Mapping[str, Any]

_SILENT = logging.NullHandler()  # what the driver warns of, it also raises: a terminal needn't show it twice

BATCH = 5000
NS_PER_MS = NS // 1000
OLDEST = 5


class Neo4jGraph:
    """The graph in `database` (the server's default when "") at `url`: neo4j://, neo4j+s://, bolt:// or bolt+s://.

    Connects at first use. Raises SourceUnreachable when there is no server, SourceRefused when it knows better, StoreError
    for a graph that is newer than this program. Connecting may take `patience_s` (default: `timeout_s`), and so may the retries
    after transient failures; a transaction may take `timeout_s`.
    """

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str = "",
        database: str = "",
        *,
        timeout_s: float = 30.0,
        patience_s: float | None = None,
    ) -> None:
        patience_s = timeout_s if patience_s is None else patience_s
        logging.getLogger("neo4j").addHandler(_SILENT)
        if "@" in url:
            raise ConfigError("the graph's URL holds a user or password: give them apart")
        try:
            self._driver = neo4j.GraphDatabase.driver(
                url,
                auth=(user, password) if user else None,
                connection_timeout=patience_s,
                connection_acquisition_timeout=patience_s,
                # It only begins no further pause after this time; pauses double, and the last is the longest.
                max_transaction_retry_time=patience_s / 3,
                notifications_min_severity="OFF",
            )
        except (ValueError, exceptions.ConfigurationError) as error:
            raise ConfigError(f"the graph's URL is not one of Neo4j: {error}") from error
        self._whom = f"Neo4j at {url.partition('://')[2]}"
        self._database = database or None
        self._timeout_s = timeout_s
        self._greeted = self._prepared = False
        self._closed = False

    # ------------------------------------------------------------ write

    def upsert(self, calls: Iterable[Call]) -> int:
        """Stores edges and their nodes, some thousand per transaction; returns how many were given. Idempotent."""
        given = checked_calls(calls)
        if not given:
            return 0
        self._prepare()
        # In one order for everybody: writers that lock the same nodes then seldom deadlock.
        for ids in _batches(sorted({end for call in given for end in (call.caller, call.callee)})):
            self._write(cypher.UPSERT_NODES, ids=ids)
        for kind in CALL_KINDS:
            rows = [_row(call) for call in given if call.kind == kind and call.caller != call.callee]
            for batch in _batches(sorted(rows, key=lambda row: (row["caller"], row["callee"]))):
                self._write(cypher.UPSERT[kind], rows=batch)
        return len(given)

    def note(self, sightings: Iterable[Sighting]) -> int:
        """Stores sightings; returns how many were given. Idempotent."""
        given = sorted(checked_sightings(sightings), key=lambda one: (_shape(one), one.key))
        if given:
            self._prepare()
        for shape, some in groupby(given, key=_shape):
            for batch in _batches([_noted(one) for one in some]):
                self._write(cypher.note(*shape), rows=batch)
        return len(given)

    def cut(self, caller: str, callee: str) -> bool:
        """Removes the edge, whatever its kind and source, and bars it until restored; False when there is none."""
        self._prepare()
        return bool(self._write(cypher.CUT, caller=caller, callee=callee))

    def restore(self, caller: str, callee: str) -> bool:
        """Lifts the bar and puts back what was cut; False when it is not cut."""
        self._prepare()
        return bool(self._write(cypher.RESTORE, caller=caller, callee=callee))

    def purge(self, before: datetime) -> int:
        """Forgets what was last seen before `before`, and nodes without an edge left; an edge without a time stays."""
        self._prepare()
        limit = to_ns(before) // NS_PER_MS
        removed = sum(int(self._write(text, before=limit)[0]["removed"]) for text in cypher.PURGE)
        if removed:
            for text in cypher.PURGE_NODES:
                self._write(text)
        return removed

    # ------------------------------------------------------------ read

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> Calls:
        """Edges between the nodes within `hops` of any of `nodes`; all edges when `nodes` is empty. Sorted."""
        seeds = sorted(set(nodes))
        if seeds:
            groups = self._read(cypher.CALLS_INSIDE, ids=self._within(seeds, hops))
            found = [call for group in groups for call in _calls(group)]
        else:
            found = [_call(row) for row in self._read(cypher.ALL_CALLS)]
        return Calls.of(sorted(found, key=lambda call: (call.caller, call.callee, call.kind, call.source)))

    def sightings(self, nodes: Iterable[str] = ()) -> tuple[Sighting, ...]:
        """Those with an end at any of `nodes`; all when `nodes` is empty. Sorted."""
        wanted = sorted(set(nodes))
        if wanted:
            found = {_sighting(row) for text in cypher.SIGHTINGS_AT for row in self._read(text, ids=wanted)}
        else:
            found = {_sighting(row) for row in self._read(cypher.ALL_SIGHTINGS)}
        return tuple(sorted(found, key=lambda one: one.key))

    def cuts(self) -> tuple[tuple[str, str], ...]:
        """Sorted by caller and callee."""
        return tuple(sorted((row["caller"], row["callee"]) for row in self._read(cypher.CUTS)))

    def nodes(self, *, alone: bool = False) -> tuple[str, ...]:
        """Sorted; only those without an edge when `alone`."""
        return tuple(sorted(row["id"] for row in self._read(cypher.NODES_ALONE if alone else cypher.NODES)))

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - the driver has its own
        """What answers."""
        with self._in_words("its version"):
            info = self._driver.get_server_info()
        return f"{info.agent} at {self._whom.removeprefix('Neo4j at ')}"

    def close(self) -> None:
        """Twice does no harm."""
        self._closed = True
        self._driver.close()

    def _within(self, seeds: list[str], hops: int) -> list[str]:
        reached, frontier = set(seeds), seeds
        for _ in range(hops):
            (near,) = self._read(cypher.NEIGHBOURS, ids=frontier)
            frontier = sorted(set(near["ids"]) - reached)
            if not frontier:
                break
            reached.update(frontier)
        return sorted(reached)

    # ------------------------------------------------------------ the server

    def _greet(self) -> None:
        """Before the first question: is it one that understands the Cypher above?"""
        if self._greeted:
            return
        with self._in_words("its version"):
            agent = self._driver.get_server_info().agent
        if too_old(agent):
            raise SourceRefused("a graph", self._whom, f"{agent} is too old: Neo4j {OLDEST} or newer is needed")
        self._greeted = True

    def _prepare(self) -> None:
        """Before the first write: the schema's version, and constraints (which are also the indexes)."""
        if self._prepared:
            return
        self._write(cypher.SCHEMA_NAME)
        found = int(self._write(cypher.SCHEMA, version=cypher.VERSION)[0]["version"])
        if found > cypher.VERSION:
            raise StoreError(
                f"{self._whom}: has graph schema {found}; this program knows up to {cypher.VERSION}: "
                "use the newer aiops that wrote it, or another database"
            )
        for version in range(found, cypher.VERSION):
            for text in cypher.MIGRATIONS[version]:
                self._write(text)
        for constraint in cypher.CONSTRAINTS:
            self._write(constraint)
        self._prepared = True

    def _write(self, cypher: str, **parameters: object) -> list[Row]:
        return self._run("writing the graph", neo4j.WRITE_ACCESS, cypher, parameters)

    def _read(self, cypher: str, **parameters: object) -> list[Row]:
        return self._run("reading the graph", neo4j.READ_ACCESS, cypher, parameters)

    def _run(self, what: str, access: str, cypher: str, parameters: dict[str, object]) -> list[Row]:
        @neo4j.unit_of_work(timeout=self._timeout_s)
        def work(transaction: neo4j.ManagedTransaction) -> list[Row]:
            return [record.data() for record in transaction.run(cast("Any", cypher), parameters)]

        self._greet()
        with self._in_words(what), self._driver.session(database=self._database) as session:
            run: Callable[..., list[Row]] = (
                session.execute_write if access == neo4j.WRITE_ACCESS else session.execute_read
            )
            return run(work)

    @contextmanager
    def _in_words(self, what: str) -> Iterator[None]:
        if self._closed:
            raise StoreError(f"{self._whom}: is closed")
        try:
            yield
        except UnicodeEncodeError as error:
            raise DataError(f"{self._whom}: text with half a surrogate pair can't be stored or looked up") from error
        except (exceptions.Neo4jError, exceptions.DriverError) as error:
            raise _mapped(error, what, self._whom) from error
        except OSError as error:
            raise SourceUnreachable(what, self._whom, str(error)) from error


def too_old(agent: str) -> bool:
    """Whether a server's own words ("Neo4j/4.4.41") name a version before `OLDEST`; another product is not ours to judge."""
    product, _, version = agent.partition("/")
    major = version.partition(".")[0]
    return product == "Neo4j" and major.isdigit() and int(major) < OLDEST


_UNREACHABLE = (
    exceptions.ServiceUnavailable,
    exceptions.SessionExpired,
    exceptions.ConnectionAcquisitionTimeoutError,
    exceptions.TransientError,
    exceptions.DatabaseUnavailable,
)


def _mapped(error: exceptions.Neo4jError | exceptions.DriverError, what: str, whom: str) -> SourceError:
    code = (error.code or "") if isinstance(error, exceptions.Neo4jError) else ""
    if code.endswith("AuthenticationRateLimit"):
        return SourceRefused(
            what, whom, "wrong user or password, too many times in a row: it listens to nobody for a while"
        )
    if isinstance(error, exceptions.AuthError):
        return SourceRefused(what, whom, "wrong user or password")
    if isinstance(error, exceptions.Forbidden):
        return SourceRefused(what, whom, f"this user may not: {error.message}")
    if "TransactionTimedOut" in code:
        return SourceUnreachable(what, whom, "no answer in time")
    said = f"{code}: {error.message}" if isinstance(error, exceptions.Neo4jError) else str(error)
    kind = SourceUnreachable if isinstance(error, _UNREACHABLE) else SourceRefused
    return kind(what, whom, said.partition("\n")[0])


def _row(call: Call) -> dict[str, object]:
    return {
        "caller": call.caller,
        "callee": call.callee,
        "source": call.source,
        "first_seen": None if call.first_seen is None else _ms(call.first_seen),
        "last_seen": None if call.last_seen is None else _ms(call.last_seen),
        "strength": call.strength,
    }


def _call(row: Row) -> Call:
    first, last = (None if row[key] is None else _moment(row[key]) for key in ("first_seen", "last_seen"))
    return Call(row["caller"], row["callee"], row["source"], row["kind"], first, last, row["strength"])


def _calls(group: Row) -> Iterator[Call]:
    """The edges of one kind and source, from their columns."""
    times = [[None if ms == "" else _moment(ms) for ms in group[key]] for key in ("first_seen", "last_seen")]
    strengths = (None if strength == "" else strength for strength in group["strengths"])
    for caller, callee, first, last, strength in zip(
        group["callers"], group["callees"], *times, strengths, strict=True
    ):
        yield Call(caller, callee, group["source"], group["kind"], first, last, strength)


def _shape(sighting: Sighting) -> tuple[str, str, str]:
    return str(sighting.cause.kind), sighting.kind, str(sighting.effect.kind)


def _noted(sighting: Sighting) -> dict[str, object]:
    return {
        "cause_service": sighting.cause.service,
        "cause_name": sighting.cause.name,
        "effect_service": sighting.effect.service,
        "effect_name": sighting.effect.name,
        "source": sighting.source,
        "strength": sighting.strength,
        "lag_ms": sighting.lag // timedelta(milliseconds=1),
        "first_seen": _ms(sighting.first_seen),
        "last_seen": _ms(sighting.last_seen),
    }


def _sighting(row: Row) -> Sighting:
    cause, effect = (
        Entity(EntityKind(row[f"{end}_kind"]), row[f"{end}_service"], row[f"{end}_name"]) for end in ("cause", "effect")
    )
    lag = timedelta(milliseconds=row["lag_ms"])
    times = _moment(row["first_seen"]), _moment(row["last_seen"])
    return Sighting(cause, effect, row["kind"], row["source"], row["strength"], lag, *times)


def _ms(moment: datetime) -> int:
    return to_ns(moment) // NS_PER_MS


def _moment(time_ms: int) -> datetime:
    return from_ns(time_ms * NS_PER_MS)


def _batches(rows: list[Any]) -> Iterator[list[Any]]:
    return (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))

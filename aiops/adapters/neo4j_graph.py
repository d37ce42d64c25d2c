"""GraphStore on Neo4j (5 or newer), for many writers and for people who look at the graph with Neo4j's own tools.

    (:Service {id})-[:CALLS|RUNS_ON {source, first_seen, last_seen, strength}]->(:Service)
    (:Service {id} | :Alert|Metric|LogTemplate|Change {service, name})
        -[:TRIGGERS|CONTAINS|CORRELATES_WITH {source, strength, lag_ms, first_seen, last_seen}]->(...)

`known` is true at a service that the topology knows, and absent where only sightings do. Times are epoch milliseconds.

All Cypher of the house stands below. Names travel as parameters, never in the text. The neighbourhood is read breadth
first, one query per hop: a variable-length pattern would walk every path, which hubs make exponential.
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

from aiops.adapters.edges import checked_calls, checked_sightings
from aiops.domain import (
    CALL_KINDS,
    NS,
    SIGHTING_KINDS,
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

SCHEMA = 2
OLDEST = 5
BATCH = 5000
NS_PER_MS = NS // 1000

_ANY = "|".join(CALL_KINDS)
_SEEN = "|".join(SIGHTING_KINDS)
_THINGS = [str(kind) for kind in EntityKind if kind is not EntityKind.SERVICE]

_CONSTRAINTS = (
    "CREATE CONSTRAINT aiops_service IF NOT EXISTS FOR (n:Service) REQUIRE n.id IS UNIQUE",
    *(
        f"CREATE CONSTRAINT aiops_{kind.lower()} IF NOT EXISTS FOR (n:{kind}) REQUIRE (n.service, n.name) IS UNIQUE"
        for kind in _THINGS
    ),
    *(
        f"CREATE INDEX aiops_{kind.lower()}_last_seen IF NOT EXISTS FOR ()-[r:{kind}]-() ON (r.last_seen)"
        for kind in (*CALL_KINDS, *SIGHTING_KINDS)
    ),
    "CREATE CONSTRAINT aiops_cut IF NOT EXISTS FOR (c:Cut) REQUIRE (c.caller, c.callee) IS UNIQUE",
)

_SCHEMA_NAME = "CREATE CONSTRAINT aiops_schema IF NOT EXISTS FOR (s:AiopsSchema) REQUIRE s.name IS UNIQUE"
_SCHEMA = """
MERGE (s:AiopsSchema {name: 'graph'}) ON CREATE SET s.version = $version RETURN s.version AS version
"""

# From each version to the next. Schema and data can't change in one transaction: one text, one transaction.
_MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "DROP CONSTRAINT aiops_entity IF EXISTS",
        "MATCH (n:Entity) SET n:Service, n.known = true REMOVE n:Entity",
        "MATCH (s:AiopsSchema {name: 'graph'}) SET s.version = 2",
    )
}

_UPSERT_NODES = "UNWIND $ids AS id MERGE (n:Service {id: id}) SET n.known = true"

# A time that is not known never displaces one that is. A relationship's type can't be a parameter: one text per kind.
_TIMES = """
    r.first_seen = CASE WHEN r.first_seen IS NULL OR row.first_seen < r.first_seen
                        THEN row.first_seen ELSE r.first_seen END,
    r.last_seen = CASE WHEN r.last_seen IS NULL OR row.last_seen > r.last_seen
                       THEN row.last_seen ELSE r.last_seen END
"""

_UPSERT = {
    kind: f"""
UNWIND $rows AS row
MATCH (a:Service {{id: row.caller}}), (b:Service {{id: row.callee}})
WHERE NOT EXISTS {{ MATCH (:Cut {{caller: row.caller, callee: row.callee}}) }}
MERGE (a)-[r:{kind} {{source: row.source}}]->(b)
SET r.strength = coalesce(row.strength, r.strength), {_TIMES}
"""
    for kind in CALL_KINDS
}

_CUT = f"""
MATCH (:Service {{id: $caller}})-[r:{_ANY}]->(:Service {{id: $callee}})
WITH collect(r) AS found WHERE size(found) > 0
MERGE (:Cut {{caller: $caller, callee: $callee}})
FOREACH (r IN found | DELETE r)
RETURN size(found) AS removed
"""

_PURGE = [
    f"MATCH ()-[r:{kind}]->() WHERE r.last_seen < $before DELETE r RETURN count(*) AS removed"
    for kind in (*CALL_KINDS, *SIGHTING_KINDS)
]

_PURGE_NODES = (
    f"MATCH (n:Service) WHERE n.known AND NOT EXISTS {{ MATCH (n)-[:{_ANY}]-() }} REMOVE n.known",
    *(
        f"MATCH (n:{kind}) WHERE n.known IS NULL AND NOT EXISTS {{ MATCH (n)--() }} DELETE n"
        for kind in map(str, EntityKind)
    ),
)

_CALL = """
RETURN a.id AS caller, b.id AS callee, type(r) AS kind, r.source AS source,
       r.first_seen AS first_seen, r.last_seen AS last_seen, r.strength AS strength
"""

_ALL_CALLS = f"MATCH (a:Service)-[r:{_ANY}]->(b:Service) {_CALL}"

_CALLS_INSIDE = f"""
UNWIND $ids AS id MATCH (a:Service {{id: id}})-[r:{_ANY}]->(b:Service) WHERE b.id IN $ids {_CALL}
"""

_NEIGHBOURS = f"""
UNWIND $ids AS id MATCH (:Service {{id: id}})-[:{_ANY}]-(n:Service) RETURN DISTINCT n.id AS id
"""

_NODES = "MATCH (n:Service) WHERE n.known RETURN n.id AS id"

_NODES_ALONE = f"MATCH (n:Service) WHERE n.known AND NOT EXISTS {{ (n)-[:{_ANY}]-() }} RETURN n.id AS id"


def _note(cause: str, kind: str, effect: str) -> str:
    """The text that stores sightings of one shape: labels and types come from closed lists."""

    def end(name: str, label: str, row: str) -> str:
        if label == EntityKind.SERVICE:
            return f"({name}:Service {{id: row.{row}_service}})"
        return f"({name}:{label} {{service: row.{row}_service, name: row.{row}_name}})"

    return f"""
UNWIND $rows AS row
MERGE {end("a", cause, "cause")}
MERGE {end("b", effect, "effect")}
MERGE (a)-[r:{kind} {{source: row.source}}]->(b)
SET r.strength = CASE WHEN row.last_seen < r.last_seen THEN r.strength ELSE row.strength END,
    r.lag_ms = CASE WHEN row.last_seen < r.last_seen THEN r.lag_ms ELSE row.lag_ms END, {_TIMES}
"""


_SIGHTING = """
RETURN labels(a)[0] AS cause_kind, coalesce(a.service, a.id) AS cause_service, coalesce(a.name, '') AS cause_name,
       labels(b)[0] AS effect_kind, coalesce(b.service, b.id) AS effect_service, coalesce(b.name, '') AS effect_name,
       type(r) AS kind, r.source AS source, r.strength AS strength, r.lag_ms AS lag_ms,
       r.first_seen AS first_seen, r.last_seen AS last_seen
"""

_ALL_SIGHTINGS = f"MATCH (a)-[r:{_SEEN}]->(b) {_SIGHTING}"

# `name IS NOT NULL` lets the index on (service, name) find them by service.
_SIGHTINGS_AT = [
    f"""
UNWIND $ids AS id MATCH (n:{kind} {{{"id" if kind is EntityKind.SERVICE else "service"}: id}})-[r:{_SEEN}]-()
{"" if kind is EntityKind.SERVICE else "WHERE n.name IS NOT NULL"}
WITH DISTINCT r, startNode(r) AS a, endNode(r) AS b {_SIGHTING}
"""
    for kind in EntityKind
]


class Neo4jGraph:
    """The graph in `database` (the server's default when "") at `url`: neo4j://, neo4j+s://, bolt:// or bolt+s://.

    Connects at first use. Raises SourceUnreachable when there is no server, SourceRefused when it knows better, StoreError
    for a graph that is newer than this program. Connecting may take `patience_s` (default: `timeout_s`), for which transient
    failures are retried too; a transaction may take `timeout_s`.
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
                max_transaction_retry_time=patience_s,
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
            self._write(_UPSERT_NODES, ids=ids)
        for kind in CALL_KINDS:
            rows = [_row(call) for call in given if call.kind == kind and call.caller != call.callee]
            for batch in _batches(sorted(rows, key=lambda row: (row["caller"], row["callee"]))):
                self._write(_UPSERT[kind], rows=batch)
        return len(given)

    def note(self, sightings: Iterable[Sighting]) -> int:
        """Stores sightings; returns how many were given. Idempotent."""
        given = sorted(checked_sightings(sightings), key=lambda one: (_shape(one), one.key))
        if given:
            self._prepare()
        for shape, some in groupby(given, key=_shape):
            for batch in _batches([_noted(one) for one in some]):
                self._write(_note(*shape), rows=batch)
        return len(given)

    def cut(self, caller: str, callee: str) -> bool:
        """Removes the edge, whatever its kind and source, and bars it for good; False when there is none."""
        self._prepare()
        return bool(self._write(_CUT, caller=caller, callee=callee))

    def purge(self, before: datetime) -> int:
        """Forgets what was last seen before `before`, and nodes without an edge left; an edge without a time stays."""
        self._prepare()
        limit = to_ns(before) // NS_PER_MS
        removed = sum(int(self._write(text, before=limit)[0]["removed"]) for text in _PURGE)
        if removed:
            for text in _PURGE_NODES:
                self._write(text)
        return removed

    # ------------------------------------------------------------ read

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> Calls:
        """Edges between the nodes within `hops` of any of `nodes`; all edges when `nodes` is empty. Sorted."""
        seeds = sorted(set(nodes))
        rows = self._read(_CALLS_INSIDE, ids=self._within(seeds, hops)) if seeds else self._read(_ALL_CALLS)
        return Calls.of(sorted(map(_call, rows), key=lambda call: (call.caller, call.callee, call.kind, call.source)))

    def sightings(self, nodes: Iterable[str] = ()) -> tuple[Sighting, ...]:
        """Those with an end at any of `nodes`; all when `nodes` is empty. Sorted."""
        wanted = sorted(set(nodes))
        if wanted:
            found = {_sighting(row) for text in _SIGHTINGS_AT for row in self._read(text, ids=wanted)}
        else:
            found = {_sighting(row) for row in self._read(_ALL_SIGHTINGS)}
        return tuple(sorted(found, key=lambda one: one.key))

    def nodes(self, *, alone: bool = False) -> tuple[str, ...]:
        """Sorted; only those without an edge when `alone`."""
        return tuple(sorted(row["id"] for row in self._read(_NODES_ALONE if alone else _NODES)))

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
            frontier = sorted({row["id"] for row in self._read(_NEIGHBOURS, ids=frontier)} - reached)
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
        self._write(_SCHEMA_NAME)
        found = int(self._write(_SCHEMA, version=SCHEMA)[0]["version"])
        if found > SCHEMA:
            raise StoreError(
                f"{self._whom}: has graph schema {found}; this program knows up to {SCHEMA}: "
                "use the newer aiops that wrote it, or another database"
            )
        for version in range(found, SCHEMA):
            for text in _MIGRATIONS[version]:
                self._write(text)
        for constraint in _CONSTRAINTS:
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

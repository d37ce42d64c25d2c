"""GraphStore on Neo4j (5 or newer), for many writers and for people who look at the graph with Neo4j's own tools.

All Cypher of the house stands below. Names travel as parameters, never in the text. The neighbourhood is read breadth
first, one query per hop: a variable-length pattern would walk every path, which hubs make exponential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias, cast

import neo4j
from neo4j import exceptions

from aiops.domain import NS, Call, from_ns, to_ns
from aiops.errors import ConfigError, DataError, SourceError, SourceRefused, SourceUnreachable, StoreError

Row: TypeAlias = Mapping[str, Any]

SCHEMA = 1
OLDEST = 5
KINDS = ("CALLS", "RUNS_ON")
BATCH = 5000
NS_PER_MS = NS // 1000

_ANY = "|".join(KINDS)

_CONSTRAINTS = (
    "CREATE CONSTRAINT aiops_entity IF NOT EXISTS FOR (n:Entity) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT aiops_cut IF NOT EXISTS FOR (c:Cut) REQUIRE (c.caller, c.callee) IS UNIQUE",
    "CREATE CONSTRAINT aiops_schema IF NOT EXISTS FOR (s:AiopsSchema) REQUIRE s.name IS UNIQUE",
)

_SCHEMA = """
MERGE (s:AiopsSchema {name: 'graph'}) ON CREATE SET s.version = $version RETURN s.version AS version
"""

_UPSERT_NODES = "UNWIND $ids AS id MERGE (:Entity {id: id})"

# A time that is not known never displaces one that is. A relationship's type can't be a parameter: one text per kind.
_UPSERT = {
    kind: f"""
UNWIND $rows AS row
MATCH (a:Entity {{id: row.caller}}), (b:Entity {{id: row.callee}})
WHERE NOT EXISTS {{ MATCH (:Cut {{caller: row.caller, callee: row.callee}}) }}
MERGE (a)-[r:{kind} {{source: row.source}}]->(b)
SET r.first_seen = CASE WHEN r.first_seen IS NULL OR row.first_seen < r.first_seen
                        THEN row.first_seen ELSE r.first_seen END,
    r.last_seen = CASE WHEN r.last_seen IS NULL OR row.last_seen > r.last_seen
                       THEN row.last_seen ELSE r.last_seen END
"""
    for kind in KINDS
}

_CUT = f"""
MATCH (:Entity {{id: $caller}})-[r:{_ANY}]->(:Entity {{id: $callee}})
WITH collect(r) AS found WHERE size(found) > 0
MERGE (:Cut {{caller: $caller, callee: $callee}})
FOREACH (r IN found | DELETE r)
RETURN size(found) AS removed
"""

_PURGE = f"""
MATCH (:Entity)-[r:{_ANY}]->(:Entity) WHERE r.last_seen < $before DELETE r RETURN count(*) AS removed
"""

_PURGE_NODES = f"MATCH (n:Entity) WHERE NOT EXISTS {{ MATCH (n)-[:{_ANY}]-(:Entity) }} DELETE n"

_CALL = """
RETURN a.id AS caller, b.id AS callee, type(r) AS kind, r.source AS source,
       r.first_seen AS first_seen, r.last_seen AS last_seen
"""

_ALL_CALLS = f"MATCH (a:Entity)-[r:{_ANY}]->(b:Entity) {_CALL}"

_CALLS_INSIDE = f"""
UNWIND $ids AS id MATCH (a:Entity {{id: id}})-[r:{_ANY}]->(b:Entity) WHERE b.id IN $ids {_CALL}
"""

_NEIGHBOURS = f"""
UNWIND $ids AS id MATCH (:Entity {{id: id}})-[:{_ANY}]-(n:Entity) RETURN DISTINCT n.id AS id
"""

_NODES = "MATCH (n:Entity) RETURN n.id AS id"


class Neo4jGraph:
    """The graph in `database` (the server's default when "") at `url`: neo4j://, neo4j+s://, bolt:// or bolt+s://.

    Connects at first use. Raises SourceUnreachable when there is no server, SourceRefused when it knows better, StoreError
    for a graph that is newer than this program. Transient failures are retried for `timeout_s`.
    """

    def __init__(
        self, url: str, user: str = "", password: str = "", database: str = "", *, timeout_s: float = 30.0
    ) -> None:
        if "@" in url:
            raise ConfigError("the graph's URL holds a user or password: give them apart")
        try:
            self._driver = neo4j.GraphDatabase.driver(
                url,
                auth=(user, password) if user else None,
                connection_timeout=timeout_s,
                connection_acquisition_timeout=timeout_s,
                max_transaction_retry_time=timeout_s,
                notifications_min_severity="OFF",
            )
        except (ValueError, exceptions.ConfigurationError) as error:
            raise ConfigError(f"the graph's URL is not one of Neo4j: {error}") from error
        self._whom = f"Neo4j at {url.partition('://')[2]}"
        self._database = database or None
        self._timeout_s = timeout_s
        self._prepared = False
        self._closed = False

    # ------------------------------------------------------------ write

    def upsert(self, calls: Iterable[Call]) -> int:
        """Stores edges and their nodes, some thousand per transaction; returns how many were given. Idempotent."""
        given = tuple(calls)
        strange = sorted({call.kind for call in given} - set(KINDS))
        if strange:
            raise DataError(f"an edge is one of {', '.join(KINDS)}, not {', '.join(strange)}")
        if not given:
            return 0
        self._prepare()
        # In one order for everybody: writers that lock the same nodes then seldom deadlock.
        for ids in _batches(sorted({end for call in given for end in (call.caller, call.callee)})):
            self._write(_UPSERT_NODES, ids=ids)
        for kind in KINDS:
            rows = [_row(call) for call in given if call.kind == kind and call.caller != call.callee]
            for batch in _batches(sorted(rows, key=lambda row: (row["caller"], row["callee"]))):
                self._write(_UPSERT[kind], rows=batch)
        return len(given)

    def cut(self, caller: str, callee: str) -> bool:
        """Removes the edge, whatever its kind and source, and bars it for good; False when there is none."""
        self._prepare()
        return bool(self._write(_CUT, caller=caller, callee=callee))

    def purge(self, before: datetime) -> int:
        """Forgets edges last seen before `before`, and nodes without any left; an edge without a time stays."""
        self._prepare()
        ((removed,),) = (row.values() for row in self._write(_PURGE, before=to_ns(before) // NS_PER_MS))
        if removed:
            self._write(_PURGE_NODES)
        return int(removed)

    # ------------------------------------------------------------ read

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> tuple[Call, ...]:
        """Edges between the nodes within `hops` of any of `nodes`; all edges when `nodes` is empty. Sorted."""
        seeds = sorted(set(nodes))
        rows = self._read(_CALLS_INSIDE, ids=self._within(seeds, hops)) if seeds else self._read(_ALL_CALLS)
        return tuple(sorted(map(_call, rows), key=lambda call: (call.caller, call.callee, call.kind, call.source)))

    def nodes(self) -> tuple[str, ...]:
        """Sorted."""
        return tuple(sorted(row["id"] for row in self._read(_NODES)))

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

    def _prepare(self) -> None:
        """Before the first write: constraints (which are also the indexes) and the schema's version."""
        if self._prepared:
            return
        with self._in_words("its version"):
            agent = self._driver.get_server_info().agent
        product, _, version = agent.partition("/")
        major = version.partition(".")[0]
        if product == "Neo4j" and major.isdigit() and int(major) < OLDEST:
            raise SourceRefused("a graph", self._whom, f"{agent} is too old: Neo4j {OLDEST} or newer is needed")
        for constraint in _CONSTRAINTS:
            self._write(constraint)
        found = self._write(_SCHEMA, version=SCHEMA)[0]["version"]
        if found > SCHEMA:
            raise StoreError(
                f"{self._whom}: has graph schema {found}; this program knows up to {SCHEMA}: "
                "use the newer aiops that wrote it, or another database"
            )
        self._prepared = True

    def _write(self, cypher: str, **parameters: object) -> list[Row]:
        return self._run("writing the graph", neo4j.WRITE_ACCESS, cypher, parameters)

    def _read(self, cypher: str, **parameters: object) -> list[Row]:
        return self._run("reading the graph", neo4j.READ_ACCESS, cypher, parameters)

    def _run(self, what: str, access: str, cypher: str, parameters: dict[str, object]) -> list[Row]:
        @neo4j.unit_of_work(timeout=self._timeout_s)
        def work(transaction: neo4j.ManagedTransaction) -> list[Row]:
            return [record.data() for record in transaction.run(cast("Any", cypher), parameters)]

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


_UNREACHABLE = (
    exceptions.ServiceUnavailable,
    exceptions.SessionExpired,
    exceptions.ConnectionAcquisitionTimeoutError,
    exceptions.TransientError,
    exceptions.DatabaseUnavailable,
)


def _mapped(error: exceptions.Neo4jError | exceptions.DriverError, what: str, whom: str) -> SourceError:
    if isinstance(error, exceptions.AuthError):
        return SourceRefused(what, whom, "wrong user or password")
    if isinstance(error, exceptions.Forbidden):
        return SourceRefused(what, whom, f"this user may not: {error.message}")
    if isinstance(error, exceptions.Neo4jError) and "TransactionTimedOut" in (error.code or ""):
        return SourceUnreachable(what, whom, "no answer in time")
    if isinstance(error, _UNREACHABLE):
        return SourceUnreachable(what, whom, str(error).partition("\n")[0])
    return SourceRefused(what, whom, str(error).partition("\n")[0])


def _row(call: Call) -> dict[str, object]:
    return {
        "caller": call.caller,
        "callee": call.callee,
        "source": call.source,
        "first_seen": None if call.first_seen is None else to_ns(call.first_seen) // NS_PER_MS,
        "last_seen": None if call.last_seen is None else to_ns(call.last_seen) // NS_PER_MS,
    }


def _call(row: Row) -> Call:
    first, last = _moment(row["first_seen"]), _moment(row["last_seen"])
    return Call(row["caller"], row["callee"], row["source"], row["kind"], first, last)


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else from_ns(time_ms * NS_PER_MS)


def _batches(rows: list[Any]) -> Iterator[list[Any]]:
    return (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))

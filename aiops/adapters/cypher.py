"""All Cypher of the house: what `neo4j_graph` asks and tells a Neo4j (5 or newer), and the graph's shape there.

    (:Service {id})-[:CALLS|RUNS_ON {source, first_seen, last_seen, strength}]->(:Service)
    (:Service {id} | :Alert|Metric|LogTemplate|Change {service, name})
        -[:TRIGGERS|CONTAINS|CORRELATES_WITH {source, strength, lag_ms, first_seen, last_seen}]->(...)
    (:Cut {caller, callee}), and between the two services what was cut: -[:CUT {kind, ...}]->

`known` is true at a service that the topology knows, and absent where only sightings do. Times are epoch milliseconds. Names
travel as parameters, never in the text; labels and types, which can't be parameters, come from closed lists.
"""

from __future__ import annotations

from aiops.domain import CALL_KINDS, SIGHTING_KINDS, EntityKind

VERSION = 2

_ANY = "|".join(CALL_KINDS)
_SEEN = "|".join(SIGHTING_KINDS)
_THINGS = [str(kind) for kind in EntityKind if kind is not EntityKind.SERVICE]

CONSTRAINTS = (
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

SCHEMA_NAME = "CREATE CONSTRAINT aiops_schema IF NOT EXISTS FOR (s:AiopsSchema) REQUIRE s.name IS UNIQUE"
SCHEMA = """
MERGE (s:AiopsSchema {name: 'graph'}) ON CREATE SET s.version = $version RETURN s.version AS version
"""

# From each version to the next. Schema and data can't change in one transaction: one text, one transaction.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        "DROP CONSTRAINT aiops_entity IF EXISTS",
        "MATCH (n:Entity) SET n:Service, n.known = true REMOVE n:Entity",
        "MATCH (s:AiopsSchema {name: 'graph'}) SET s.version = 2",
    )
}

UPSERT_NODES = "UNWIND $ids AS id MERGE (n:Service {id: id}) SET n.known = true"

# A time that is not known never displaces one that is. A relationship's type can't be a parameter: one text per kind.
_TIMES = """
    r.first_seen = CASE WHEN r.first_seen IS NULL OR row.first_seen < r.first_seen
                        THEN row.first_seen ELSE r.first_seen END,
    r.last_seen = CASE WHEN r.last_seen IS NULL OR row.last_seen > r.last_seen
                       THEN row.last_seen ELSE r.last_seen END
"""

UPSERT = {
    kind: f"""
UNWIND $rows AS row
MATCH (a:Service {{id: row.caller}}), (b:Service {{id: row.callee}})
WHERE NOT EXISTS {{ MATCH (:Cut {{caller: row.caller, callee: row.callee}}) }}
MERGE (a)-[r:{kind} {{source: row.source}}]->(b)
SET r.strength = coalesce(row.strength, r.strength), {_TIMES}
"""
    for kind in CALL_KINDS
}

# What is cut keeps its place under another type, which nothing else reads.
CUT = f"""
MATCH (a:Service {{id: $caller}})-[r:{_ANY}]->(b:Service {{id: $callee}})
WITH a, b, collect(r) AS found WHERE size(found) > 0
MERGE (:Cut {{caller: $caller, callee: $callee}})
FOREACH (r IN found | CREATE (a)-[was:CUT]->(b) SET was = properties(r), was.kind = type(r) DELETE r)
RETURN size(found) AS removed
"""

_AGAIN = "".join(
    f"""
FOREACH (_ IN CASE WHEN was.kind = '{kind}' THEN [1] ELSE [] END |
    MERGE (a)-[r:{kind} {{source: was.source}}]->(b) SET r = properties(was) REMOVE r.kind)"""
    for kind in CALL_KINDS
)

RESTORE = f"""
MATCH (bar:Cut {{caller: $caller, callee: $callee}}) DELETE bar
WITH count(*) AS lifted WHERE lifted > 0
OPTIONAL MATCH (a:Service {{id: $caller}})-[was:CUT]->(b:Service {{id: $callee}})
{_AGAIN}
FOREACH (_ IN CASE WHEN was IS NULL THEN [] ELSE [1] END | SET a.known = true, b.known = true DELETE was)
RETURN DISTINCT lifted
"""

CUTS = "MATCH (bar:Cut) RETURN bar.caller AS caller, bar.callee AS callee"

PURGE = [
    f"MATCH ()-[r:{kind}]->() WHERE r.last_seen < $before DELETE r RETURN count(*) AS removed"
    for kind in (*CALL_KINDS, *SIGHTING_KINDS)
]

PURGE_NODES = (
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

ALL_CALLS = f"MATCH (a:Service)-[r:{_ANY}]->(b:Service) {_CALL}"

# In columns: one row for each edge through the driver takes twice as long. `collect` leaves out nulls, so '' stands for them.
CALLS_INSIDE = f"""
UNWIND $ids AS id MATCH (a:Service {{id: id}})-[r:{_ANY}]->(b:Service) WHERE b.id IN $ids
RETURN type(r) AS kind, r.source AS source, collect(a.id) AS callers, collect(b.id) AS callees,
       collect(coalesce(r.first_seen, '')) AS first_seen, collect(coalesce(r.last_seen, '')) AS last_seen,
       collect(coalesce(r.strength, '')) AS strengths
"""

NEIGHBOURS = f"""
UNWIND $ids AS id MATCH (:Service {{id: id}})-[:{_ANY}]-(n:Service) RETURN collect(DISTINCT n.id) AS ids
"""

NODES = "MATCH (n:Service) WHERE n.known RETURN n.id AS id"

NODES_ALONE = f"MATCH (n:Service) WHERE n.known AND NOT EXISTS {{ (n)-[:{_ANY}]-() }} RETURN n.id AS id"


def note(cause: str, kind: str, effect: str) -> str:
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

ALL_SIGHTINGS = f"MATCH (a)-[r:{_SEEN}]->(b) {_SIGHTING}"

# `name IS NOT NULL` lets the index on (service, name) find them by service.
SIGHTINGS_AT = [
    f"""
UNWIND $ids AS id MATCH (n:{kind} {{{"id" if kind is EntityKind.SERVICE else "service"}: id}})-[r:{_SEEN}]-()
{"" if kind is EntityKind.SERVICE else "WHERE n.name IS NOT NULL"}
WITH DISTINCT r, startNode(r) AS a, endNode(r) AS b {_SIGHTING}
"""
    for kind in EntityKind
]

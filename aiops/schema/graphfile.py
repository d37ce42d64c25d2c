"""The graph as files that other tools read: networkx' node-link JSON, GraphML, and a plain list of edges.

    edges: [[caller, callee], [caller, callee, origin, kind, strength], ...]     JSON or YAML; a recorded incident's topology.json
    {"directed": true, "nodes": [{"id": ...}], "edges": [{"source": ..., "target": ..., ...}]}      "links" is read as "edges"
    <graphml>...                                                         through networkx (the extra `graph`)

An edge leads from caller to callee, or from cause to effect. Its attributes are `kind`, `origin` (where it is known from; `source` is
networkx' word for the tail), `strength` in (0, 1], `lag_s`, `first_seen` and `last_seen` (RFC 3339). Without them it is a declared
call. A node that is no service has `kind` (Alert, Metric, LogTemplate, Change), `service` and `name`.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from aiops.domain import CALL_KINDS, SIGHTING_KINDS, Call, Entity, EntityKind, Sighting
from aiops.errors import ConfigError, DataError

FORMS = ("json", "graphml")
Graph: TypeAlias = tuple[tuple[Call, ...], tuple[Sighting, ...]]
Attributes: TypeAlias = dict[str, str | float]


def node_link(calls: Iterable[Call], nodes: Iterable[str] = (), sightings: Iterable[Sighting] = ()) -> str:
    """`networkx.node_link_graph(json.loads(...), edges="edges")` gives a MultiDiGraph; deterministic."""
    told, edges = _drawn(list(calls), nodes, list(sightings))
    return json.dumps(
        {
            "directed": True,
            "multigraph": True,
            "graph": {},
            "nodes": [{"id": node, **attributes} for node, attributes in told.items()],
            "edges": [{"source": a, "target": b, "key": key, **attributes} for a, b, key, attributes in edges],
        },
        indent=1,
        ensure_ascii=False,
    )


def graphml(calls: Iterable[Call], nodes: Iterable[str] = (), sightings: Iterable[Sighting] = ()) -> str:
    """GraphML 1.0. ConfigError without networkx; DataError for a name that no XML can hold."""
    nx = _networkx()
    told, edges = _drawn(list(calls), nodes, list(sightings))
    for name in (*told, *(str(words) for one in told.values() for words in one.values())):
        if not all(char in "\t\n" or (char >= " " and char not in "\ufffe\uffff") for char in name):
            raise DataError(f"the name {name!r} has a character that GraphML can't hold; export it as JSON")
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(told.items())
    graph.add_edges_from(edges)
    out = io.BytesIO()
    nx.write_graphml_xml(graph, out, encoding="utf-8", prettyprint=True)
    return out.getvalue().decode()


def parse(data: bytes, name: str) -> Graph:
    """The calls and sightings of a file in any of the forms, as they stand in it. A node without an edge comes as a call of itself,
    which a GraphStore keeps as that node. DataError names the file and what is wrong with it."""
    if data.lstrip()[:1] == b"<":
        nodes, edges = _graphml(data, name)
    else:
        nodes, edges = _structured(data, name)
    entities = {node: found for node, told in nodes.items() if (found := _entity(told, f"{name}: node {node!r}"))}
    calls: list[Call] = []
    sightings: list[Sighting] = []
    for tail, head, told, where in edges:
        if told.get("kind") in SIGHTING_KINDS:
            sightings.append(_sighting(entities, tail, head, told, where))
        else:
            calls.append(_call(entities, tail, head, told, where))
    tied = {str(end) for tail, head, *_ in edges for end in (tail, head)} | set(entities)
    alone = (Call(node, node, "declared") for node in nodes if node not in tied)
    return (*calls, *alone), tuple(sightings)


# ---------------------------------------------------------------- writing


def _drawn(
    calls: list[Call], nodes: Iterable[str], sightings: list[Sighting]
) -> tuple[dict[str, Attributes], list[tuple[str, str, str, Attributes]]]:
    """Nodes with attributes, and edges (tail, head, what tells parallel edges apart, attributes)."""
    services = {end for call in calls for end in (call.caller, call.callee)} | set(nodes)
    ends = {end for one in sightings for end in (one.cause, one.effect)}
    services |= {end.service for end in ends if end.kind is EntityKind.SERVICE}
    names = {Entity(EntityKind.SERVICE, service): service for service in services}
    for end in sorted(ends - set(names), key=lambda e: (e.kind, e.service, e.name)):
        name = f"{end.kind}: {end.service}: {end.name}"
        while name in services:  # a service may be called whatever it likes
            name += "'"
        services.add(name)
        names[end] = name
    told: dict[str, Attributes] = {}
    for end, name in sorted(names.items(), key=lambda item: item[1]):
        other: Attributes = {} if end.kind is EntityKind.SERVICE else {"service": end.service, "name": end.name}
        told[name] = {"kind": str(end.kind), **other}
    edges = [(c.caller, c.callee, f"{c.kind} {c.source}", _attributes(c)) for c in calls]
    edges += [(names[s.cause], names[s.effect], f"{s.kind} {s.source}", _attributes(s)) for s in sightings]
    return told, edges


def _attributes(edge: Call | Sighting) -> Attributes:
    lag = edge.lag if isinstance(edge, Sighting) else None
    return (
        {"kind": edge.kind, "origin": edge.source}
        | ({} if edge.strength is None else {"strength": edge.strength})
        | ({} if lag is None else {"lag_s": lag.total_seconds()})
        | {k: at.isoformat() for k in ("first_seen", "last_seen") if (at := getattr(edge, k))}
    )


# ---------------------------------------------------------------- reading

Edges: TypeAlias = list[tuple[Any, Any, Mapping[str, Any], str]]  # tail, head, attributes, where it stands


def _structured(data: bytes, name: str) -> tuple[dict[str, Mapping[str, Any]], Edges]:
    parsed = _parsed(data, name)
    edges = parsed.get("edges", parsed.get("links")) if isinstance(parsed, dict) else None
    if not isinstance(edges, list):
        raise DataError(f"{name}: needs edges: [[caller, callee], ...], or networkx' node-link JSON")
    if any(isinstance(edge, dict) for edge in edges):
        _directed(parsed.get("directed", True), name)
    return _nodes(parsed.get("nodes", []), name), [_edge(edge, f"{name}: edges[{i}]") for i, edge in enumerate(edges)]


def _parsed(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)  # not as YAML, which takes 1e-05 for a word
    except ValueError:
        pass
    import yaml

    try:
        return yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe one
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: neither JSON nor YAML nor GraphML: {error}") from error


def _graphml(data: bytes, name: str) -> tuple[dict[str, Mapping[str, Any]], Edges]:
    from xml.etree.ElementTree import ParseError

    nx = _networkx()
    try:
        graph = nx.read_graphml(io.BytesIO(data), force_multigraph=True)
    except (nx.NetworkXError, ParseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name}: no GraphML: {error}") from error
    _directed(graph.is_directed(), name)
    nodes = {_id(node, name): told for node, told in graph.nodes(data=True)}
    return nodes, [(a, b, told, f"{name}: edge {a} -> {b}") for a, b, told in graph.edges(data=True)]


def _nodes(nodes: Any, name: str) -> dict[str, Mapping[str, Any]]:
    if not isinstance(nodes, list):
        raise DataError(f"{name}: nodes is {type(nodes).__name__}, not a list")
    told = [node if isinstance(node, dict) else {"id": node} for node in nodes]
    return {_id(one.get("id"), f"{name}: nodes[{i}]"): one for i, one in enumerate(told)}


def _edge(edge: Any, where: str) -> tuple[Any, Any, Mapping[str, Any], str]:
    if isinstance(edge, dict):
        if "source" not in edge or "target" not in edge:
            raise DataError(f"{where}: {edge!r} has no source and target")
        return edge["source"], edge["target"], edge, where
    words = edge[:4] if isinstance(edge, list) else []
    if not 2 <= len(words) <= len(edge) <= 5 or not all(isinstance(x, str) and x for x in words):
        raise DataError(f"{where}: {edge!r} is not [caller, callee, origin?, kind?, strength?]")
    return edge[0], edge[1], dict(zip(("origin", "kind", "strength"), edge[2:], strict=False)), where


def _call(entities: Mapping[str, Entity], tail: Any, head: Any, told: Mapping[str, Any], where: str) -> Call:
    kind = told.get("kind", "CALLS")
    if kind not in CALL_KINDS:
        raise DataError(f"{where}: kind {kind!r}; allowed are {', '.join((*CALL_KINDS, *SIGHTING_KINDS))}")
    caller, callee = _id(tail, where), _id(head, where)
    for end in (caller, callee):
        if end in entities:
            raise DataError(f"{where}: {kind} leads from service to service, and {end!r} is a {entities[end].kind}")
    first, last = (_moment(told.get(key), f"{where}: {key}") for key in ("first_seen", "last_seen"))
    return Call(
        caller, callee, _origin(told, "declared", where), kind, first, last, _strength(told.get("strength"), where)
    )


def _sighting(entities: Mapping[str, Entity], tail: Any, head: Any, told: Mapping[str, Any], where: str) -> Sighting:
    cause, effect = (
        entities.get(_id(end, where)) or Entity(EntityKind.SERVICE, _id(end, where)) for end in (tail, head)
    )
    strength = _strength(told.get("strength"), where)
    first, last = (_moment(told.get(key), f"{where}: {key}") for key in ("first_seen", "last_seen"))
    if strength is None or first is None or last is None:
        raise DataError(f"{where}: a {told['kind']} needs strength, first_seen and last_seen")
    return Sighting(
        cause, effect, told["kind"], _origin(told, "learned", where), strength, _lag(told, where), first, last
    )


def _entity(told: Mapping[str, Any], where: str) -> Entity | None:
    """What a node stands for; None for a service, and for one of a kind of somebody else's."""
    kind, service, name = told.get("kind"), told.get("service"), told.get("name", "")
    if kind not in {str(each) for each in EntityKind if each is not EntityKind.SERVICE}:
        return None
    if not isinstance(service, str) or not isinstance(name, str):
        raise DataError(f"{where}: a {kind} needs service and name, as words")
    return Entity(EntityKind(kind), service, name)


def _origin(told: Mapping[str, Any], otherwise: str, where: str) -> str:
    origin = told.get("origin", otherwise)
    if not isinstance(origin, str) or not origin:
        raise DataError(f"{where}: origin {origin!r} is no word")
    return origin


def _strength(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise DataError(f"{where}: strength {value!r}; a strength is a probability above 0 and at most 1")
    return float(value)


def _lag(told: Mapping[str, Any], where: str) -> timedelta:
    lag = told.get("lag_s", 0.0)
    if isinstance(lag, bool) or not isinstance(lag, int | float) or not math.isfinite(lag) or abs(lag) > 1e9:
        raise DataError(f"{where}: lag_s {lag!r} is no number of seconds")
    return timedelta(seconds=lag)


def _moment(text: Any, where: str) -> datetime | None:
    if text is None or text == "":
        return None
    try:
        moment = text if isinstance(text, datetime) else datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: {text!r} is no time: {error}") from error
    if moment.tzinfo is None:
        raise DataError(f"{where}: {text!r} has no time zone")
    return moment.astimezone(UTC)


def _id(value: Any, where: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(f"{where}: {value!r} is no name of a node")
    return str(value)


def _directed(directed: Any, name: str) -> None:
    if not directed:
        raise DataError(f"{name}: the graph is undirected, and a dependency leads from caller to callee")


def _networkx() -> Any:
    try:
        import networkx as nx
    except ImportError as error:
        raise ConfigError("GraphML needs networkx: pip install '.[graph]' in the checkout") from error
    return nx

"""Dependencies as files that other tools read: networkx' node-link JSON, GraphML, and a plain list of edges.

    edges: [[caller, callee], [caller, callee, origin, kind], ...]       JSON or YAML; a recorded incident's topology.json
    {"directed": true, "nodes": [{"id": ...}], "edges": [{"source": ..., "target": ..., ...}]}      "links" is read as "edges"
    <graphml>...                                                         through networkx (the extra `graph`)

An edge leads from caller to callee. Its attributes are `kind` (CALLS, RUNS_ON), `origin` (where it is known from; `source` is
networkx' word for the caller), `first_seen` and `last_seen` (RFC 3339). Without them it is a declared call.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from aiops.domain import Call
from aiops.errors import ConfigError, DataError

KINDS = ("CALLS", "RUNS_ON")
FORMS = ("json", "graphml")


def node_link(calls: Iterable[Call], nodes: Iterable[str] = ()) -> str:
    """`networkx.node_link_graph(json.loads(...), edges="edges")` gives a MultiDiGraph; deterministic."""
    listed = list(calls)
    return json.dumps(
        {
            "directed": True,
            "multigraph": True,
            "graph": {},
            "nodes": [{"id": node} for node in _nodes(listed, nodes)],
            "edges": [{"source": c.caller, "target": c.callee, "key": _key(c), **_attributes(c)} for c in listed],
        },
        indent=1,
        ensure_ascii=False,
    )


def graphml(calls: Iterable[Call], nodes: Iterable[str] = ()) -> str:
    """GraphML 1.0. ConfigError without networkx; DataError for a name that no XML can hold."""
    nx = _networkx()
    listed = list(calls)
    names = _nodes(listed, nodes)
    for name in names:
        if not all(char in "\t\n" or (char >= " " and char not in "\ufffe\uffff") for char in name):
            raise DataError(f"the name {name!r} has a character that GraphML can't hold; export it as JSON")
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((c.caller, c.callee, _key(c), _attributes(c)) for c in listed)
    out = io.BytesIO()
    nx.write_graphml_xml(graph, out, encoding="utf-8", prettyprint=True)
    return out.getvalue().decode()


def parse(data: bytes, name: str) -> tuple[Call, ...]:
    """The edges of a file in any of the forms, as they stand in it. A node without an edge comes as a call of itself, which a
    GraphStore keeps as that node. DataError names the file and what is wrong with it."""
    if data.lstrip()[:1] == b"<":
        return _from_graphml(data, name)
    import yaml

    try:
        parsed: Any = yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - JSON is YAML; safe
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: neither JSON nor YAML nor GraphML: {error}") from error
    edges = parsed.get("edges", parsed.get("links")) if isinstance(parsed, dict) else None
    if not isinstance(edges, list):
        raise DataError(f"{name}: needs edges: [[caller, callee], ...], or networkx' node-link JSON")
    if not edges or isinstance(edges[0], list):
        calls = [_plain(edge, f"{name}: edges[{i}]") for i, edge in enumerate(edges)]
    else:
        _directed(parsed.get("directed", True), name)
        calls = [_linked(edge, f"{name}: edges[{i}]") for i, edge in enumerate(edges)]
    return (*calls, *_alone(_ids(parsed.get("nodes", []), name), calls))


# ---------------------------------------------------------------- edges


def _plain(edge: Any, where: str) -> Call:
    if not isinstance(edge, list) or not 2 <= len(edge) <= 4 or not all(isinstance(x, str) and x for x in edge):
        raise DataError(f"{where}: {edge!r} is not [caller, callee, origin?, kind?]")
    return _call(edge[0], edge[1], dict(zip(("origin", "kind"), edge[2:], strict=False)), where)


def _linked(edge: Any, where: str) -> Call:
    if not isinstance(edge, dict) or "source" not in edge or "target" not in edge:
        raise DataError(f"{where}: {edge!r} has no source and target")
    return _call(edge["source"], edge["target"], edge, where)


def _call(caller: Any, callee: Any, told: Mapping[str, Any], where: str) -> Call:
    kind, origin = told.get("kind", "CALLS"), told.get("origin", "declared")
    if kind not in KINDS:
        raise DataError(f"{where}: kind {kind!r}; allowed are {' and '.join(KINDS)}")
    if not isinstance(origin, str) or not origin:
        raise DataError(f"{where}: origin {origin!r} is no word")
    first, last = (_moment(told.get(key), f"{where}: {key}") for key in ("first_seen", "last_seen"))
    return Call(_id(caller, where), _id(callee, where), origin, kind, first, last)


def _attributes(call: Call) -> dict[str, str]:
    times = {"first_seen": call.first_seen, "last_seen": call.last_seen}
    return {"kind": call.kind, "origin": call.source} | {k: at.isoformat() for k, at in times.items() if at}


def _key(call: Call) -> str:
    """Tells parallel edges apart."""
    return f"{call.kind} {call.source}"


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


# ---------------------------------------------------------------- nodes and graphs


def _nodes(calls: Iterable[Call], nodes: Iterable[str]) -> list[str]:
    return sorted({end for call in calls for end in (call.caller, call.callee)} | set(nodes))


def _ids(nodes: Any, name: str) -> list[str]:
    if not isinstance(nodes, list):
        raise DataError(f"{name}: nodes is {type(nodes).__name__}, not a list")
    return [_id(one.get("id") if isinstance(one, dict) else one, f"{name}: nodes[{i}]") for i, one in enumerate(nodes)]


def _alone(nodes: Iterable[str], calls: Iterable[Call]) -> Iterator[Call]:
    connected = {end for call in calls for end in (call.caller, call.callee)}
    yield from (Call(node, node, "declared") for node in dict.fromkeys(nodes) if node not in connected)


def _directed(directed: Any, name: str) -> None:
    if not directed:
        raise DataError(f"{name}: the graph is undirected, and a dependency leads from caller to callee")


def _from_graphml(data: bytes, name: str) -> tuple[Call, ...]:
    from xml.etree.ElementTree import ParseError

    nx = _networkx()
    try:
        graph = nx.read_graphml(io.BytesIO(data), force_multigraph=True)
    except (nx.NetworkXError, ParseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{name}: no GraphML: {error}") from error
    _directed(graph.is_directed(), name)
    calls = [_call(a, b, told, f"{name}: edge {a} -> {b}") for a, b, told in graph.edges(data=True)]
    return (*calls, *_alone((_id(node, name) for node in graph.nodes), calls))


def _networkx() -> Any:
    try:
        import networkx as nx
    except ImportError as error:
        raise ConfigError("GraphML needs networkx: pip install '.[graph]' in the checkout") from error
    return nx

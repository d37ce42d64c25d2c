"""`aiops graph`: the known dependencies, who calls whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Call, Calls, Entity, Sighting
    from aiops.ops import Ops


@click.group()
def graph() -> None:
    """Look at the known dependencies, and mend them."""


_forms = click.option(
    "--format", "form", type=click.Choice(("text", "json", "yaml")), default="text", show_default=True
)
_store = click.option("--graph", metavar="URL", help="Where they are kept: sqlite:[PATH] or neo4j://HOST.")
_hops = click.option("--hops", type=click.IntRange(1, 20), default=2, show_default=True, help="How far around SERVICE.")
_LATEST = 20  # sightings in a table; JSON and YAML have all


def _flags(url: str | None) -> dict[str, str]:
    return {"stores__graph": url} if url else {}


@graph.command()
@click.argument("service", required=False)
@_hops
@common.home
@_store
@_forms
def show(service: str | None, hops: int, home: str | None, graph: str | None, form: str) -> int:
    """Show all dependencies, or those around SERVICE, and what diagnoses saw there."""
    from aiops.schema import wire

    with common.connect(home, **_flags(graph)) as ops:
        calls, sightings = _around(ops, service, hops)
    if not calls:
        common.note("no dependency is known; `aiops graph import FILE`, or connect a trace source")
    if form == "text":
        common.put("\n\n".join(filter(None, (_shown(calls, form), _seen(sightings)))), None)
    else:
        told = {"edges": calls, "sightings": sightings}
        common.put(common.dumped({k: [wire.plain(one) for one in some] for k, some in told.items()}, form), None)
    return 0


@graph.command()
@click.argument("caller")
@click.argument("callee")
@common.home
@_store
@_forms
def path(caller: str, callee: str, home: str | None, graph: str | None, form: str) -> int:
    """Show a shortest way from CALLER down to CALLEE.

    The exit code is 1 when there is none."""
    from aiops.errors import NotFound

    with common.connect(home, **_flags(graph)) as ops:
        known = _told(ops.sources.graph.calls())
        nodes = ops.sources.graph.nodes()
    if strange := [node for node in (caller, callee) if node not in nodes]:
        raise NotFound(f"the graph knows no node {' and no node '.join(map(repr, strange))}")
    found = shortest(known, caller, callee)
    if found is None:
        common.note(f"{caller} reaches {callee} over no known dependency")
        return 1
    common.put(_shown(found, form), None)
    return 0


@graph.command(name="import")
@click.argument("file")
@common.home
@_store
def import_(file: str, home: str | None, graph: str | None) -> int:
    """Add dependencies from FILE (JSON, YAML or GraphML; `-` for stdin).

    FILE holds `edges: [[caller, callee], ...]`, each edge with an origin (default: declared), a kind (CALLS, RUNS_ON) and
    a strength if it likes: the form of a recorded incident's topology.json. Or it is node-link JSON or GraphML, as
    `export` and networkx write it."""
    from aiops.schema import graphfile

    calls, sightings = graphfile.parse(common.read(file), "stdin" if file == "-" else file)
    edges = {(c.caller, c.callee, c.kind, c.source) for c in calls if c.caller != c.callee}
    nodes = {end for c in calls for end in (c.caller, c.callee)}
    with common.connect(home, **_flags(graph)) as ops:
        with ops.turn("graph import", text=file) as notes:
            ops.sources.graph.upsert(calls)
            seen = ops.sources.graph.note(sightings)
            notes.result = f"{len(edges)} dependencies, {seen} sightings"
        there = _told(ops.sources.graph.calls(nodes)) if edges else ()
    taken = len(edges & {(c.caller, c.callee, c.kind, c.source) for c in there})
    common.note(f"{taken} dependencies taken between {len(nodes)} nodes" + (f", and {seen} sightings" if seen else ""))
    if barred := len(edges) - taken:
        common.note(f"{barred} left out: they were cut")
    return 0


@graph.command()
@click.argument("service", required=False)
@_hops
@common.home
@_store
@click.option("--format", "form", type=click.Choice(("json", "graphml")), help="Default: json, or as FILE ends.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
)
def export(
    service: str | None, hops: int, home: str | None, graph: str | None, form: str | None, output: Path | None
) -> int:
    """Write the graph for other tools: node-link JSON (networkx) or GraphML.

    All of it, or what is around SERVICE: dependencies, and what diagnoses saw. GraphML needs the extra `graph`."""
    from aiops.schema import graphfile

    with common.connect(home, **_flags(graph)) as ops:
        calls, sightings = _around(ops, service, hops)
        nodes = (service,) if service else ops.sources.graph.nodes()
    chosen = form or ("graphml" if output and output.suffix.lower() == ".graphml" else "json")
    common.put((graphfile.graphml if chosen == "graphml" else graphfile.node_link)(calls, nodes, sightings), output)
    return 0


@graph.command()
@click.argument("caller", required=False)
@click.argument("callee", required=False)
@click.option("--undo", is_flag=True, help="Take the cut back.")
@click.option("--list", "listed", is_flag=True, help="Show what is cut.")
@common.home
@_store
@_forms
def cut(
    caller: str | None, callee: str | None, undo: bool, listed: bool, home: str | None, graph: str | None, form: str
) -> int:
    """Mark the dependency of CALLER on CALLEE as wrong: it is never used nor learned again.

    With --undo it is there again as it was."""
    if listed == bool(callee) or (listed and (caller or undo)):
        raise click.UsageError("either CALLER and CALLEE, or --list alone")
    ends = str(caller), str(callee)
    with common.connect(home, **_flags(graph)) as ops:
        if listed:
            common.put(_cuts(ops.sources.graph.cuts(), form), None)
        elif undo:
            ops.restore(*ends)
            common.note(f"taken back: {caller} -> {callee} may be used again")
            if not any((call.caller, call.callee) == ends for call in _told(ops.sources.graph.calls(ends))):
                common.note("it comes back when a diagnosis sees it, or by `aiops graph import`")
        else:
            ops.cut(*ends)
            common.note(f"cut {caller} -> {callee}")
    return 0


def _cuts(pairs: Sequence[tuple[str, str]], form: str) -> str:
    from aiops.cli.answers import columns
    from aiops.render.clean import clean

    if form != "text":
        return common.dumped({"cuts": [{"caller": a, "callee": b} for a, b in pairs]}, form)
    if not pairs:
        common.note("nothing is cut")
        return ""
    return columns([("caller", "", "callee"), *((clean(a, 80), "->", clean(b, 80)) for a, b in pairs)])


def shortest(calls: Iterable[Call], caller: str, callee: str) -> list[Call] | None:
    """Fewest calls from `caller` to `callee`, breadth first; None when there is no way. O(edges)."""
    following: dict[str, list[Call]] = {}
    for call in calls:
        following.setdefault(call.caller, []).append(call)
    reached: dict[str, Call | None] = {caller: None}
    waiting = deque([caller])
    while waiting and callee not in reached:
        for call in following.get(waiting.popleft(), ()):
            if call.callee not in reached:
                reached[call.callee] = call
                waiting.append(call.callee)
    if callee not in reached:
        return None
    way: list[Call] = []
    while (step := reached[callee]) is not None:
        way.append(step)
        callee = step.caller
    return way[::-1]


def _around(ops: Ops, service: str | None, hops: int) -> tuple[Calls, tuple[Sighting, ...]]:
    """What the graph knows within `hops` of a service, or all that it knows. NotFound for a service that it doesn't know."""
    graph = ops.sources.graph
    calls = _told(graph.calls([service] if service else [], hops))
    sightings = graph.sightings([service, *calls.nodes] if service else [])
    if service and not sightings and service not in graph.nodes():
        from aiops.errors import NotFound

        raise NotFound(f"the graph knows no node {service!r}")
    return calls, sightings


def _told(calls: Calls) -> Calls:
    """With what they lack told on stderr."""
    for gap in calls.gaps:
        common.note(f"{gap.what}: {gap.why}")
    return calls


def _seen(sightings: Sequence[Sighting]) -> str:
    """The latest of them as a table."""
    from aiops.cli.answers import columns

    if not sightings:
        return ""
    latest = sorted(sightings, key=lambda one: (one.last_seen, one.key), reverse=True)[:_LATEST]
    rows = [
        (_called(s.cause), s.kind, _called(s.effect), f"{s.strength:.2f}", f"{s.lag.total_seconds():g} s",
         s.source, s.last_seen.isoformat(timespec="seconds"))
        for s in latest
    ]  # fmt: skip
    more = len(sightings) - len(latest)
    table = columns([("seen in diagnoses", "", "", "strength", "lag", "source", "last seen"), *rows])
    return table + (f"\nand {more} earlier; --format json shows all" if more else "")


def _called(entity: Entity) -> str:
    from aiops.render.clean import clean

    return clean(f"{entity.service} {entity.name}".strip(), 80)


def _shown(calls: Sequence[Call], form: str) -> str:
    from aiops.cli.answers import columns
    from aiops.render.clean import clean
    from aiops.schema import wire

    if form != "text":
        return common.dumped({"edges": [wire.plain(call) for call in calls]}, form)
    if not calls:
        return ""
    rows = [
        (clean(c.caller, 80), "->", clean(c.callee, 80), c.kind, clean(c.source, 40), c.last_seen.isoformat() if c.last_seen else "")
        for c in calls
    ]  # fmt: skip
    return columns([("caller", "", "callee", "kind", "source", "last seen"), *rows])

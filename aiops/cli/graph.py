"""`aiops graph`: the known dependencies, who calls whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Call
    from aiops.ops import Ops


@click.group()
def graph() -> None:
    """Look at the known dependencies, and mend them."""


_forms = click.option(
    "--format", "form", type=click.Choice(("text", "json", "yaml")), default="text", show_default=True
)
_store = click.option("--graph", metavar="URL", help="Where they are kept: sqlite:[PATH].")


def _flags(url: str | None) -> dict[str, str]:
    return {"stores__graph": url} if url else {}


@graph.command()
@click.argument("service", required=False)
@click.option("--hops", type=click.IntRange(1, 20), default=2, show_default=True, help="How far around SERVICE.")
@common.home
@_store
@_forms
def show(service: str | None, hops: int, home: str | None, graph: str | None, form: str) -> int:
    """Show all dependencies, or those around SERVICE."""
    with common.connect(home, **_flags(graph)) as ops:
        calls = ops.sources.graph.calls([service] if service else [], hops)
        _known(ops, service)
    if not calls:
        common.note("no dependency is known; `aiops graph import FILE`, or connect a trace source")
    common.put(_shown(calls, form), None)
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
    with common.connect(home, **_flags(graph)) as ops:
        found = shortest(ops.sources.graph.calls(), caller, callee)
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

    FILE holds `edges: [[caller, callee], ...]`, each edge with an origin (default: declared) and a kind (CALLS, RUNS_ON)
    if it likes: the form of a recorded incident's topology.json. Or it is node-link JSON or GraphML, as `export` and
    networkx write it."""
    from aiops.schema import graphfile

    calls = graphfile.parse(common.read(file), file)
    with common.connect(home, **_flags(graph)) as ops:
        count = ops.sources.graph.upsert(calls)
    common.note(f"{count} dependencies taken")
    return 0


@graph.command()
@click.argument("service", required=False)
@click.option("--hops", type=click.IntRange(1, 20), default=2, show_default=True, help="How far around SERVICE.")
@common.home
@_store
@click.option("--format", "form", type=click.Choice(("json", "graphml")), help="Default: json, or as FILE ends.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file instead of stdout."
)
def export(
    service: str | None, hops: int, home: str | None, graph: str | None, form: str | None, output: Path | None
) -> int:
    """Write dependencies for other tools: node-link JSON (networkx) or GraphML.

    All of them, or those around SERVICE. GraphML needs the extra `graph`."""
    from aiops.schema import graphfile

    with common.connect(home, **_flags(graph)) as ops:
        calls = ops.sources.graph.calls([service] if service else [], hops)
        nodes = (service,) if service else ops.sources.graph.nodes()
        _known(ops, service)
    chosen = form or ("graphml" if output and output.suffix.lower() == ".graphml" else "json")
    common.put((graphfile.graphml if chosen == "graphml" else graphfile.node_link)(calls, nodes), output)
    return 0


@graph.command()
@click.argument("caller")
@click.argument("callee")
@common.home
@_store
def cut(caller: str, callee: str, home: str | None, graph: str | None) -> int:
    """Mark a dependency as wrong: it is never used nor learned again."""
    from aiops.errors import NotFound

    with common.connect(home, **_flags(graph)) as ops:
        if not ops.sources.graph.cut(caller, callee):
            raise NotFound(f"no dependency {caller} -> {callee} is known")
    common.note(f"cut {caller} -> {callee}")
    return 0


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


def _known(ops: Ops, service: str | None) -> None:
    if service and service not in ops.sources.graph.nodes():
        from aiops.errors import NotFound

        raise NotFound(f"the graph knows no node {service!r}")


def _shown(calls: Iterable[Call], form: str) -> str:
    from aiops.cli.answers import columns
    from aiops.schema import wire

    if form != "text":
        return common.dumped({"edges": [wire.plain(call) for call in calls]}, form)
    rows = [(c.caller, "->", c.callee, c.kind, c.source, c.last_seen.isoformat() if c.last_seen else "") for c in calls]
    return columns([("caller", "", "callee", "kind", "source", "last seen"), *rows])

"""`aiops graph`: the known dependencies, who calls whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from aiops.cli import common

if TYPE_CHECKING:
    from aiops.domain import Call


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
        if service and service not in ops.sources.graph.nodes():
            from aiops.errors import NotFound

            raise NotFound(f"the graph knows no node {service!r}")
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
    """Add dependencies from FILE (JSON or YAML; `-` for stdin).

    FILE holds `edges: [[caller, callee], ...]`, each edge with a source (default: declared) and a kind (CALLS, RUNS_ON)
    if it likes: the form of a recorded incident's topology.json."""
    calls = _calls(common.read(file), file)
    with common.connect(home, **_flags(graph)) as ops:
        count = ops.sources.graph.upsert(calls)
    common.note(f"{count} dependencies taken")
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


def _shown(calls: Iterable[Call], form: str) -> str:
    from aiops.cli.answers import columns
    from aiops.schema import wire

    if form != "text":
        return common.dumped({"edges": [wire.plain(call) for call in calls]}, form)
    rows = [(c.caller, "->", c.callee, c.kind, c.source, c.last_seen.isoformat() if c.last_seen else "") for c in calls]
    return columns([("caller", "", "callee", "kind", "source", "last seen"), *rows])


def _calls(data: bytes, name: str) -> tuple[Call, ...]:
    import yaml

    from aiops.errors import DataError

    try:
        parsed: Any = yaml.safe_load(data)  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: neither JSON nor YAML: {error}") from error
    edges = parsed.get("edges") if isinstance(parsed, dict) else None
    if not isinstance(edges, list):
        raise DataError(f"{name}: needs edges: [[caller, callee], ...]")
    return tuple(_call(edge, f"{name}: edges[{i}]") for i, edge in enumerate(edges))


def _call(edge: Any, where: str) -> Call:
    from aiops.domain import Call
    from aiops.errors import DataError

    if not isinstance(edge, list) or not 2 <= len(edge) <= 4 or not all(isinstance(x, str) and x for x in edge):
        raise DataError(f"{where}: {edge!r} is not [caller, callee, source?, kind?]")
    kind = edge[3] if len(edge) > 3 else "CALLS"
    if kind not in ("CALLS", "RUNS_ON"):
        raise DataError(f"{where}: kind {kind!r}; allowed are CALLS and RUNS_ON")
    return Call(edge[0], edge[1], edge[2] if len(edge) > 2 else "declared", kind)

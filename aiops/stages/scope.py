"""Stage 2: Task -> Scope. Which nodes are within reach of the symptom, which time is baseline, and what to query."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from aiops.domain import Catalog, Gap, Intent, Labels, Query, Scope, Symptom, Task, TimeRange, quote
from aiops.errors import SourceError, StoreError, UsageError
from aiops.ports import GraphStore
from aiops.rules import Entities
from aiops.stages.figures import asked_metrics
from aiops.telemetry import stage

LOOK_BACK = timedelta(hours=1)  # baseline when nobody says otherwise: enough for a robust band at a scrape of 15-60 s
LOOK_ON = timedelta(minutes=15)  # how much after the symptom belongs to it; sources give what there is
MOST_ALONE = 500  # nodes without a dependency above which reading everything is no worse than naming them all
LONGEST_BASELINE = timedelta(days=1)  # before a window whose values are asked for
HOPS = 5  # the depth of a causal path; further nodes can't be its cause


@stage("scope")
def scope_of(task: Task, fixed: TimeRange | None, graph: GraphStore, entities: Entities) -> Scope:
    """Where to look for `task`. `fixed` is the time a recording covers, None for a live source.

    Raises UsageError for an empty or missing time."""
    symptom = task.inputs.symptom or Symptom()
    at, read = _times(symptom.at, task.inputs.window, fixed)
    service = symptom.service or (task.inputs.services[0] if task.inputs.services else None)
    metric = symptom.metric or (task.inputs.metrics[0] if task.inputs.metrics else None)
    node = entities.aliases.get(service, service) if service else None
    if task.intent is Intent.QUERY:
        nodes, gaps = _named(task, entities)
        read = _read_for_values(read, at, task, fixed)
    else:
        nodes, gaps = _around(node, task, graph, entities)
    if node is not None and not nodes and not gaps and not fixed:
        gaps = (_unmapped(node),)
    return Scope(
        at=at,
        baseline=TimeRange(read.start, at),
        incident=TimeRange(at, read.end),
        symptom_node=node,
        symptom_metric=metric,
        nodes=nodes,
        queries=queries(nodes, entities, asked_metrics(task) if task.intent is Intent.QUERY else ()),
        gaps=gaps,
    )


def _times(at: datetime | None, window: TimeRange | None, fixed: TimeRange | None) -> tuple[datetime, TimeRange]:
    if window is not None and window.empty:
        raise UsageError(f"the time range is empty: it starts and ends at {window.start.isoformat()}")
    if at is None and window is None:
        if fixed is None:
            raise UsageError("a time is needed: when was the symptom noticed (at), or which window is meant?")
        at = fixed.end
    moment = at if at is not None else window.start  # type: ignore[union-attr]  # one of the two is given, see above
    if window is not None:
        before = min(fixed.start, moment) if fixed else moment - LOOK_BACK
        read = TimeRange(window.start if window.start < moment else before, max(window.end, moment))
    else:
        read = fixed or TimeRange(moment - LOOK_BACK, moment + LOOK_ON)
    if not read.start <= moment <= read.end:
        raise UsageError(f"{moment.isoformat()} lies outside {read.start.isoformat()} .. {read.end.isoformat()}")
    return moment, read


def _named(task: Task, entities: Entities) -> tuple[tuple[str, ...], tuple[Gap, ...]]:
    """The nodes whose values are asked for, and no others."""
    return tuple(sorted({entities.aliases.get(s, s) for s in task.inputs.services})), ()


def _read_for_values(read: TimeRange, at: datetime, task: Task, fixed: TimeRange | None) -> TimeRange:
    """With a baseline as long as the window, within reason: a day is compared with the day before."""
    if task.inputs.window is None or fixed is not None:
        return read
    length = min(max(task.inputs.window.duration, LOOK_BACK), LONGEST_BASELINE)
    return TimeRange(at - length, read.end)


def _around(
    node: str | None, task: Task, graph: GraphStore, entities: Entities
) -> tuple[tuple[str, ...], tuple[Gap, ...]]:
    """What is within reach of the node; where it is to be checked, with the others that were named."""
    nodes, gaps = _reach(node, graph)
    if nodes and task.intent is Intent.DETECT:
        nodes = tuple(sorted({*nodes, *(entities.aliases.get(s, s) for s in task.inputs.services)}))
    return nodes, gaps


def _reach(node: str | None, graph: GraphStore) -> tuple[tuple[str, ...], tuple[Gap, ...]]:
    """Nodes within `HOPS`, and those that nothing ties to anything: they can't be ruled out. () = the graph doesn't help."""
    if node is None:
        return (), ()
    try:
        calls = graph.calls([node], HOPS)
        alone = graph.nodes(alone=True) if calls else ()
    except (SourceError, StoreError) as error:
        return (), (Gap(f"topology around {node}", f"{error}; so everything is read", "aiops doctor"),)
    if not calls or len(alone) > MOST_ALONE:
        return (), ()
    return tuple(sorted({*alone, *calls.nodes})), ()


def _unmapped(node: str) -> Gap:
    return Gap(
        f"topology around {node}",
        f"the graph knows no dependency of {node}, so everything the metrics source has is read",
        "aiops graph import FILE, or connect a trace source",
    )


def queries(nodes: Iterable[str], entities: Entities, metrics: Iterable[str] = ()) -> tuple[Query, ...]:
    """Selectors of all series that can map to one of `nodes`, of every series when there are none; of these `metrics` alone,
    if any."""
    names, wanted = sorted(nodes), [re.escape(name) for name in metrics]
    only = f"__name__=~{quote('|'.join(wanted))}" if wanted else ""
    if not names:
        return (Query(f"{{{only}}}" if only else '{__name__!=""}'),)
    known = {a for a, node in entities.aliases.items() if node in names} | set(names)
    either = "|".join(re.escape(n).replace("\\-", "-") for n in sorted(known))
    tails = dict.fromkeys(entities.strip, "([-:].*)?")
    matches = ((label, quote(f"({either}){tails.get(label, '')}")) for label in entities.labels["series"])
    return tuple(Query(f"{{{', '.join(filter(None, [f'{label}=~{match}', only]))}}}") for label, match in matches)


def catalog_of(series: Iterable[Labels], known: Iterable[str], entities: Entities) -> Catalog:
    """Names people may use: nodes of the graph and of the series, metrics of the series, aliases of rules/entities.yaml."""
    labels = list(series)
    having: dict[str, set[str]] = {}
    for one in labels:
        having.setdefault(one.get("__name__", ""), set()).add(entities.node("series", one))
    services = {node for nodes in having.values() for node in nodes} | set(known)
    carriers = {metric: next(iter(nodes)) for metric, nodes in sorted(having.items()) if len(nodes) == 1}
    aliases: dict[str, tuple[str, ...]] = {}
    for alias, node in sorted(entities.aliases.items()):
        aliases[node] = (*aliases.get(node, ()), alias)
    # `_entry` and its like are measurements of the whole, not services that one can ask about.
    named = sorted(name for name in services if name and not name.startswith("_"))
    alone = {metric: node for metric, node in carriers.items() if node in set(named)}
    owners = {metric: tuple(sorted(nodes & set(named))) for metric, nodes in sorted(having.items())}
    return Catalog(tuple(named), tuple(sorted(set(having) - {""})), aliases, alone, owners)

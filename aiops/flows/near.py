"""Who is near whom in the graph of dependencies: what folds alerts of different services into one episode."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from aiops.errors import SourceError, StoreError
from aiops.ports import GraphStore
from aiops.telemetry import cached

log = logging.getLogger(__name__)

KEPT_S = 60.0  # how long a neighbourhood is taken for known
MOST_KEPT = 10_000  # neighbourhoods
CROWD = 2_000  # nodes; so many around one say nothing about what belongs together


class Near:
    """Neighbourhoods of `hops` steps in either direction, remembered for a while. For one thread at a time."""

    def __init__(self, graph: GraphStore, hops: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._graph, self._hops, self._clock = graph, hops, clock
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    def __call__(self, node: str) -> frozenset[str]:
        """The nodes within reach of `node`, which is one of them; fewer hops where that would be a crowd.

        It alone, where the graph can't say: an alert waits for nothing."""
        now = self._clock()
        until, found = self._known.get(node, (0.0, frozenset()))
        cached("neighbourhoods", *((1, 0) if now < until else (0, 1)))
        if now < until:
            return found
        found = self._around(node)
        if len(self._known) >= MOST_KEPT:
            self._known.clear()
        self._known[node] = now + KEPT_S, found
        return found

    def _around(self, node: str) -> frozenset[str]:
        try:
            for hops in range(self._hops, 0, -1):
                found = self._graph.calls([node], hops).nodes
                if len(found) <= CROWD:
                    return frozenset((node, *found))
        except (SourceError, StoreError) as error:
            log.warning("the graph does not say what is near %s: %s", node, error)
        return frozenset((node,))

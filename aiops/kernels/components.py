"""Strongly connected components, by two depth-first passes (M. Sharir, Computers & Mathematics with Applications 7, 1981)."""

from __future__ import annotations

from collections.abc import Iterable


def components(count: int, edges: Iterable[tuple[int, int]]) -> list[int]:
    """Component number of each of `count` nodes; two nodes share one exactly when each reaches the other. O(N + M).

    Numbers come in topological order: an edge between two components leads from the lower number to the higher.
    """
    out: list[list[int]] = [[] for _ in range(count)]
    back: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        out[source].append(target)
        back[target].append(source)
    seen = [False] * count
    finished: list[int] = []
    for root in range(count):
        finished += _postorder(root, out, seen)
    component, number = [-1] * count, 0
    visited = [False] * count
    for root in reversed(finished):
        members = _postorder(root, back, visited)
        for member in members:
            component[member] = number
        number += bool(members)
    return component


def _postorder(root: int, targets: list[list[int]], seen: list[bool]) -> list[int]:
    """Nodes newly reached from `root`, each after all that it leads to; marks them in `seen`."""
    if seen[root]:
        return []
    seen[root] = True
    order, work = [], [(root, iter(targets[root]))]
    while work:
        node, others = work[-1]
        unseen = next((other for other in others if not seen[other]), None)
        if unseen is None:
            order.append(node)
            work.pop()
        else:
            seen[unseen] = True
            work.append((unseen, iter(targets[unseen])))
    return order

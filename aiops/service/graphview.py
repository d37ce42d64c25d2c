"""The neighbourhood of a service as a picture: callers to the left, what it calls to the right. All text in it is escaped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from aiops.domain import Call
from aiops.render.clean import clean
from aiops.render.picture import fit

MOST = 80  # nodes drawn; the table has all
_WIDE, _HIGH, _ACROSS, _DOWN = 190, 40, 90, 16
_GUESSED = "learned"


def svg(centre: str, calls: Sequence[Call], hops: int) -> str:
    """An SVG element whose nodes lead to their own neighbourhoods. O(calls log calls)."""
    columns = _columns(centre, calls)
    place = {}
    for column, nodes in enumerate(columns):
        for row, node in enumerate(nodes):
            place[node] = (10 + column * (_WIDE + _ACROSS), 10 + row * (_HIGH + _DOWN))
    wide = 20 + len(columns) * (_WIDE + _ACROSS) - _ACROSS
    high = 20 + max(len(nodes) for nodes in columns) * (_HIGH + _DOWN) - _DOWN
    drawn = [call for call in calls if call.caller in place and call.callee in place and call.caller != call.callee]
    return "".join(
        [
            f'<svg class="graph-picture" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" aria-hidden="true">',
            *(_edge(place[call.caller], place[call.callee], guessed=call.source == _GUESSED) for call in drawn),
            *(_node(node, at, hops, own=node == centre) for node, at in place.items()),
            "</svg>",
        ]
    )


def _columns(centre: str, calls: Sequence[Call]) -> list[list[str]]:
    """Nodes by how many calls away they are, callers negative; nearest first until `MOST` are placed."""
    after, before = defaultdict(set), defaultdict(set)
    for call in calls:
        after[call.caller].add(call.callee)
        before[call.callee].add(call.caller)
    level = {centre: 0}
    edge = [centre]
    while edge:
        fresh: dict[str, int] = {}
        for node in edge:
            for others, step in ((after[node], 1), (before[node], -1)):
                for other in sorted(others - level.keys()):
                    fresh.setdefault(other, level[node] + step)
        room = MOST - len(level)
        edge = sorted(fresh)[:room]
        level |= {node: fresh[node] for node in edge}
    columns: dict[int, list[str]] = defaultdict(list)
    for node in sorted(level):
        columns[level[node]].append(node)
    return [columns[key] for key in sorted(columns)]


def _node(node: str, at: tuple[int, int], hops: int, *, own: bool) -> str:
    x, y = at
    name, css = escape(fit(clean(node, 200), _WIDE - 20, 13)), "g-node g-self" if own else "g-node"
    # The table below says the same for those who do not see the picture, so its links are none of the keyboard's.
    return (
        f'<a href="/graph?service={quote(node, safe="")}&amp;hops={hops}" tabindex="-1"><title>{escape(clean(node, 200))}</title>'
        f'<rect class="{css}" x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="8"/>'
        f'<text class="g-name" x="{x + 10}" y="{y + 25}">{name}</text></a>'
    )


def _edge(caller: tuple[int, int], callee: tuple[int, int], *, guessed: bool) -> str:
    css = "g-edge g-guess" if guessed else "g-edge"
    (x1, y1), (x2, y2) = caller, callee
    y1, y2 = y1 + _HIGH // 2, y2 + _HIGH // 2
    if x2 > x1:  # to the right, as calls mostly go
        start, end, bend = x1 + _WIDE, x2 - 5, _ACROSS // 2
    elif x2 < x1:
        start, end, bend = x1, x2 + _WIDE + 5, -_ACROSS // 2
    else:
        start, end, bend = x1 + _WIDE, x2 + _WIDE + 5, _ACROSS // 2
    back = end > start if x2 != x1 else False
    tip = f"M{end} {y2}l-7 -4v8z" if back else f"M{end} {y2}l7 -4v8z"
    turn = end - bend if x2 != x1 else end + bend
    return f'<path class="{css}" d="M{start} {y1}C{start + bend} {y1} {turn} {y2} {end} {y2}"/><path class="g-tip" d="{tip}"/>'

"""The report as one picture, for chat: the path from cause to symptom, and under it each series with its band."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, tzinfo
from html import escape
from importlib.resources import files

from aiops.domain import Report, Verdict
from aiops.render.clean import clean
from aiops.render.headline import summary
from aiops.render.language import ENGLISH, say, speaking
from aiops.render.path import Hop, hops
from aiops.render.picture import chart_svg, fit, small_svg
from aiops.render.samples import HIGH, WIDE

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', 'Noto Sans CJK SC', sans-serif"
_MARGIN, _PER_ROW, _GAP, _CARD_HIGH = 32, 4, 100, 132
_PAGE = 2 * _MARGIN + 2 * WIDE + 24
_MOST_CHARTS = 6


def svg(report: Report, *, tz: tzinfo = UTC, language: str = ENGLISH) -> str:
    """A standalone SVG: no script, no request, light and dark. Charts beyond the sixth stand in the other forms."""
    with speaking(language):
        return _svg(report, tz)


def _svg(report: Report, tz: tzinfo) -> str:
    parts: list[str] = []
    height = _headline(parts, summary(report, tz))
    if report.root_causes and report.verdict is Verdict.FOUND:
        height = _path(parts, hops(report.root_causes[0], report, tz), height)
    height = _charts(parts, report, tz, height)
    title = escape(clean(summary(report, tz)[0], 300))
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_PAGE} {height}" width="{_PAGE}" height="{height}" ',
            f'role="img" aria-labelledby="t" font-family="{_FONT}"><title id="t">{title}</title>',
            f"<style>{_style()}</style>",
            f'<rect class="p-paper" width="{_PAGE}" height="{height}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _style() -> str:
    return files("aiops.render").joinpath("templates/picture.css").read_text("utf-8")


def content_security_policy() -> str:
    """What the picture may do where it is shown by itself: its style sheet, nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'"


def _headline(parts: list[str], told: tuple[str, str, str]) -> int:
    """The summary, one line each; returns where the next part begins."""
    room = _PAGE - 2 * _MARGIN
    for index, line in enumerate(told):
        css, size = ("p-title", 21) if index == 0 else ("p-sub", 14)
        y = 52 + (26 * index if index else 0)
        parts.append(f'<text class="{css}" x="{_MARGIN}" y="{y}">{escape(fit(clean(line), room, size))}</text>')
    return 52 + 26 * len(told)


def _path(parts: list[str], steps: tuple[Hop, ...], top: int) -> int:
    per_row = min(len(steps), _PER_ROW)
    wide = min(270.0, (_PAGE - 2 * _MARGIN - (per_row - 1) * _GAP) / per_row)
    for index, hop in enumerate(steps):
        row, column = divmod(index, per_row)
        x, y = _MARGIN + column * (wide + _GAP), top + row * (_CARD_HIGH + 40)
        parts.extend(_card(hop, x, y, wide))
        if hop.link:
            parts.extend(_arrow(hop, x + wide, y, last=column == per_row - 1))
    rows = -(-len(steps) // per_row)
    return top + rows * (_CARD_HIGH + 40)


def _card(hop: Hop, x: float, y: float, wide: float) -> Iterable[str]:
    kind = "p-cause" if hop.role in {"cause", "both"} else "p-card"
    room = wide - 24
    yield f'<g><title>{escape(hop.node)}</title><rect class="{kind}" x="{x:.0f}" y="{y}" width="{wide:.0f}" height="{_CARD_HIGH}" rx="8"/>'
    yield f'<text class="p-name" x="{x + 12:.0f}" y="{y + 25}">{escape(fit(hop.node, room, 15))}</text>'
    yield f'<text class="p-soft" x="{x + 12:.0f}" y="{y + 44}">{escape(fit(hop.metric, room, 12))}</text>'
    yield f'<text class="p-time" x="{x + 12:.0f}" y="{y + 66}">{escape(hop.onset or say("no onset seen"))}</text>'
    if hop.note:
        yield f'<text class="p-soft" x="{x + 12:.0f}" y="{y + 104}">{escape(fit(hop.note, room, 12))}</text>'
    if hop.chart:
        yield small_svg(hop.chart, (round(room), 44), (x + 12, y + 78))
    yield "</g>"


def _arrow(hop: Hop, x: float, y: float, *, last: bool) -> Iterable[str]:
    """The edge to the next card; at the end of a row it points on, to the next row."""
    assert hop.link
    middle, end = y + _CARD_HIGH / 2, x + (30 if last else _GAP)
    yield f'<path class="p-edge" d="M{x + 6:.0f} {middle:.0f}H{end - 12:.0f}"/>'
    yield f'<path class="p-tip" d="M{end - 14:.0f} {middle - 5:.0f}l9 5l-9 5Z"/>'
    if last:
        return
    words = ((hop.link.relation, -10), (f"{hop.link.strength} {hop.link.lag}".strip(), 20), (hop.link.source, 36))
    for word, dy in words:
        place = f'x="{x + _GAP / 2:.0f}" y="{middle + dy:.0f}" text-anchor="middle"'
        yield f'<text class="p-soft" {place}>{escape(fit(word, _GAP - 8, 12))}</text>'


def _charts(parts: list[str], report: Report, tz: tzinfo, top: int) -> int:
    shown = report.charts[:_MOST_CHARTS]
    for index, chart in enumerate(shown):
        row, column = divmod(index, 2)
        x, y = _MARGIN + column * (WIDE + 24), top + row * (HIGH + 44)
        parts.append(f'<text class="p-name" x="{x}" y="{y + 14}">{escape(fit(clean(chart.title), WIDE, 15))}</text>')
        parts.append(chart_svg(chart, tz, f"c{index}", (x, y + 22)))
    return top + -(-len(shown) // 2) * (HIGH + 44) + (12 if shown else _MARGIN)

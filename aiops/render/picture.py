"""Parts of pictures: one chart, one small chart, as SVG text. Colours come from `templates/picture.css` by class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from html import escape

from aiops.domain import Chart
from aiops.render.clean import clean, width
from aiops.render.language import listed, say
from aiops.render.readings import readings
from aiops.render.samples import HIGH, PLOT_BOTTOM, PLOT_TOP, WIDE, Samples, extreme, onset, ordinate, plot, samples
from aiops.render.scale import Stretch, TimeAxis, ValueAxis, from_s, time_axis, time_ticks
from aiops.render.values import between, quantity
from aiops.units import Unit, stamp, unit

_LETTER = 0.56  # mean width of a sans-serif letter, of its size


def describe(chart: Chart, tz: tzinfo) -> str:
    """The chart in words, for those who do not see it: where it starts, when it left its band, how far it went."""
    drawn = samples(chart)
    known = [i for i, v in enumerate(drawn.values) if math.isfinite(v)]
    of = {"metric": clean(chart.metric, 120), "node": clean(chart.node, 120)}
    if not known:
        return say("{metric} of {node}: no data in this window.", **of)
    first, last = (stamp(from_s(at), tz) for at in (min(drawn.times), max(drawn.times)))
    words = [say("{metric} of {node} from {first} to {last}", first=first, last=last, **of)]
    for label, at in chart.marks:
        words.append(say("{what} at {when}", what=clean(say(label), 80), when=stamp(from_s(at), tz)))
    far = extreme(drawn, onset(chart))
    if math.isfinite(drawn.upper[-1]) and not math.isfinite(drawn.values[-1]):
        band = between(drawn.lower[-1], drawn.upper[-1], chart.metric)
        words.append(say("at its end {band} is expected", band=band))
    elif far is None:
        words.append(say("it stayed within the expected range"))
    else:
        band, value = (
            between(drawn.lower[far], drawn.upper[far], chart.metric),
            quantity(drawn.values[far], chart.metric),
        )
        words.append(say("at most {value} where {band} was expected", value=value, band=band))
    return "; ".join(words) + "."


def chart_svg(
    chart: Chart, tz: tzinfo, key: str, place: tuple[float, float] | None = None, *, titles: bool = True
) -> str:
    """One series with its band, marks and axes. `key` makes its ids unique; `place` puts it into another picture; `titles` tell
    its values under the pointer.

    Every text in it is escaped, so the result may stand in HTML and XML as it is.
    """
    drawn, across, up = plot(chart)
    scale = unit(chart.metric, max((abs(v) for v in (up.low, up.high)), default=1.0))
    where = f' x="{place[0]:.0f}" y="{place[1]:.0f}" width="{WIDE}" height="{HIGH}"' if place else ""
    return "".join(
        [
            f'<svg class="chart" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-labelledby="{key}-d"{where}>',
            f'<desc id="{key}-d">{escape(describe(chart, tz))}</desc>',
            *_grid(up, scale),
            *_time_labels(across, tz),
            *_shapes(drawn, across, up),
            *_limit_line(chart, up),
            *_mark_lines(chart, across),
            _extreme_label(chart, drawn, across, up),
            *(_hovers(chart, tz) if titles else ()),
            "</svg>",
        ]
    )


def small_svg(chart: Chart, size: tuple[int, int], place: tuple[float, float] | None = None) -> str:
    """A chart without words, for the card of a node; its numbers stand in the large one, so it is hidden from readers."""
    wide, high = size
    drawn = samples(chart)
    across = time_axis(drawn.times, 2.0, wide - 2.0, 5.0)
    up = ordinate(chart, drawn, high - 2.0, 3.0)
    where = f' x="{place[0]:.0f}" y="{place[1]:.0f}" width="{wide}" height="{high}"' if place else ""
    begun = next((across.place(at) for label, at in chart.marks if label == "onset"), None)
    mark = f'<path class="c-onset" d="M{begun:.1f} 0V{high}"/>' if begun is not None else ""
    head = f'<svg class="small" viewBox="0 0 {wide} {high}" preserveAspectRatio="none" aria-hidden="true"{where}>'
    return "".join([head, *_shapes(drawn, across, up), mark, "</svg>"])


def _limit_line(chart: Chart, up: ValueAxis) -> Iterable[str]:
    """The level at which it is full, where the axis reaches it."""
    if chart.limit is None or not up.low <= chart.limit <= up.high:
        return
    y = up.place(chart.limit)
    yield f'<path class="c-limit" d="M8 {y:.1f}H{WIDE - 8}"/>'


def _grid(up: ValueAxis, scale: Unit) -> Iterable[str]:
    for value in up.ticks(scale.factor):
        y = up.place(value)
        yield f'<path class="c-grid" d="M8 {y:.1f}H{WIDE - 8}"/>'
        yield f'<text class="c-tick" x="8" y="{y - 4:.1f}">{escape(scale.say(value))}</text>'


def _time_labels(across: TimeAxis, tz: tzinfo) -> Iterable[str]:
    """Round times under the axis. Where it breaks, each stretch says its date, because the days differ."""
    days = {from_s(s.start).astimezone(tz).date() for s in across.stretches}
    for index, stretch in enumerate(across.stretches):
        share = (stretch.right - stretch.left) / WIDE
        for at, word in time_ticks(stretch, max(1, round(5 * share)), tz):
            x = stretch.place(at)
            anchor = "start" if x < 30 else "end" if x > WIDE - 30 else "middle"
            yield f'<path class="c-grid" d="M{x:.1f} {PLOT_BOTTOM}v4"/>'
            yield f'<text class="c-tick" x="{x:.1f}" y="{PLOT_BOTTOM + 18}" text-anchor="{anchor}">{escape(word)}</text>'
        if len(days) > 1:
            day = from_s(stretch.start).astimezone(tz)
            yield f'<text class="c-tick" x="{stretch.left:.1f}" y="{PLOT_BOTTOM + 29}">{day:%Y-%m-%d}</text>'
        if index:
            x = stretch.left - 11
            yield f'<path class="c-break" d="M{x - 5:.1f} {PLOT_BOTTOM + 5}l4 -10M{x + 1:.1f} {PLOT_BOTTOM + 5}l4 -10"/>'


def _shapes(drawn: Samples, across: TimeAxis, up: ValueAxis) -> Iterable[str]:
    """Band, line, and the line once more where it is outside the band."""
    for stretch in across.stretches:
        indices = range(stretch.first, stretch.last)
        for run in _runs(indices, lambda i: math.isfinite(drawn.lower[i]) and math.isfinite(drawn.upper[i])):
            there = [f"{stretch.place(drawn.times[i]):.1f} {up.place(drawn.upper[i]):.1f}" for i in run]
            back = [f"{stretch.place(drawn.times[i]):.1f} {up.place(drawn.lower[i]):.1f}" for i in reversed(run)]
            yield f'<path class="c-band" d="M{"L".join(there + back)}Z"/>'
        known = [i for i in indices if math.isfinite(drawn.values[i])]
        lines = "".join(
            _polyline(run, stretch, drawn, up) for run in _runs(indices, lambda i: math.isfinite(drawn.values[i]))
        )
        yield f'<path class="c-line" d="{lines}"/>' if lines else ""
        foreseen = "".join(
            _polyline(run, stretch, drawn, up, drawn.mean)
            for run in _runs(indices, lambda i: math.isfinite(drawn.mean[i]))
        )
        yield f'<path class="c-mean" d="{foreseen}"/>' if foreseen else ""
        # A run outside starts at the sample before it, so that a single one is seen leaving.
        out = "".join(
            _polyline(_with_neighbours(run, known), stretch, drawn, up) for run in _runs(indices, drawn.outside)
        )
        yield f'<path class="c-out" d="{out}"/>' if out else ""


def _runs(indices: Sequence[int], holds: Callable[[int], bool]) -> list[list[int]]:
    """Longest stretches of consecutive indices for which `holds(index)`."""
    runs: list[list[int]] = []
    for i in indices:
        if not holds(i):
            continue
        if runs and runs[-1][-1] == i - 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _with_neighbours(run: list[int], known: Sequence[int]) -> list[int]:
    around = set(known)
    return [i for i in (run[0] - 1, *run, run[-1] + 1) if i in around]


def _polyline(run: Sequence[int], stretch: Stretch, drawn: Samples, up: ValueAxis, values: Sequence[float] = ()) -> str:
    values = values or drawn.values
    points = [f"{stretch.place(drawn.times[i]):.1f} {up.place(values[i]):.1f}" for i in run]
    # A line of no length with round ends is a dot: a lone sample between gaps is still seen.
    return "M" + "L".join(points) if len(points) > 1 else f"M{points[0]}h0"


def _mark_lines(chart: Chart, across: TimeAxis) -> Iterable[str]:
    """Labelled moments in two rows above the plot, so that they do not cover each other; the last in the upper row, where a
    label to its left crosses no line of the one before."""
    placed = [(label, x) for label, at in chart.marks if (x := across.place(at)) is not None]
    placed.sort(key=lambda mark: mark[1])
    taken: list[tuple[int, float, float]] = []  # (row, left, right) of each label
    for index, (label, x) in enumerate(placed):
        words = fit(clean(say(label), 80), 0.55 * WIDE, 12)
        row, left, right = _room(
            taken, x, width(words) * _LETTER * 12, (len(placed) - 1 - index) % 2, last=index == len(placed) - 1
        )
        taken.append((row, left, right))
        y, anchor, at = 14 + 16 * row, *(("start", left) if left > x else ("end", right))
        kind = "c-onset" if label == "onset" else "c-mark"
        yield f'<path class="{kind}" d="M{x:.1f} {y - 9}V{PLOT_BOTTOM}"/>'
        yield f'<text class="{kind}-label" x="{at:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _room(
    taken: Sequence[tuple[int, float, float]], x: float, size: float, row: int, *, last: bool
) -> tuple[int, float, float]:
    """(row, left, right) of a label at `x`: the last to the right, the others to the left, so that none crosses another's line,
    unless the edge or a label that is there already is in the way; where both sides are taken, beyond what is there."""
    sides = [(x + 5, x + 5 + size), (x - 5 - size, x - 5)][:: 1 if last else -1]
    sides += [side for _, left, right in taken for side in ((right + 5, right + 5 + size), (left - 5 - size, left - 5))]
    places = [(r, left, right) for left, right in sides if left >= 0 and right <= WIDE for r in (row, 1 - row)]
    free = [p for p in places if all(p[0] != r or p[2] <= left or right <= p[1] for r, left, right in taken)]
    return next(iter([*free, *places]), (row, *sides[0]))


def _extreme_label(chart: Chart, drawn: Samples, across: TimeAxis, up: ValueAxis) -> str:
    far = extreme(drawn, onset(chart))
    if far is None:
        return ""
    stretch = next(s for s in across.stretches if s.first <= far < s.last)
    x, y = stretch.place(drawn.times[far]), up.place(drawn.values[far])
    anchor = "end" if x > 0.8 * WIDE else "start" if x < 0.2 * WIDE else "middle"
    # Away from the band, unless the axis is in the way.
    beyond = y + 18 if drawn.values[far] < drawn.lower[far] and y + 22 < PLOT_BOTTOM else y - 9
    words = escape(quantity(drawn.values[far], chart.metric))
    return (
        f'<circle class="c-dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
        f'<text class="c-value" x="{x:.1f}" y="{beyond:.1f}" text-anchor="{anchor}">{words}</text>'
    )


def _hovers(chart: Chart, tz: tzinfo) -> Iterable[str]:
    """Invisible columns whose titles tell time, value and band under the pointer; no script needed."""
    told = readings(chart, tz)
    size = max((WIDE - 16) / max(len(told), 1), 4.0)
    for one in told:
        words = ": ".join(filter(None, (one.when, listed(one.words()))))
        yield (
            f'<g class="c-hit"><rect x="{one.x - size / 2:.1f}" y="{PLOT_TOP}" width="{size:.1f}" '
            f'height="{PLOT_BOTTOM - PLOT_TOP}"/><circle cx="{one.x:.1f}" cy="{one.y:.1f}" r="3"/>'
            f"<title>{escape(words)}</title></g>"
        )


def fit(text: str, room: float, size: float) -> str:
    """As much of `text` as fits into `room` pixels at a font size, by the mean width of a sans-serif letter."""
    letters = int(room / (_LETTER * size))
    if width(text) <= letters:
        return text
    used, kept = 0, ""
    for char in text:
        used += width(char)
        if used > letters - 1:
            break
        kept += char
    return kept.rstrip() + "…"

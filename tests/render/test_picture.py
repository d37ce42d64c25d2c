"""A chart's marks: however near to each other, no label covers another, and each is inside the picture."""

from __future__ import annotations

import itertools
import re
from datetime import UTC

import pytest

from aiops.domain import Chart
from aiops.render.picture import chart_svg
from aiops.render.samples import WIDE

_LABEL = re.compile(r'<text class="c-\w+-label" x="([\d.]+)" y="(\d+)" text-anchor="(\w+)">([^<]*)</text>')


def labels(*marks: tuple[str, int]) -> list[tuple[int, float, float]]:
    """(y, left, right) of each label of a chart over an hour."""
    times = tuple(range(0, 3600, 60))
    values = tuple(float(t % 7) for t in times)
    chart = Chart("load of a", "a", "load", times, values, values, values, marks, caption="")
    found = _LABEL.findall(chart_svg(chart, UTC, "k"))
    assert len(found) == len(marks)
    spans = []
    for x, y, anchor, words in found:
        size = 0.56 * 12 * len(words)
        left = float(x) if anchor == "start" else float(x) - size
        spans.append((int(y), left, left + size))
    return spans


@pytest.mark.parametrize("begin", [0, 60, 1200, 2400, 3300, 3480])
@pytest.mark.parametrize("apart", [0, 30])
def test_labels_of_near_marks_do_not_cover_each_other(begin: int, apart: int) -> None:
    spans = labels(("now", begin), ("earliest", begin + apart), ("latest", begin + 2 * apart))
    for (y, left, right), (other_y, other_left, other_right) in itertools.combinations(spans, 2):
        assert y != other_y or right <= other_left or other_right <= left
    assert all(left >= 0 and right <= WIDE for _, left, right in spans)

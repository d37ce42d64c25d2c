"""Forecasts as they are shown: the course, the card, and what can't be trusted."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from aiops.domain import Report
from aiops.render import forecast, html, markdown, svg, text
from aiops.render.clean import width


def test_every_form_has_the_card(foreseen: Report) -> None:
    for form in (text.text, markdown.markdown, html.html):
        shown = " ".join(form(foreseen).replace("\\", "").replace("\u2060", "").split())
        for words in (
            "Gaussian process: its 95% band covered 94.2% in 24 forecasts of the past",
            "up to 100%: earliest 2026-03-15 03:00:00 UTC, most likely 2026-03-15 09:00:00 UTC, latest beyond the horizon",
            "336 samples 1 h apart, 3 missing, season of 1 d",
            "only 7 of at least 12 samples: still warming up",
        ):
            assert words in shown, (form, words)
        assert "pip install" in shown


def test_the_text_fits_the_terminal(foreseen: Report) -> None:
    rest = text.text(foreseen, columns=80).splitlines()[3:]
    assert all(width(line) <= 80 for line in rest)


def test_the_picture_of_letters_goes_on_where_the_past_ends(foreseen: Report) -> None:
    rows = [row for _, row in forecast.picture(foreseen.charts[0], foreseen.forecasts[0])]
    assert len({row.index("│") for row in rows}) == 1
    upper, course, lower = (row.split("│")[1] for row in rows)
    assert len(upper) == len(course) == len(lower) == 24
    assert all(high >= middle >= low for high, middle, low in zip(upper, course, lower, strict=True))
    assert course[0] < course[-1]


def test_the_chart_draws_history_band_course_and_limit(foreseen: Report) -> None:
    page = html.html(foreseen)
    drawn = page.split("<figure>")[1].split("</figure>")[0]
    for shape in ("c-line", "c-band", "c-mean", "c-limit"):
        assert f'class="{shape}"' in drawn, shape
    young = page.split("<figure>")[2]
    assert 'class="c-mean"' not in young
    assert "is expected" in drawn
    ET.fromstring(svg.svg(foreseen))


def test_the_page_says_what_it_is(foreseen: Report) -> None:
    page = html.html(foreseen)
    assert re.search(r'class="verdict found">Forecast<', page)
    assert "No runbook" not in page
    assert "took part in the forecast" in page
    assert "linear_trend__attr_&#34;slope&#34;" in page

"""Tables for a spreadsheet: what a spreadsheet reads is what was meant, and no cell of it is a formula."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aiops.domain import Figure
from aiops.render import sheet

from render import sample
from render.hostile import HOSTILE

# What begins a formula in one spreadsheet or another, also in the wide form of East Asian keyboards.
STARTS = tuple("=+-@\t\r") + tuple("＝＋－＠")
ATTACKS = [
    *HOSTILE.values(),
    *(f"{start}1+1" for start in STARTS),
    "\t=1+1",
    " =1+1",
    "\r\n=1+1",
    '";=1+1',
    'a;"=1+1";b',
    "a; -1",
    "\x00=1+1",
]


def cells(page: str) -> list[list[str]]:
    assert page.startswith("\ufeff")
    return list(csv.reader(io.StringIO(page.removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_becomes_a_formula_or_leaves_its_cell(attack: str) -> None:
    page = sheet.sheet(("a", "b"), [(attack, 1.5), ("calm", attack)])
    heads, first, second = cells(page)
    assert heads == ["a", "b"]
    assert (first[1], second[0]) == ("1.5", "calm")
    for cell in (first[0], second[1]):
        assert not cell.startswith(STARTS)
        assert not set(cell) & set("\r\n\t\x00\x1b")
    # A spreadsheet that divides by semicolons finds none either.
    for row in page.split("\r\n"):
        assert not [cell for cell in row.split(";") if cell.strip(" \"'").startswith(STARTS) and "'" not in cell[:3]]


def test_numbers_and_times_are_what_they_are() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    _, row = cells(sheet.sheet("abcdef", [(-1.5, -3, at, None, math.nan, "")]))
    assert row == ["-1.5", "-3", "2026-03-01T00:00:00+00:00", "", "", ""]


def test_a_report_is_the_table_of_its_answer() -> None:
    found, foreseen = sample.found(), sample.foreseen()
    anomalies = cells(sheet.of_report(found))
    assert anomalies[0] == ["service", "metric", "onset", "direction", "value", "band_low", "band_high", "score"]
    assert len(anomalies) == 1 + len(found.anomalies)
    forecasts = cells(sheet.of_report(foreseen))
    assert len(forecasts) == 1 + sum(len(f.mean) for f in foreseen.forecasts)
    asked = replace(found, figures=(Figure("cart", "=cpu", series=2, last=-0.5, abnormal=False),))
    heads, row = cells(sheet.of_report(asked))
    told = dict(zip(heads, row, strict=True))
    assert (told["metric"], told["last"], told["abnormal"], told["fulfils"]) == ("'=cpu", "-0.5", "no", "")

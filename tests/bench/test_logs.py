"""The rows about logs in `bench speed`."""

from __future__ import annotations

from aiops.bench import logs
from aiops.kernels.templates import TemplateMiner


def test_the_lines_are_reproducible_and_of_few_templates() -> None:
    lines = logs.stream(2000)
    assert lines == logs.stream(2000)
    miner = TemplateMiner()
    miner.fit(lines)
    assert len(set(lines)) == 2000
    assert len(miner.templates) == 84  # two forms with 40 code positions each, and four


def test_the_row_has_a_reference_only_where_one_ran() -> None:
    (row,) = logs.figures(lines=100, rounds=1)
    assert row.unit == "lines/s"
    assert (row.reference is None) == (row.reference_name == "")
    assert row.least <= row.value <= row.most

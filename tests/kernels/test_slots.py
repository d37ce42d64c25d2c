"""Samples onto the grid: what a slot takes, and that no pull boundary shows in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain import NS
from aiops.kernels import slots

STEP, TOLERANCE = 30, 7
NAN = np.nan


def placed(
    samples: list[tuple[float, float]], grid: list[int], *, counter: bool = False, cuts: tuple[int, ...] = ()
) -> list[float]:
    """The slots of one series, read whole or in pulls that end at `cuts`; a pull sees one step before and the tolerance after."""
    out = np.full((1, len(grid)), NAN)
    at, raw, filled = np.array([-(10**18)]), np.array([NAN]), np.zeros(1, np.uint32)
    for first, last in zip((0, *cuts), (*cuts, len(grid)), strict=True):
        if first < last:
            seen = [s for s in samples if grid[first] - STEP < s[0] <= grid[last - 1] + TOLERANCE]
            times = np.array([round(t * NS) for t, _ in seen], np.int64)
            values = np.array([v for _, v in seen], np.float64)
            part = np.full((1, last - first), NAN)
            slots.place(
                np.array([0, len(seen)]),
                times,
                values,
                np.array([0]),
                np.array([0]),
                np.array([counter]),
                at,
                raw,
                filled,
                np.array(grid[first:last]),
                STEP * NS,
                TOLERANCE * NS,
                part,
            )
            out[:, first:last] = part
    return out[0].tolist()


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([(5, 1.0), (35, 2.0), (65, 3.0)], [1.0, 2.0, 3.0]),  # one a slot
        ([(5, 1.0), (20, 1.5), (35, 2.0), (50, 2.5)], [1.5, 2.5, NAN]),  # the last of several
        ([(5, 1.0), (65, 3.0)], [1.0, NAN, 3.0]),  # a missing scrape
        ([(30.002, 1.0), (59.998, 2.0), (90.001, 3.0)], [NAN, 2.0, 3.0]),  # a scrape that trembles around the grid
        ([(5, 1.0), (35, NAN), (65, 3.0)], [1.0, NAN, 3.0]),  # a stale marker
        ([(5, 1.0), (35, np.inf), (65, 3.0)], [1.0, NAN, 3.0]),
        ([(29.999, 1.0), (60.002, 2.0), (90.001, 3.0)], [1.0, 2.0, 3.0]),
        ([(5, 1.0), (25, NAN)], [1.0, NAN, NAN]),  # it went stale within the slot that it has a sample in
        ([], [NAN, NAN, NAN]),
    ],
)
def test_what_a_slot_takes(samples: list[tuple[float, float]], told: list[float]) -> None:
    np.testing.assert_array_equal(placed(samples, [30, 60, 90]), told)


def test_a_slot_is_never_filled_twice() -> None:
    at, raw, filled = np.array([-(10**18)]), np.array([NAN]), np.zeros(1, np.uint32)
    told = []
    # The second sample of the first slot comes late, when the slot has gone by with the first one.
    for seen in ([10], [10, 20, 40]):
        part = np.full((1, 2), NAN)
        times = np.array(seen) * NS
        columns = np.array([0]), np.array([0]), np.array([False]), at, raw, filled
        grid = np.array([30, 60])
        slots.place(np.array([0, len(seen)]), times, times / NS, *columns, grid, STEP * NS, TOLERANCE * NS, part)
        told.append(part[0].tolist())
    np.testing.assert_array_equal(told, [[10, NAN], [NAN, 40]])


def test_a_counter_is_the_increase_between_the_times_at_which_it_was_sampled() -> None:
    # A scrape every 20 s on a step of 30 s: 5 a second throughout, though slots lie 20 and 40 s apart. Then it restarts.
    samples = [(t, 5.0 * t) for t in range(0, 91, 20)] + [(100, 50.0), (120, 150.0)]
    told = placed(samples, [30, 60, 90, 120], counter=True)
    np.testing.assert_allclose(told, [NAN, 5.0, 5.0, 150.0 / 40])


@given(
    st.lists(st.tuples(st.integers(1, 300_000), st.sampled_from([1.0, 2.5, -3.0, NAN, np.inf])), max_size=40),
    st.sets(st.integers(1, 9), max_size=5),
    st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_pulls_give_what_one_read_gives(samples: list[tuple[int, float]], cuts: set[int], counter: bool) -> None:
    ordered = sorted(dict(samples).items())
    seconds = [(ms / 1000, value) for ms, value in ordered]
    grid = list(range(30, 301, 30))
    whole = placed(seconds, grid, counter=counter)
    np.testing.assert_array_equal(placed(seconds, grid, counter=counter, cuts=tuple(sorted(cuts))), whole)

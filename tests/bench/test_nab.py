"""The NAB score against values that are known: perfect, silent, and a file worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiops.bench import nab
from aiops.domain import FloatArray

ROWS = 40  # 15 % = 6 rows of probation
WINDOW = (20, 24)


def detections(*rows: int) -> FloatArray:
    scores = np.zeros(ROWS)
    scores[list(rows)] = 1.0
    return scores


def sigma(y: float) -> float:
    return 2 / (1 + math.exp(5 * y)) - 1


def score(*rows: int) -> float:
    return nab.fixed([(detections(*rows), [WINDOW])]).value


def test_silence_is_zero_and_the_first_row_of_each_window_is_a_hundred() -> None:
    files = [(detections(), [WINDOW]), (detections(), [])]
    assert nab.fixed(files).value == 0
    assert nab.optimised(files) == nab.Score(0.0, math.inf)
    assert nab.fixed([(detections(20), [WINDOW]), (detections(), [])]).value == pytest.approx(100)


@pytest.mark.parametrize("row", range(20, 25))
def test_inside_a_window_the_earliest_detection_counts_by_its_place(row: int) -> None:
    worth = sigma(-(24 - row + 1) / 5) / sigma(-1)
    assert score(row) == pytest.approx(50 * (worth + 1))
    assert score(row, 24) == pytest.approx(50 * (worth + 1))


def test_a_file_worked_by_hand() -> None:
    # One row before any window: .11. Rows 26 and 34 after it: 2 and 10 rows past its end, over width - 1 = 4.
    early, near, far = 0.11, 0.11 * sigma(2 / 4), 0.11 * sigma(10 / 4)
    inside = sigma(-2 / 5) / sigma(-1)  # row 23 is the last but one of five
    assert inside == pytest.approx(0.771927, abs=1e-6)
    assert score(10, 23, 26, 34) == pytest.approx(50 * (inside + 1 - early + near + far))


def test_far_behind_a_window_a_false_alarm_costs_the_full_price() -> None:
    assert nab.sigma(3.01) == -1
    assert score(37) == pytest.approx(50 * 0.11 * nab.sigma(13 / 4))


def test_probation_counts_nothing_and_is_capped() -> None:
    assert score(0, 3, 5) == 0
    assert score(6) < 0
    long = np.zeros(20_000)
    long[749] = 1
    assert nab.fixed([(long, [(15_000, 15_100)])]).value == 0
    long[750] = 1
    assert nab.fixed([(long, [(15_000, 15_100)])]).value == pytest.approx(-50 * 0.11)


def test_the_best_threshold_is_found_over_all_files_together() -> None:
    first, second = detections(), detections()
    first[20], first[8], second[9] = 0.9, 0.4, 0.8
    best = nab.optimised([(first, [WINDOW]), (second, [])])
    assert best.value == pytest.approx(100)
    assert best.threshold == 0.9


def test_equal_scores_stand_or_fall_together() -> None:
    scores = np.full(ROWS, 0.5)
    best = nab.optimised([(scores, [WINDOW])])
    outside = [k for k in range(6, ROWS) if not 20 <= k <= 24]
    assert best.value == pytest.approx(max(0.0, score(20, *outside)))


def test_two_windows_each_count() -> None:
    windows = [(10, 14), (25, 29)]
    assert nab.fixed([(detections(10, 25), windows)]).value == pytest.approx(100)
    assert nab.fixed([(detections(10), windows)]).value == pytest.approx(50)

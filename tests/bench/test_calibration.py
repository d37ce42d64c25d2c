"""The refit of the score: known coefficients come back, and the error of a calibrated predictor is small."""

from __future__ import annotations

import numpy as np
import pytest

from aiops.bench.calibration import Point, error, fit, left_out, predict, table


def drawn(beta: tuple[float, float, float], n: int, seed: int, dataset: str = "a", part: str = "whole") -> list[Point]:
    rng = np.random.default_rng(seed)
    logs, shares = rng.normal(-0.5, 1.0, n), rng.uniform(0.2, 1.0, n)
    p = 1.0 / (1.0 + np.exp(-(beta[0] + beta[1] * logs + beta[2] * shares)))
    return [
        Point(dataset, part, float(a), float(b), bool(y))
        for a, b, y in zip(logs, shares, rng.random(n) < p, strict=True)
    ]


def test_known_coefficients_come_back() -> None:
    assert fit(drawn((0.5, 1.5, 2.0), 20_000, 3)) == pytest.approx([0.5, 1.5, 2.0], abs=0.15)


def test_quiet_windows_weigh_a_tenth_together_however_many_there_are() -> None:
    incidents = drawn((0.5, 1.5, 2.0), 500, 3)
    quiet = [Point("a", "quiet", -3.0, 0.5, right=False)]
    assert fit(incidents + quiet * 10) == pytest.approx(fit(incidents + quiet * 1000), abs=1e-6)


def test_the_error_by_hand() -> None:
    right, wrong = Point("a", "whole", 0, 1, right=True), Point("a", "whole", 0, 1, right=False)
    # Of two at .9 one is right: .4 off; two at .1 are wrong: .1 off.
    assert error([(right, 0.9), (wrong, 0.9), (wrong, 0.1), (wrong, 0.1)]) == pytest.approx((2 * 0.4 + 2 * 0.1) / 4)


def test_a_data_set_is_judged_by_the_others_alone() -> None:
    a, b = drawn((0.5, 1.5, 2.0), 200, 1, "a"), drawn((-2.0, 1.0, 1.0), 200, 2, "b")
    judged = left_out([*a, *b])
    assert [s for p, s in judged if p.dataset == "a"] == pytest.approx(predict(fit(b), a).tolist())
    assert "each data set left out" in table([*a, *b])

"""`bench speed` tells each figure with its reference; how fast is for people to read, not for a test."""

from __future__ import annotations

import json

import numpy as np
import pytest

from aiops.bench import speed


def test_the_fleet_is_distinct_and_reproducible() -> None:
    _, one = speed.fleet(50, 90)
    _, two = speed.fleet(50, 90)
    np.testing.assert_array_equal(one, two)
    assert len(np.unique(one, axis=0)) == 50


@pytest.mark.filterwarnings("ignore")  # the libraries of the reference warn of each other
def test_each_figure_is_told_with_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "MANY", 1000)
    monkeypatch.setattr(speed, "LARGE", 100)
    pytest.importorskip("tsfresh")
    pytest.importorskip("statsmodels")
    text, code = speed.run(as_json=True, series=16, ticks=2, rounds=1)
    figures = {one["name"]: one for one in json.loads(text)["figures"]}
    assert code == 0
    assert figures["forecast + band + 12 features"]["reference_name"] == "statsmodels ETS + tsfresh"
    assert figures["forecast + band + 12 features"]["ratio"] > 0
    assert figures["state, first tier"]["value"] <= 2000
    assert figures["state of 1,000 series"]["value"] <= 2_000_000
    assert figures["tick of 100 series"]["value"] > 0

from __future__ import annotations

import pytest

from aiops.domain import Report

from render import sample


@pytest.fixture
def found() -> Report:
    return sample.found()


@pytest.fixture
def inconclusive() -> Report:
    return sample.inconclusive()


@pytest.fixture
def foreseen() -> Report:
    return sample.foreseen()


@pytest.fixture(params=["found", "foreseen"])
def rich(request: pytest.FixtureRequest) -> Report:
    """Each report that has something to show."""
    report: Report = request.getfixturevalue(request.param)
    return report

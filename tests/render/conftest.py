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

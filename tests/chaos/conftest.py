"""Fixtures of the chaos tests, and their size: small in `make test`, full in `make soak`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chaos.harness import Nursery


@pytest.fixture(scope="session")
def soaking(pytestconfig: pytest.Config) -> bool:
    return bool(pytestconfig.getoption("soak"))


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()

"""One house for all tests of chats; each has alerts and questions of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service.chat.house import House


@pytest.fixture(scope="session")
def house(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("chats"), demo_case)
    try:
        yield made
    finally:
        made.close()

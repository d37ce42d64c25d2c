"""What every ChangeSource must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.adapters.sqlite import ChangeDB
from aiops.domain import Change, Scope, TimeRange
from aiops.errors import StoreError
from aiops.ports import ChangeSource

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANYWHERE = Scope(NOON, TimeRange(NOON - HOUR, NOON), TimeRange(NOON, NOON + HOUR))
AT_CART = Scope(NOON, ANYWHERE.baseline, ANYWHERE.incident, nodes=("cart", "orders"))


@pytest.fixture(params=["sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], ChangeSource]]:
    """Opens the same, at first empty, source as often as it is called."""
    sources: list[ChangeSource] = []

    def open_it() -> ChangeSource:
        sources.append(ChangeDB(tmp_path / "changes.db"))
        return sources[-1]

    yield open_it
    for source in sources:
        source.close()


@pytest.fixture
def changes(opened: Callable[[], ChangeSource]) -> ChangeSource:
    return opened()


def change(node: str = "cart", at: datetime = NOON, **more: str) -> Change:
    return Change(node, at, more.get("kind", "deployment"), more.get("summary", "v2"), more.get("link", ""))


def test_empty(changes: ChangeSource):
    assert changes.read(ANYWHERE, 5) == ()


def test_what_was_added_comes_back_oldest_first(opened: Callable[[], ChangeSource]):
    late, early = change(link="https://ci.example/2"), change("orders", NOON - HOUR, summary="'; DROP TABLE changes --")
    source = opened()
    source.add(late)
    source.add(early)
    assert source.read(ANYWHERE, 5) == (early, late)
    source.close()
    assert opened().read(AT_CART, 5) == (early, late)


def test_the_same_change_again_changes_nothing(changes: ChangeSource):
    changes.add(change())
    changes.add(change())
    assert changes.read(ANYWHERE, 5) == (change(),)
    changes.add(change(kind="flag"))
    assert len(changes.read(ANYWHERE, 5)) == 2


def test_only_from_the_start_of_the_baseline_to_the_end_of_the_incident(changes: ChangeSource):
    moments = [NOON - HOUR - timedelta(milliseconds=1), NOON - HOUR, NOON, NOON + HOUR - timedelta(milliseconds=1)]
    for at in [*moments, NOON + HOUR]:
        changes.add(change(at=at))
    assert [c.at for c in changes.read(ANYWHERE, 5)] == moments[1:]


def test_only_at_the_nodes_of_the_scope(changes: ChangeSource):
    for node in ("cart", 'car"t', "", "payment", "orders"):
        changes.add(change(node))
    assert {c.node for c in changes.read(AT_CART, 5)} == {"cart", "orders"}
    assert len(changes.read(ANYWHERE, 5)) == 5


def test_old_ones_are_purged(changes: ChangeSource):
    changes.add(change(at=NOON - HOUR))
    changes.add(change())
    assert changes.purge(NOON) == 1
    assert changes.read(ANYWHERE, 5) == (change(),)


def test_ping_names_what_answers(changes: ChangeSource):
    assert changes.ping(5)


def test_closed_twice_and_never_used_again(changes: ChangeSource):
    changes.close()
    changes.close()
    with pytest.raises(StoreError):
        changes.add(change())

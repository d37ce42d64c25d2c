"""Shards: each series belongs to one of them, is watched there as it would be in one watch of all, and moves with its state."""

from __future__ import annotations

import itertools
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flows.system import end, fleet, known, noise, run, scraped, watch

from aiops.domain import Samples
from aiops.errors import ConfigError, Refused
from aiops.flows.watch import Plan, saved, state_file

COUNT = 40
SHARDS = 3


@pytest.fixture(scope="module")
def whole() -> dict[tuple[int, int], list[object]]:
    source = fleet(COUNT)
    return dict(known(run(source, watch(source, 10), 10, 30)))


def test_each_series_is_watched_once_and_as_in_one_watch(whole: dict[tuple[int, int], list[object]]) -> None:
    parts = []
    for number in range(1, SHARDS + 1):
        source = fleet(COUNT)
        parts.append(known(run(source, watch(source, 10, shard=(number, SHARDS)), 10, 30)))
    assert sum(map(len, parts)) == len(whole)
    assert all(len(part) >= COUNT // SHARDS // 3 for part in parts)
    for key, columns in itertools.chain.from_iterable(part.items() for part in parts):
        for ours, theirs in zip(columns, whole[key], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_by_a_label_each_shard_reads_its_own_series_alone(whole: dict[tuple[int, int], list[object]]) -> None:
    parts = []
    for number in range(1, SHARDS + 1):
        source = fleet(COUNT)
        source.add({"__name__": "alone"}, scraped(3, 90, noise(3)))  # without the label: of one shard, too
        told: set[str] = set()
        read = source.samples

        def noted(*args: Any, read: Any = read, told: set[str] = told) -> Samples:
            found: Samples = read(*args)
            told.update(labels.get("instance", "") for labels in found.labels)
            return found

        source.samples = noted  # type: ignore[method-assign]
        watched = watch(source, 10, shard=(number, SHARDS), shard_by="instance")
        run(source, watched, 10, 30)
        assert all(watched.plan.has(value) for value in told)
        parts.append(known(watched))
        assert len(parts[-1]) >= COUNT // SHARDS // 3
    assert sum(map(len, parts)) == len(whole) + 1
    for key, columns in itertools.chain.from_iterable(part.items() for part in parts):
        for ours, theirs in zip(columns, whole.get(key, columns), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_shard_that_has_nothing_to_read_goes_on(tmp_path: Path) -> None:
    source = fleet(1)
    (only,) = {labels["instance"] for labels, _ in source.series.values()}
    plans = [Plan(shard=(number, 7), shard_by="instance") for number in range(1, 8)]
    idle = next(plan for plan in plans if not plan.has(only) and not plan.has(""))
    watched = run(source, watch(source, 10, shard=idle.shard, shard_by="instance"), 10, 20)
    assert watched.ready
    assert watched.tally.errors == {"metrics": 0, "state": 0}
    assert not known(watched)
    assert not source.asked
    watched.save(end(20))


@pytest.mark.parametrize("label", ["a-b", "1a", 'x="', "a b"])
def test_a_label_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(ConfigError, match=r"watch\.shard_by"):
        Plan(shard=(1, 2), shard_by=label)


def test_a_shard_moves_with_its_state(tmp_path: Path, whole: dict[tuple[int, int], list[object]]) -> None:
    shard = (2, SHARDS)
    there, here = tmp_path / "there", tmp_path / "here"
    file = state_file(there, Plan(shard=shard))
    assert file.name == "watch-2-of-3.npz"
    there.mkdir()
    here.mkdir()
    source = fleet(COUNT)
    first = run(source, watch(source, 10, file, shard=shard), 10, 20)
    first.save(end(20))
    shutil.move(file, here)
    second = run(source, watch(source, 20, here / file.name, shard=shard), 20, 30)
    assert second.tally.errors == {"metrics": 0, "state": 0}
    assert second.tally.gaps == 0
    moved = known(second)
    assert moved
    for key, columns in moved.items():
        for ours, theirs in zip(columns, whole[key], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_state_of_another_shard_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, file = fleet(), tmp_path / "watch.npz"
    watch(source, 10, file, shard=(1, 2)).save(end(10))
    with caplog.at_level(logging.ERROR):
        taken = watch(source, 10, file, shard=(2, 2))
    assert "another selection: shard [1, 2], not [2, 2]" in caplog.text
    assert not known(taken)
    assert (tmp_path / "watch.npz.aside-1").exists()


def test_a_home_has_one_watch_of_each_shard(tmp_path: Path) -> None:
    names = [Plan(shard=(number, 2)).name for number in (1, 2)]
    with saved.locked(tmp_path, names[0]), saved.locked(tmp_path, names[1]):
        another = saved.locked(tmp_path, names[0])
        with pytest.raises(Refused):
            another.__enter__()


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (-1, 1)])
def test_a_shard_that_is_none_is_refused(shard: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"watch\.shard"):
        Plan(shard=shard)

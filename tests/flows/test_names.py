"""Which labels are compressed is read off their values; the names and numbers of a real fleet stay as they are."""

from __future__ import annotations

import random
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest

from aiops.domain import Labels
from aiops.flows.watch.names import K, Names, Sketch

DAY = 86_400
RNG = random.Random(7)


def word() -> str:
    return "-".join("".join(RNG.choice("aeioukstnrlm") for _ in range(RNG.randrange(3, 9))) for _ in range(2))


def hexed(n: int) -> str:
    return "".join(RNG.choice("0123456789abcdef") for _ in range(n))


def pod() -> str:
    return f"{RNG.choice(['web', 'cart', 'api'])}-{hexed(10)}-{''.join(RNG.choice('bcdfghjklmnpqrstvwxz2456789') for _ in range(5))}"


def series(count: int, **labels: Callable[[int], str]) -> list[Labels]:
    """`count` things with three metrics each."""
    things = [{name: value(i) for name, value in labels.items()} for i in range(count)]
    return [{"__name__": metric, **thing} for thing in things for metric in ("up", "load", "seen_total")]


def learnt(found: list[Labels], now_s: int = DAY, names: Names | None = None) -> Names:
    names = names or Names()
    for labels in found:
        names.learn(labels)
    names.judge(now_s)
    return names


CHANCE = {
    "uuid": lambda _: str(uuid.UUID(int=RNG.getrandbits(128), version=4)),
    "trace": lambda _: hexed(32),
    "pod": lambda _: pod(),
    "path": lambda _: f"/users/{RNG.randrange(10**9)}/orders/{RNG.randrange(10**9)}",
    "token": lambda _: f"sess_{hexed(16)}",
}
PLAIN = {
    "host": lambda i: f"host-{i:04d}",
    "node": lambda i: f"node{i}",
    "address": lambda i: f"10.0.{i // 250}.{i % 250 + 1}:9100",
    "partition": str,
    "le": lambda i: f"{i / 100}",
    "service": lambda _: word(),
    "version": lambda _: f"{word()}-v{RNG.randrange(40)}",
    "cloud": lambda i: f"ip-10-0-{i // 250}-{i % 250}.eu-west-1.compute.internal",
    "shard": lambda i: f"shard-{i % 40}",
}


@pytest.mark.parametrize("kind", CHANCE)
@pytest.mark.parametrize("count", [150, 3000])
def test_ids_and_hashes_are_compressed(kind: str, count: int) -> None:
    names = learnt(series(count, x=CHANCE[kind], job=lambda _: "a"))
    assert names.compressed == ("x",)
    told = {names.text(labels) for labels in series(count, x=CHANCE[kind], job=lambda _: "a")}
    assert len(told) <= 3 * 64


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("count", [150, 3000])
def test_numbered_things_are_not(kind: str, count: int) -> None:
    assert learnt(series(count, x=PLAIN[kind])).compressed == ()


def test_few_values_are_never_compressed() -> None:
    assert learnt(series(99, x=CHANCE["uuid"])).compressed == ()


def test_what_several_series_of_a_metric_share_is_not_until_it_keeps_coming() -> None:
    names = [pod() for _ in range(150)]
    found = [{"__name__": "http", "pod": name, "code": code} for name in names for code in ("200", "404", "500")]
    assert learnt(found).compressed == ()


def test_what_keeps_coming_is_compressed_whatever_it_looks_like() -> None:
    names = learnt(series(200, x=lambda i: f"job-{i:05d}"))
    assert names.compressed == ()
    learnt(series(210, x=lambda i: f"job-{i:05d}"), 2 * DAY, names)
    assert names.compressed == ()
    learnt(series(500, x=lambda i: f"job-{i:05d}"), 2 * DAY + 3600, names)
    assert names.compressed == ("x",)
    assert "times as many as when the day began" in str(names.report()[0]["why"])


def test_a_fleet_that_grows_slowly_is_not() -> None:
    names = Names()
    for day in range(1, 9):
        learnt(series(200 + 50 * day, x=lambda i: f"host-{i:05d}"), day * DAY, names)
    assert names.compressed == ()


def test_compressed_once_is_compressed_for_good_and_after_a_restart() -> None:
    names = learnt(series(150, x=CHANCE["uuid"]))
    version = names.version
    learnt([{"__name__": "up", "x": "a"}] * 5000, 5 * DAY, names)
    assert (names.compressed, names.version) == (("x",), version)
    again = Names()
    again.take(names.kept())
    assert again.report() == names.report()
    assert again.text({"__name__": "up", "x": "a"}) == names.text({"__name__": "up", "x": "a"})


def test_the_order_of_arrival_does_not_matter() -> None:
    found = series(1500, x=CHANCE["pod"], host=PLAIN["host"])
    assert learnt(found).report() == learnt(found[::-1]).report()


def test_a_bucket_is_the_same_everywhere() -> None:
    code = "from aiops.flows.watch.names import Names; print(Names().bucket('a-7f9c'), Names(buckets=7).bucket('ü'))"
    told = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert told == {f"{Names().bucket('a-7f9c')} {Names(buckets=7).bucket('ü')}\n"}


@pytest.mark.parametrize("count", [10, K - 1, K, 5 * K, 100 * K])
def test_distinct_values_are_counted(count: int) -> None:
    sketch = Sketch()
    for i in [*range(count), *range(0, count, 2)]:
        sketch.add(f"v{i}")
    assert abs(sketch.count / count - 1) <= (0 if count < K else 0.08)

"""`kill -9` while alerts come in and diagnoses run: what was accepted is diagnosed, once, and the files stay sound."""

from __future__ import annotations

import random
import signal
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos.harness import ENDED, Helper, House, Nursery, alert, notification, sending, until
from contracts.queues import open_queue

from aiops import recording
from aiops.adapters.sqlite import QueueDB, StoreDB

import servers
from conftest import needed

SMALL, FULL = 5, 200  # kills, for each queue and crew
MOST_WAITING = 20  # jobs; else a machine that is slow would diagnose for an hour after the last kill
START_S = 5.0
APART = "[episodes]\ndebounce_s = 0.2\nhops = 0\nper_minute = 100000\n"  # each alert is an episode


@pytest.fixture(params=["sqlite", "redis"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty queue."""
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'queue.db'}"
        return
    with needed(), servers.redis(tmp_path / "redis") as server:
        yield server.url


@pytest.mark.soak
@pytest.mark.parametrize("helpers", [0, 2], ids=["worker inside", "workers apart"])
def test_kills_lose_nothing_and_repeat_nothing(
    nursery: Nursery, demo_case: Path, tmp_path: Path, queue: str, helpers: int, soaking: bool
) -> None:
    draw = random.Random(11)
    files = recording.open_files(demo_case)
    at = (recording.symptom_of(recording.read_case(files), "demo").at or datetime.now(UTC)).isoformat()
    kills = FULL if soaking else SMALL
    inside = "" if not helpers else "worker = false\n"
    settings = f"[service]\nattempts = 1000\n{inside}{APART}"
    house = House(nursery, tmp_path / "home", demo_case, "--queue", queue, settings=settings)
    crew = [
        Helper(nursery, tmp_path / f"helper-{i}", demo_case, queue, settings="[service]\nattempts = 1000\n")
        for i in range(helpers)
    ]
    starts, waiting = [house.start()], open_queue(queue)
    for helper in crew:
        helper.start()
    done = False

    def bodies(first: int) -> Iterator[bytes]:
        """One alert every now and then, half of them sent once more; until the last kill."""
        number = first
        while not done:
            until(lambda: done or waiting.depth() < MOST_WAITING, "nothing is diagnosed", every_s=0.2)
            body = notification(f"group-{number}", [alert(number, at, f"service-{number}")])
            yield body
            if number % 2:
                yield body
            number += 2
            time.sleep(draw.uniform(0.3, 1.2))

    with sending(house, [bodies(0), bodies(1)]) as senders:
        for _ in range(kills):
            time.sleep(draw.uniform(0.05, 2.5))
            victim = draw.choice([house, *crew])
            victim.end(signal.SIGKILL)
            if isinstance(victim, House):
                starts.append(victim.start())
            else:
                victim.start()
        done = True
    told = {d["id"]: d["fingerprints"] for sender in senders for r in sender.receipts for d in r["diagnoses"]}
    accepted = {number for fingerprints in told.values() for number in fingerprints}
    assert len(told) == len(accepted) > 0  # one alert a group: each is an episode, whatever was sent how often

    def ended() -> bool:
        return all(house.ask("GET", f"/v1/diagnoses/{i}")[1]["status"] in ENDED for i in told)

    until(ended, "the diagnoses do not end", 3600.0, every_s=0.5)
    waiting.close()
    stand = [house.ask("GET", f"/v1/diagnoses/{i}")[1] for i in told]
    assert [d for d in stand if d["status"] not in {"done", "inconclusive"}] == []
    for helper in crew:
        helper.end()
    house.end()
    check(tmp_path, queue, sorted(told))
    usual = statistics.median(starts)
    print(f"{kills} kills, {len(told)} diagnoses, {len(starts)} starts: {usual:.1f} s, {max(starts):.1f} s at most")
    assert not soaking or max(starts) <= START_S


def check(folder: Path, queue: str, told: list[str]) -> None:
    """The files are sound, there is one report for each diagnosis and no other, and nothing is left in the queue."""
    store = StoreDB(folder / "home" / "store.db")
    assert store.check() == ""
    assert sorted(row["id"] for row in store.reports(10_000)) == told
    store.close()
    if queue.startswith("sqlite:"):
        left = open_queue(queue)
        assert isinstance(left, QueueDB)
        assert left.check() == ""
    else:
        left = open_queue(queue)
    assert left.depth() == 0
    assert left.delivered() == ()
    left.close()

"""A storm of alerts with repetitions: nothing accepted is lost, every repetition is counted, memory stays bounded."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.harness import House, Nursery, sending, storm

SMALL, FULL = 10_000, 1_000_000
MEMORY_MIB = 512


class Shared:
    """Hands the storm out to several senders."""

    def __init__(self, bodies: Iterator[tuple[bytes, int]]) -> None:
        self._bodies, self._lock = bodies, threading.Lock()
        self.repetitions = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            with self._lock:
                found = next(self._bodies, None)
                if found is None:
                    return
                self.repetitions += found[1]
            yield found[0]


@pytest.mark.soak
def test_a_storm_is_counted_exactly(nursery: Nursery, demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    unique = FULL if soaking else SMALL
    house = House(nursery, tmp_path / "home", demo_case, settings="[service]\nqueue_limit = 1000000\n")
    house.start()
    shared = Shared(storm(unique, 0.05, 200, groups=4, seed=7))
    with sending(house, [shared] * 4) as senders:
        pass
    receipts = [receipt for sender in senders for receipt in sender.receipts]
    assert shared.repetitions > unique * 0.03
    assert sum(r["accepted"] for r in receipts) == unique
    assert sum(r["duplicates"] for r in receipts) == shared.repetitions
    assert sum(r["suppressed"] for r in receipts) == 0
    peak = house.peak_mib()
    house.end()
    print(f"{unique} alerts, {shared.repetitions} repetitions, {peak:.0f} MiB")
    assert peak <= MEMORY_MIB

    # What the receipts promised is on the disk: each alert recorded once, and in exactly one job.
    with sqlite3.connect(tmp_path / "home" / "store.db") as store:
        ((recorded, without),) = store.execute("SELECT count(*), sum(diagnosis = '') FROM notifications")
    assert (recorded, without) == (unique, 0)
    seen = bytearray(unique)
    with sqlite3.connect(tmp_path / "home" / "queue.db") as queue:
        for (task,) in queue.execute("SELECT task FROM jobs"):
            for told in json.loads(task)["inputs"]["alerts"]:
                seen[int(told["fingerprint"], 16)] += 1
    assert seen == b"\x01" * unique

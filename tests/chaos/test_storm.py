"""A storm of alerts with repetitions: nothing accepted is lost, every repetition is counted, memory stays bounded, and of each
episode in it one diagnosis is made, no more of them a minute than may."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos.harness import House, Nursery, sending, storm, until

from aiops import recording

SMALL, FULL = 100_000, 1_000_000
MEMORY_MIB, LIMIT_MIB = 512, 768
GROUPS, PER_MINUTE = 12, 3
NOW = datetime.now(UTC)


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


@contextlib.contextmanager
def limited(pid: int) -> Iterator[bool]:
    """A process that is killed beyond `LIMIT_MIB`, where control groups can be made (version 2 or 1): whether it is."""
    bases = {Path("/sys/fs/cgroup"): "memory.max", Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes"}
    for base, limit in bases.items():
        if group := _group(base, limit, pid):
            yield True
            if Path(f"/proc/{pid}").exists():
                (base / "cgroup.procs").write_text(str(pid))
            group.rmdir()
            return
    yield False


def _group(base: Path, limit: str, pid: int) -> Path | None:
    group = base / f"aiops-storm-{pid}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        for file, text in ((limit, str(LIMIT_MIB * 2**20)), ("cgroup.procs", str(pid))):
            (group / file).open("r+").close()  # made by the kernel, not by us
            (group / file).write_text(text)
    except OSError:
        group.rmdir()
        return None
    return group


@pytest.mark.soak
def test_a_storm_is_counted_exactly(nursery: Nursery, demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    unique = FULL if soaking else SMALL
    at = (recording.symptom_of(recording.read_case(recording.open_files(demo_case)), "demo").at or NOW).isoformat()
    settings = f"[episodes]\nper_minute = {PER_MINUTE}\nhops = 0\n"
    house = House(nursery, tmp_path / "home", demo_case, settings=settings)
    house.start()
    shared = Shared(storm(unique, 0.05, 200, groups=GROUPS, seed=7, at=at))
    began = time.monotonic()
    with limited(house.pid) as held, sending(house, [shared] * 4) as senders:
        pass
    took = time.monotonic() - began
    receipts = [receipt for sender in senders for receipt in sender.receipts]
    assert shared.repetitions > unique * 0.03
    assert sum(r["accepted"] for r in receipts) == unique
    assert sum(r["duplicates"] for r in receipts) == shared.repetitions
    assert sum(r["suppressed"] for r in receipts) == 0
    told = {d["id"] for r in receipts for d in r["diagnoses"]}
    ended = {"done", "inconclusive"}
    until(lambda: any(house.ask("GET", f"/v1/diagnoses/{i}")[1]["status"] in ended for i in told), "none is diagnosed")
    assert {house.ask("GET", f"/v1/diagnoses/{i}")[0] for i in told} == {200}
    peak = house.peak_mib()
    house.end()
    print(
        f"{unique} alerts, {shared.repetitions} repetitions, {took:.0f} s, {peak:.0f} MiB of {LIMIT_MIB if held else 'any'}"
    )
    assert peak <= MEMORY_MIB

    # What the receipts promised is on the disk: each alert recorded once, and in exactly one episode, all of which stand.
    with sqlite3.connect(tmp_path / "home" / "store.db") as store:
        ((recorded,),) = store.execute("SELECT count(*) FROM notifications")
        counted = dict(store.execute("SELECT episode, count(*) FROM notifications GROUP BY episode"))
        lead = dict(store.execute("SELECT id, iif(leads = '', id, leads) FROM episodes"))
        alerts = dict(store.execute("SELECT id, alerts FROM episodes WHERE leads = ''"))
        begun = [row[0] for row in store.execute("SELECT begun FROM rounds ORDER BY begun")]
    assert recorded == unique
    of: dict[str, int] = {}
    for episode, number in counted.items():
        of[lead[episode]] = of.get(lead[episode], 0) + number
    assert of == alerts
    assert len(alerts) == GROUPS
    # Once each at most, and never more of them in a minute than may.
    assert 1 <= len(begun) <= GROUPS
    assert all(later - first > 60_000 for first, later in zip(begun, begun[PER_MINUTE:], strict=False))
    with sqlite3.connect(tmp_path / "home" / "queue.db") as queue:
        for (task,) in queue.execute("SELECT task FROM jobs"):
            assert len(json.loads(task)["inputs"]["alerts"]) <= 400

"""A quarter of an hour at 200 alerts a second: memory does not grow, nor do open files and connections. 20 s in `make test`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from chaos.harness import House, Nursery, alert, notification, sending, until

RATE = 200  # alerts a second
OF_BODY = 10
SMALL_S, FULL_S = 20, 900
WARM = 0.2  # of the time: caches fill, threads start
GROUPS = 40
MIB_A_MINUTE = 1.0


def bodies(seconds: float, noticed: datetime) -> Iterator[bytes]:
    """Each when its time has come. Alerts begin, are repeated once, and are resolved, in turn, a minute's worth after each other."""
    began, count = time.monotonic(), round(seconds * RATE / OF_BODY)
    behind = min(60 * RATE // OF_BODY, count // 4)
    for k in range(count):
        time.sleep(max(began + k * OF_BODY / RATE - time.monotonic(), 0.0))
        turn, what = divmod(k, 3)
        first, status = ((turn - behind if what == 2 else turn - (what == 1)), "resolved" if what == 2 else "firing")
        at = (noticed + timedelta(milliseconds=max(first, 0))).isoformat()
        group = f"group-{first % GROUPS}"
        told = [alert(first * OF_BODY + i, at, f"service-{first % GROUPS}", status) for i in range(OF_BODY)]
        yield notification(group, told if first >= 0 else [])


class Gauge:
    """Memory and descriptors of a process, as proc(5) tells them."""

    def __init__(self, pid: int) -> None:
        self._place, self._began = Path(f"/proc/{pid}"), time.monotonic()
        self.rows: list[tuple[float, float, int]] = []  # seconds, MiB, descriptors

    def look(self) -> None:
        pages = int((self._place / "statm").read_text().split()[1])
        opened = len(list((self._place / "fd").iterdir()))
        self.rows.append((time.monotonic() - self._began, pages * 4096 / 2**20, opened))

    def settled(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """(samples, 3), without the time in which it warmed."""
        rows = np.array(self.rows)
        return rows[rows[:, 0] >= WARM * rows[-1, 0]]


@pytest.mark.soak
def test_it_does_not_grow(nursery: Nursery, demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    seconds = FULL_S if soaking else SMALL_S
    noticed = datetime.fromtimestamp(json.loads((demo_case / "case.json").read_text())["detection_time"], UTC)
    house = House(nursery, tmp_path / "home", demo_case)
    house.start()
    gauge = Gauge(house.pid)
    with sending(house, [bodies(seconds, noticed)]) as (sender,):
        while sender.is_alive():
            gauge.look()
            sender.join(1.0)
    until(lambda: diagnosed(house) >= 1, "nothing is diagnosed")
    made = diagnosed(house)
    house.end()
    assert sender.refused == []
    assert len(sender.receipts) == round(seconds * RATE / OF_BODY)
    assert sum(r["accepted"] for r in sender.receipts) == -(-len(sender.receipts) // 3) * OF_BODY
    told = gauge.settled()
    slope = float(np.polyfit(told[:, 0] / 60, told[:, 1], 1)[0])
    half = len(told) // 2
    opened = [int(np.median(part)) for part in (told[:half, 2], told[half:, 2])]
    print(
        f"{seconds} s at {RATE} alerts/s: {slope:+.2f} MiB/min, {told[0, 1]:.0f} to {told[-1, 1]:.0f} MiB, "
        f"descriptors {opened[0]} then {opened[1]}, {made:.0f} diagnoses"
    )
    # What a diagnosis holds while it runs comes and goes; what each body left open would be hundreds.
    assert opened[1] <= opened[0] + (1 if soaking else 20)
    if soaking:  # a minute of it says nothing about the slope
        assert slope <= MIB_A_MINUTE


def diagnosed(house: House) -> float:
    _, page = house.ask("GET", "/metrics")
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("aiops_diagnoses_total{"))

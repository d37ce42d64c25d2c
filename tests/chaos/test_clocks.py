"""The wall clock jumps by an hour and a day, on and back, under a server: leases, episodes and their debounce go on evenly."""

from __future__ import annotations

import dataclasses
import email.utils
import functools
import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from chaos import harness
from chaos.harness import ENDED, HOOK, House, alert, alive, notification
from chaos.test_outages import noticed
from contracts.queues import job, open_queue

from aiops.adapters.sqlite import StoreDB
from aiops.domain import JobState
from aiops.ports import JobQueue

from conftest import needed
from servers.parts import faked

HOUR_S, DAY_S = 3600, 86_400
SMALL_S, FULL_S = (DAY_S, -DAY_S), (HOUR_S, -HOUR_S, DAY_S, -DAY_S, 0) * 2  # away from the true time
DEBOUNCE_S = 1.0
LEASE_S = 3.0  # of the server's own worker
OURS = ("clock:true",)  # the label of jobs that the server's worker may not have
until = functools.partial(harness.until, every_s=0.1)
BUSY = 0.5  # of a core: a timer that fires without end takes a whole one
# `aiops` whose worker looks for expired leases each second.
PROGRAM = f"""
import sys
from aiops import cli
from aiops.service import worker
worker.LEASE_S, worker.HEARTBEAT_S = {LEASE_S}, 1.0
sys.exit(cli.run(sys.argv[1:]))
"""


class Elsewhere:
    """Starts servers as Nursery does, each in a process that lives in the time of `clock`, a file."""

    def __init__(self, clock: Path) -> None:
        self._environment = faked(clock)
        self._started: list[subprocess.Popen[bytes]] = []

    def fork(self, argv: list[str], stderr: Path, limit: int | None = None) -> int:
        with stderr.open("ab") as file:
            process = subprocess.Popen([sys.executable, "-c", PROGRAM, *argv], stderr=file, env=self._environment)
        threading.Thread(target=process.wait, daemon=True).start()  # else its end does not show
        self._started.append(process)
        return process.pid

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()


class Jumping:
    """A house whose clock can be set."""

    def __init__(self, house: House, clock: Path) -> None:
        self.house, self._clock, self.off_s = house, clock, 0.0

    def jump(self, off_s: int) -> None:
        """Returns when its answers bear the new time."""
        other = self._clock.with_suffix(".new")
        other.write_text(f"{off_s:+d}\n")
        other.replace(self._clock)
        self.off_s = off_s
        until(lambda: abs(self.tells() - time.time() - off_s) < HOUR_S / 2, "the clock does not jump")

    def tells(self) -> float:
        """The time in the head of its answers, in seconds since 1970."""
        connection = http.client.HTTPConnection("127.0.0.1", self.house.port, timeout=30)
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        reply.read()
        connection.close()
        return email.utils.parsedate_to_datetime(reply.headers["date"]).timestamp()

    def accepted(self, number: int, at: datetime) -> str:
        """The diagnosis that a new alert, an episode of its own, leads to."""
        told = [alert(number, at.isoformat(), f"service-{number}")]
        status, receipt = self.house.ask("POST", HOOK, notification(f"group-{number}", told))
        assert (status, receipt["accepted"]) == (202, 1)
        (diagnosis,) = receipt["diagnoses"]
        return diagnosis["id"]

    def repeated(self, number: int, at: datetime) -> None:
        told = [alert(number, at.isoformat(), f"service-{number}")]
        status, receipt = self.house.ask("POST", HOOK, notification(f"group-{number}", told))
        assert (status, receipt["accepted"], receipt["duplicates"]) == (202, 0, 1)

    def ended(self, diagnosis: str) -> Callable[[], bool]:
        return lambda: self.house.ask("GET", f"/v1/diagnoses/{diagnosis}")[1]["status"] in ENDED

    def count(self, name: str) -> float:
        """The sum of a counter over its labels."""
        page = self.house.ask("GET", "/metrics")[1]
        return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith((f"{name}{{", f"{name} ")))

    def cpu_s(self) -> float:
        """Processor time that the server has used."""
        after_name = Path(f"/proc/{self.house.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.soak
def test_jumps_of_the_clock_lose_nothing_and_start_no_storm(demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    clock, at = tmp_path / "clock", noticed(demo_case)
    clock.write_text("+0\n")
    with needed():
        elsewhere = Elsewhere(clock)
    settings = f"[episodes]\ndebounce_s = {DEBOUNCE_S}\nhops = 0\n"
    try:
        house = House(elsewhere, tmp_path / "home", demo_case, settings=settings)
        house.start()
        queue = open_queue(f"sqlite:{tmp_path / 'home' / 'queue.db'}")
        told = jumps(Jumping(house, clock), queue, at, FULL_S if soaking else SMALL_S)
        assert queue.depth() == 0
        queue.close()
        house.end()
    finally:
        elsewhere.close()
    assert not alive(house.pid)
    store = StoreDB(tmp_path / "home" / "store.db")
    assert store.check() == ""
    assert sorted(row["id"] for row in store.reports(10_000)) == sorted(told), "a report for each, and no other"
    store.close()


def jumps(jumping: Jumping, queue: JobQueue, at: datetime, offs_s: tuple[int, ...]) -> list[str]:
    """Jumps to each of `offs_s`; the diagnoses that there must be."""
    told = [jumping.accepted(0, at)]
    until(jumping.ended(told[0]), "nothing is diagnosed")
    queue.put([dataclasses.replace(job("held"), labels=OURS)])
    held = queue.claim(2 * HOUR_S, "elsewhere", OURS)  # less than a jump of a day
    assert held
    most = 0.0
    for turn, off_s in enumerate(offs_s):
        waiting = jumping.accepted(2 * turn + 1, at)
        queue.put([dataclasses.replace(job(f"brief-{turn}"), labels=OURS)])
        brief = queue.claim(0.5, "elsewhere", OURS)
        assert brief
        jumping.jump(off_s)
        until(jumping.ended(waiting), "what gathers before a jump is not diagnosed after it")
        after = jumping.accepted(2 * turn + 2, at)
        until(jumping.ended(after), "what comes after a jump is not diagnosed")
        told += [waiting, after]
        jumping.repeated(2 * turn + 1, at)
        # A lease that has run out shows that the timer goes on; in the same round another would have been ended.
        until(lambda job=brief: queue.get(job.id).state is JobState.QUEUED, "a lease does not run out")
        assert queue.get(held.id).state is JobState.RUNNING
        again = queue.claim(HOUR_S, "elsewhere", OURS)
        assert again
        assert queue.ack(again, JobState.DONE)
        most = max(most, idle(jumping))
        assert jumping.count("aiops_diagnoses_total") == len(told)
    assert queue.ack(held, JobState.DONE)
    assert jumping.count("aiops_leases_expired_total") == len(offs_s)
    assert jumping.count('aiops_episodes_total{event="opened"}') == len(told)
    print(f"{len(offs_s)} jumps, {len(told)} diagnoses, at most {most:.0%} of a core when idle")
    return told


def idle(jumping: Jumping) -> float:
    """The share of a core that the server takes in the first half a second in which it has nothing to do; storms never end."""
    shares: list[float] = []

    def rests() -> bool:
        began, used = time.monotonic(), jumping.cpu_s()
        time.sleep(0.5)
        shares.append((jumping.cpu_s() - used) / (time.monotonic() - began))
        return shares[-1] < BUSY

    until(rests, "a timer fires without end")
    return shares[-1]

"""`kill -9` of whoever runs a repair, at any moment of it: nothing is done twice, and what nobody saw the end of is `unknown`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import string
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from repairs.conftest import Place, Shop, by, kept, until

from aiops.domain import RepairState
from aiops.errors import Refused
from aiops.flows.repair.machine import UNDER_WAY
from aiops.ops import Ops

from confined import groups_left
from conftest import needed
from servers.parts import binary

S = RepairState
SMALL, FULL = 8, 60  # kills
PHASES = ("started", "begun", "heard", "verifying")
HERE = Path(__file__).parent


class Cutter:
    """Runs repairs in processes that are killed; a first one to its end."""

    def __init__(self, place: Place, repair_id: str) -> None:
        command = [sys.executable, str(HERE / "cutter.py"), str(place.home), json.dumps(place.flags), repair_id]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._line() == "ready"

    def run(self, repair_id: str, now: Callable[[], bool], then_s: float) -> int:
        """Kills it so many seconds after it is time to, unless it has ended by then; the id of its process."""
        assert self._process.stdin
        self._process.stdin.write(f"{repair_id}\n")
        self._process.stdin.flush()
        pid = int(self._line())
        over = threading.Event()

        def kill() -> None:
            while not now() and not over.is_set():
                time.sleep(0.002)
            if not over.wait(then_s):
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        assert self._line() == "over"
        over.set()
        killer.join()
        return pid

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@pytest.mark.soak
@pytest.mark.parametrize("runbook", ["scale", "steps"])
def test_nothing_is_done_twice(place: Place, shop: Shop, runbook: str, request: pytest.FixtureRequest) -> None:
    """Killed a little after it has started, begun, been heard, or been verified: at whatever is done then."""
    if runbook == "steps":
        with needed():
            place.flags["sandbox.bubblewrap"] = str(binary("bwrap"))
    kills = FULL if request.config.getoption("soak") else SMALL // 2
    draw, acts = random.Random(7), {"scale": 1, "steps": 3}[runbook]
    found: Counter[str] = Counter()
    with place.open() as ops:
        if runbook == "steps":
            ops.governance.workshop().sandbox.ping(10.0)
        first = planned(ops, "cart", runbook, 0)
        cutter = Cutter(place, first)
        assert by(ops, "bob").get(first).state is S.SUCCEEDED
        assert len(keys(shop, first)) == acts
        for number in range(kills):
            repair_id = planned(ops, string.ascii_lowercase[number % 26], runbook, number)
            phase = PHASES[number % len(PHASES)]
            pid = cutter.run(repair_id, lambda r=repair_id, p=phase: reached(ops, shop, r, p), draw.uniform(0.0, 0.1))  # type: ignore[misc]
            lost = {one.id for one in by(ops, "bob").recover()}
            while (
                state := by(ops, "bob").get(repair_id).state
            ) in UNDER_WAY:  # a child between fork and exec held its lock
                time.sleep(0.02)
                lost |= {one.id for one in by(ops, "bob").recover()}
            found[f"{phase}: {state}"] += 1
            assert state in (S.APPROVED, S.UNKNOWN, S.SUCCEEDED)
            assert (repair_id in lost) == (state is S.UNKNOWN)
            done = keys(shop, repair_id)
            assert max(Counter(done).values(), default=1) == 1
            if state is S.APPROVED:
                assert done == []
                assert by(ops, "bob").run(repair_id).state is S.SUCCEEDED
                assert len(keys(shop, repair_id)) == acts
            else:
                with pytest.raises(Refused):
                    by(ops, "bob").run(repair_id)
                assert keys(shop, repair_id) == done
            until(lambda p=pid: not any(f".{p}." in group for group in groups_left()), "its control group is swept")  # type: ignore[misc]
        cutter.close()
        assert by(ops, "bob").list(1000, S.UNKNOWN) == tuple(
            one for one in by(ops, "bob").list(1000) if one.state is S.UNKNOWN
        )
        assert ops.store.repair_counts()[S.UNKNOWN] == sum(n for told, n in found.items() if told.endswith("unknown"))
        entries = [dict(told["entry"]) for told in ops.store.audit_entries() if told["kind"] == "repair"]  # type: ignore[call-overload]
        starts = Counter(one["repair"] for one in entries if one["action"] == "start")
        assert max(starts.values()) == 1
        assert ops.store.audit_verify()[1] == ""
    print(f"{runbook}: killed {kills} times: {dict(sorted(found.items()))}")


def planned(ops: Ops, node: str, runbook: str, number: int) -> str:
    """A repair that is approved; a replica more or less than before, so that it takes a scrape until that is seen."""
    kept(ops, f"r{number}", node, runbook)
    given = {"replicas": str(2 + number // 26)} if runbook == "scale" else {}
    made = by(ops, "alice").plan(f"r{number}", parameters=given)
    return by(ops, "bob").approve(made.id).id


def reached(ops: Ops, shop: Shop, repair_id: str, phase: str) -> bool:
    found = ops.store.repair(repair_id)
    assert found
    states = [step.state for step in found.steps]
    return {
        "started": True,
        "begun": S.RUNNING in states,
        "heard": bool(keys(shop, repair_id)),
        "verifying": S.VERIFYING in states,
    }[phase]


def keys(shop: Shop, repair_id: str) -> list[str]:
    return [one["key"] for one in shop.heard() if f"repair/{repair_id}/" in (one["key"] or "")]

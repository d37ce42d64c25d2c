"""What runs in the virtual machine (machine.py): the limits of control groups of version 2, proven one by one. Prints JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiops.adapters.sandbox import Bubblewrap, bubblewrap, cgroups
from aiops.domain import Command, Limits

from confined import Host, as_user, attacked, attacks, contained, groups_left

SLOWER = 20  # times that the machine may be, beside much else that its host does


def told(about: str, **more: Any) -> None:
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    sys.stdout.write(json.dumps({"about": about, "uptime": uptime, **more}) + "\n")
    sys.stdout.flush()


def shares(sandbox: Bubblewrap) -> dict[int, float]:
    """Processor time that two runs of different weight had on one processor, of seconds in which both ran."""
    weights, measured, groups = (20, 100), threading.Event(), cgroups.discover()
    argv = ("/bin/sh", "-c", "while :; do :; done")

    def burn(weight: int) -> None:
        sandbox.run(Command(argv, limits=Limits(timeout_s=300.0, cpu_weight=weight)), measured.is_set)

    def burns(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes() == b"".join(word.encode() + b"\0" for word in argv)
        except OSError:
            return False

    def used() -> dict[int, float]:
        return {
            int((group.doors()[0].parent / "cpu.weight").read_text()): group.usage().cpu_ms
            for group in groups.find()
            if any(map(burns, group.members()))
        }

    threads = [threading.Thread(target=burn, args=(weight,)) for weight in weights]
    for thread in threads:
        thread.start()
    while set(used()) != set(weights):
        time.sleep(0.1)
    before = used()
    time.sleep(6)
    after = used()
    measured.set()
    for thread in threads:
        thread.join()
    return {weight: after[weight] - before[weight] for weight in weights}


def kills() -> dict[str, Any]:
    """A tree of processes that hear nothing, and its group's one file that ends them all."""
    groups = cgroups.discover()
    group = groups.make(cgroups.fresh_name())
    group.limit(Limits())
    script = "import os, signal, time\n[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]\nfor _ in range(4): os.fork()\ntime.sleep(999)"
    door = group.doors()[0]
    with subprocess.Popen(["/usr/bin/python3", "-c", f"open({str(door)!r}, 'w').write('0')\n{script}"]) as top:
        while len(group.members()) < 16:
            with contextlib.suppress(subprocess.TimeoutExpired):
                top.wait(0.1)
        many = len(group.members())
        has = (door.parent / "cgroup.kill").exists()
        emptied = group.kill()
        code = top.wait()
    group.remove()
    return {"many": many, "has": has, "emptied": emptied, "by": -code == signal.SIGKILL}


def main() -> None:
    """All of it, in order of what it depends on."""
    bubblewrap.SETUP_WITHIN_S *= SLOWER
    cgroups.EMPTY_WITHIN_S *= SLOWER
    sandbox = Bubblewrap(Path("/usr/bin/bwrap"))
    told("ping", says=sandbox.ping(60.0), kernel=os.uname().release)
    with subprocess.Popen(["/bin/sleep", "9999"]) as victim:
        names = ("PORT", "ABSTRACT", "SOCK", "PID", "FOLDER", "HOST")
        host = Host({f"ATTACK_{name}": "1" for name in names}, victim, Path("/tmp"))
        for attack in (*attacks.RESOURCES, attacks.NAMED["user ids"], attacks.NAMED["control group"]):
            # What ends only at its deadline need not be given more of it than the start takes.
            slow = replace(attack, timeout_s=3.0 if attack.status == ("timeout",) else attack.timeout_s * SLOWER)
            outcome, escaped = attacked(sandbox, slow, host)
            wrong = contained(slow, outcome, escaped, host)
            told("attack", name=attack.name, wrong=wrong, status=outcome.status, memory=outcome.usage.memory_peak)
        told("kill", **kills())
        told("weight", **{str(weight): ms for weight, ms in shares(sandbox).items()})
        names_of_few = ("fork bomb", "memory bomb", "user ids")

        def few() -> list[str]:
            mine = Bubblewrap(Path("/usr/bin/bwrap"))
            slow = [replace(attacks.NAMED[name], timeout_s=300.0) for name in names_of_few]
            return [wrong for one in slow if (wrong := contained(one, *attacked(mine, one, host), host))]

        told("delegated", wrong=as_user(few))
        victim.kill()
    told("left", groups=groups_left())


main()

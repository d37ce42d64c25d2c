"""What the tests of the sandbox share: a host that has something to lose, and what it takes to call an attack contained."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiops.adapters.sandbox import Bubblewrap, cgroups
from aiops.domain import Command, Limits, Outcome

from confined.attacks import HELPER, Attack

NOBODY = 61999  # a user id that owns nothing


@dataclass(frozen=True)
class Host:
    """What an attack might reach: its environment, and the process that must outlive it."""

    env: Mapping[str, str]
    victim: subprocess.Popen[bytes]
    folder: Path

    def is_well(self) -> bool:
        """Whether the victim lives; not asked of the process itself, since a fork of ours is not its parent."""
        return Path(f"/proc/{self.victim.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def attacked(
    sandbox: Bubblewrap, attack: Attack, host: Host, limits: Limits | None = None
) -> tuple[Outcome, bool | None]:
    """The outcome, and whether the attack says that it escaped (None when it says nothing)."""
    files = {"helper.py": HELPER.encode(), "attack.py": f"from helper import *\n{attack.code}".encode()}
    limits = limits or Limits(timeout_s=attack.timeout_s)
    outcome = sandbox.run(Command(("python3", "-B", "attack.py"), host.env, files, limits))
    told = [json.loads(line) for line in outcome.output.splitlines() if line.startswith('{"escaped"')]
    return outcome, told[-1]["escaped"] if told else None


def contained(attack: Attack, outcome: Outcome, escaped: bool | None, host: Host) -> str:
    """What is wrong; "" when the attack got nowhere."""
    if outcome.status not in attack.status:
        return f"{attack.name}: {outcome.status}, not {attack.status}: {outcome.why} {outcome.output[-800:]}"
    if escaped or (escaped is None and attack.tells and outcome.status == "ok"):
        return f"{attack.name}: escaped {escaped}: {outcome.output[-800:]}"
    if outcome.usage.pids_peak > 32 or outcome.usage.memory_peak > 128 << 20 or len(outcome.output) > 4 << 20:
        return f"{attack.name}: {outcome.usage}"
    if not host.is_well():
        return f"{attack.name}: killed a process of the host"
    return ""


def groups_left(of: int | None = None) -> list[str]:
    """Control groups of ours, wherever they are: of all services, or of the one with this process id."""
    found = [path for path in Path("/sys/fs/cgroup").rglob(f"{cgroups.PREFIX}.*.*") if path.is_dir()]
    return sorted(str(path) for path in found if of is None or path.name.split(".")[2] == str(of))


def as_user(act: Callable[[], Any]) -> Any:
    """What `act` answers (as JSON) in a process of a user without privileges, to whom a subtree of control groups is delegated.

    For root only. The process is forked, not started: its user may have no way to this Python."""
    places = _delegate(NOBODY)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(read)
            for place in places:
                (place / "cgroup.procs").write_text("0")
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            with os.fdopen(write, "w") as answer:
                json.dump(act(), answer)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    status = os.waitpid(child, 0)[1]
    for place in places:
        for folder in sorted(place.rglob("*/"), reverse=True):
            folder.rmdir()
        place.rmdir()
    assert status == 0, "the process of the user failed; its reason stands above"
    return json.loads(told)


def _delegate(uid: int) -> list[Path]:
    """As a service manager does it: a group whose folder and files the user owns."""
    groups = cgroups.discover()
    bases = dict.fromkeys(groups.bases.values()) if isinstance(groups, cgroups.GroupsV1) else [groups.base]
    places = [base / f"delegated.{os.getpid()}" for base in bases]
    for place in places:
        place.mkdir()
        for path in (place, *place.iterdir()):
            os.chown(path, uid, uid)
    return places

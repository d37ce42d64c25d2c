"""Control groups, written directly: one for each run, whose limits are read back before anything runs in it.

Version 2 is taken where it has the controllers, else version 1 (as on hybrid hosts). A group lives below a subtree that this
process may write: the one that a setting names, else one that was delegated to it, else, for root, the top. The group's name
tells whose it is, so that what a killed service left behind is known as such by the next one, which removes it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiops.domain import Limits, Usage
from aiops.errors import Refused

PREFIX = "aiops"
EMPTY_WITHIN_S = 5.0
_V2 = ("cpu", "memory", "pids")
_V1 = ("cpu", "cpuacct", "memory", "pids")
_LEAF = "aiops.service"
_count = itertools.count(1)


class Group(Protocol):
    """The control group of one run. Raises OSError where the kernel refuses."""

    name: str

    def doors(self) -> tuple[Path, ...]:
        """The files that a process writes itself into, to be in it."""

    def limit(self, limits: Limits) -> None:
        """Sets the limits and reads them back. Refused when what is read is not what was set."""

    def members(self) -> tuple[int, ...]: ...

    def oom(self) -> bool:
        """Whether the kernel has killed something in it for want of memory."""

    def usage(self) -> Usage:
        """What was used so far; of wall time it knows nothing."""

    def kill(self) -> bool:
        """Kills what is in it, and what that forks meanwhile; whether it is empty within `EMPTY_WITHIN_S`."""

    def remove(self) -> None: ...


class Groups(Protocol):
    """The subtree that runs have their groups in."""

    version: int

    def make(self, name: str) -> Group: ...

    def find(self) -> tuple[Group, ...]:
        """Those of all services here, of past ones too."""

    def reserved(self, group: Group) -> int:
        """Bytes that a group may have."""

    def locked(self) -> AbstractContextManager[None]:
        """Only one process at a time counts and makes groups."""


def discover(chosen: str = "") -> Groups:
    """The subtree to use; proven by making a group with limits in it. Refused with what was tried and why it failed.

    chosen: path of the subtree from the top of each hierarchy, "" = look for one."""
    mounts = _mounts()
    tried: list[str] = []
    for groups in itertools.chain(_version_2(mounts, chosen, tried), _version_1(mounts, chosen, tried)):
        try:
            _prove(groups)
        except (OSError, Refused) as error:
            tried.append(f"{groups}: {error}")
            continue
        return groups
    raise Refused(
        "no control group can be limited here: " + ("; ".join(tried) or "none is mounted")
        + ". Run as root, or with a delegated subtree (systemd: Delegate=yes; for one command: "
        "systemd-run --user --scope -p Delegate=yes aiops ...)"
    )  # fmt: skip


def _prove(groups: Groups) -> None:
    with groups.locked():  # or others would count it as a run
        group = groups.make(fresh_name())
        try:
            group.limit(Limits())
        finally:
            group.remove()


# ---------------------------------------------------------------- names


def fresh_name() -> str:
    """Names a group after its service: namespace of its process ids, process id, when it started, and a number."""
    return f"{PREFIX}.{_namespace()}.{os.getpid()}.{_started(os.getpid())}.{next(_count)}"


def is_orphan(name: str) -> bool:
    """Whether the service that a group is named after has ended. Of other process id namespaces nothing is known: False."""
    namespace, pid, started = name.split(".")[1:4]
    return namespace == _namespace() and _started(int(pid)) != started


def _is_ours(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 5 and parts[0] == PREFIX and all(part.isdigit() for part in parts[1:])


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _started(pid: int) -> str:
    """When a process started, in ticks since boot: with its id, what tells it from a later one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


# ---------------------------------------------------------------- where they are


@dataclass(frozen=True, slots=True)
class _Mount:
    version: int
    controllers: frozenset[str]
    top: Path
    own: Path  # this process's own group


def _mounts() -> list[_Mount]:
    own = dict(_own())
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        root, top = fields.split()[3:5]
        if kind == "cgroup2":
            controllers = frozenset(_words(Path(top) / "cgroup.controllers"))
            found.append(_Mount(2, controllers, Path(top), _below(Path(top), root, own.get("", "/"))))
        elif kind == "cgroup":
            names = frozenset(options.split(",")) & set(_V1)
            path = next((own[name] for name in names if name in own), "/")
            found.append(_Mount(1, names, Path(top), _below(Path(top), root, path)))
    return found


def _own() -> Iterator[tuple[str, str]]:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        yield from ((name, path) for name in controllers.split(","))


def _below(top: Path, root: str, path: str) -> Path:
    """Where a group is seen, when a mount shows the hierarchy from `root` on."""
    inside = path.removeprefix(root.rstrip("/")) if path.startswith(root) else path
    return top / inside.strip("/") if ".." not in inside.split("/") else top


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _delegated(path: Path) -> bool:
    """By systemd's mark; for who is not root, by what may be written."""
    if not os.access(path / "cgroup.procs", os.W_OK) or not os.access(path, os.W_OK):
        return False
    if os.geteuid() != 0:
        return True
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _version_2(mounts: list[_Mount], chosen: str, tried: list[str]) -> Iterator[Groups]:
    for mount in (m for m in mounts if m.version == 2):
        if not set(_V2) <= mount.controllers:
            tried.append(f"{mount.top} has no controllers {', '.join(sorted(set(_V2) - mount.controllers))}")
            continue
        if chosen:
            candidates = [mount.top / chosen.strip("/")]
        else:
            candidates = [p for p in (mount.own.parent, mount.own) if p.is_relative_to(mount.top) and _delegated(p)]
            candidates += [mount.top] if os.geteuid() == 0 else []
        for base in candidates:
            try:
                _enable(base, may_move=base == mount.own or bool(chosen))
            except OSError as error:
                tried.append(f"{base}: {error.strerror}")
                continue
            yield GroupsV2(base)


def _enable(base: Path, *, may_move: bool) -> None:
    """Lets groups below `base` have controllers. Who has them holds no processes itself: ours move into a leaf."""
    control = base / "cgroup.subtree_control"
    if set(_V2) <= set(_words(control)):
        return
    wanted = " ".join(f"+{name}" for name in _V2)
    try:
        control.write_text(wanted)
    except OSError:
        if not may_move:
            raise
        leaf = base / _LEAF
        leaf.mkdir(exist_ok=True)
        for pid in _words(base / "cgroup.procs"):
            with suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(pid)
        control.write_text(wanted)


def _version_1(mounts: list[_Mount], chosen: str, tried: list[str]) -> Iterator[Groups]:
    by_controller = {name: m for m in mounts if m.version == 1 for name in m.controllers}
    if missing := sorted(set(_V1) - set(by_controller)):
        tried.append(f"version 1 has no {', '.join(missing)}")
        return
    if chosen:
        yield GroupsV1({name: m.top / chosen.strip("/") for name, m in by_controller.items()})
        return
    own = {name: m.own for name, m in by_controller.items()}
    if all(os.access(path, os.W_OK) for path in own.values()):
        yield GroupsV1(own)
    else:
        tried.append("this process's own groups of version 1 are not its to write")


# ---------------------------------------------------------------- files


def _number(path: Path) -> int:
    return int(path.read_text())


def _counter(path: Path, name: str) -> int:
    """A line `name N` of a file of counters; 0 where there is none."""
    for line in path.read_text().splitlines():
        key, value, *_ = line.split()
        if key == name:
            return int(value)
    return 0


def _set(path: Path, value: int | str) -> None:
    path.write_text(str(value))
    said = path.read_text().strip()
    page = os.sysconf("SC_PAGESIZE")
    if said != str(value) and not (said.isdigit() and isinstance(value, int) and 0 <= value - int(said) < page):
        raise Refused(f"{path.name} is {said} after it was set to {value}")


def _members(path: Path) -> tuple[int, ...]:
    try:
        return tuple(int(pid) for pid in (path / "cgroup.procs").read_text().split())
    except FileNotFoundError:
        return ()


def _wait_until_empty(path: Path) -> bool:
    deadline = time.monotonic() + EMPTY_WITHIN_S
    while _members(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _remove(path: Path) -> None:
    """Removes an empty group; the kernel may need a moment after its last process."""
    deadline = time.monotonic() + EMPTY_WITHIN_S
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)
        else:
            return


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- version 2


class GroupsV2:
    version = 2

    def __init__(self, base: Path) -> None:
        self.base = base

    def __str__(self) -> str:
        return f"version 2 at {self.base}"

    def make(self, name: str) -> Group:
        (self.base / name).mkdir()
        return _GroupV2(self.base / name)

    def find(self) -> tuple[Group, ...]:
        return tuple(_GroupV2(p) for p in sorted(self.base.glob(f"{PREFIX}.*")) if _is_ours(p.name))

    def reserved(self, group: Group) -> int:
        said = _words(self.base / group.name / "memory.max")
        return int(said[0]) if said and said[0].isdigit() else 0

    def locked(self) -> AbstractContextManager[None]:
        return _lock(self.base)


class _GroupV2:
    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name

    def doors(self) -> tuple[Path, ...]:
        return (self.path / "cgroup.procs",)

    def limit(self, limits: Limits) -> None:
        _set(self.path / "memory.max", limits.memory)
        if (self.path / "memory.swap.max").exists():  # absent where the kernel has no swap
            _set(self.path / "memory.swap.max", 0)
        _set(self.path / "memory.oom.group", 1)
        _set(self.path / "pids.max", limits.pids)
        _set(self.path / "cpu.weight", limits.cpu_weight)

    def members(self) -> tuple[int, ...]:
        return _members(self.path)

    def oom(self) -> bool:
        return _counter(self.path / "memory.events", "oom_kill") > 0

    def usage(self) -> Usage:
        def peak(kind: str) -> int:
            file = self.path / f"{kind}.peak"  # memory.peak since Linux 5.19, pids.peak since 6.1
            return _number(file if file.exists() else self.path / f"{kind}.current")

        cpu_ms = _counter(self.path / "cpu.stat", "usage_usec") / 1e3
        return Usage(0.0, cpu_ms, peak("memory"), peak("pids"))

    def kill(self) -> bool:
        file = self.path / "cgroup.kill"  # since Linux 5.14
        if file.exists():
            file.write_text("1")
        else:
            _kill_each(self.path, self.path / "pids.max")
        return _wait_until_empty(self.path)

    def remove(self) -> None:
        _remove(self.path)


# ---------------------------------------------------------------- version 1


class GroupsV1:
    version = 1

    def __init__(self, bases: Mapping[str, Path]) -> None:
        self.bases = bases

    def __str__(self) -> str:
        return f"version 1 at {self.bases['memory']}"

    def make(self, name: str) -> Group:
        group = _GroupV1({controller: base / name for controller, base in self.bases.items()})
        try:
            for path in group.places:
                path.mkdir()
        except OSError:
            group.remove()
            raise
        return group

    def find(self) -> tuple[Group, ...]:
        names = {p.name for base in self.bases.values() for p in base.glob(f"{PREFIX}.*") if _is_ours(p.name)}
        return tuple(_GroupV1({c: base / name for c, base in self.bases.items()}) for name in sorted(names))

    def reserved(self, group: Group) -> int:
        said = _words(self.bases["memory"] / group.name / "memory.limit_in_bytes")
        return int(said[0]) if said else 0

    def locked(self) -> AbstractContextManager[None]:
        return _lock(self.bases["memory"])


class _GroupV1:
    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths, self.name = paths, paths["memory"].name
        self.places = tuple(dict.fromkeys(paths[c] for c in sorted(paths)))  # cpu and cpuacct may be one

    def doors(self) -> tuple[Path, ...]:
        return tuple(path / "cgroup.procs" for path in self.places)

    def limit(self, limits: Limits) -> None:
        memory = self.paths["memory"]
        _set(memory / "memory.limit_in_bytes", limits.memory)
        if (memory / "memory.memsw.limit_in_bytes").exists():
            _set(memory / "memory.memsw.limit_in_bytes", limits.memory)
        elif _counter(Path("/proc/meminfo"), "SwapTotal:") > 0:
            raise Refused("there is swap, and no limit for it: boot with swapaccount=1")
        _set(self.paths["pids"] / "pids.max", limits.pids)
        _set(self.paths["cpu"] / "cpu.shares", limits.cpu_weight * 1024 // 100)

    def members(self) -> tuple[int, ...]:
        return tuple(sorted({pid for path in self.places for pid in _members(path)}))

    def oom(self) -> bool:
        return _counter(self.paths["memory"] / "memory.oom_control", "oom_kill") > 0

    def usage(self) -> Usage:
        pids = self.paths["pids"]
        refused = _counter(pids / "pids.events", "max") > 0
        peak = pids / ("pids.peak" if (pids / "pids.peak").exists() else "pids.max" if refused else "pids.current")
        return Usage(
            0.0,
            _number(self.paths["cpuacct"] / "cpuacct.usage") / 1e6,
            _number(self.paths["memory"] / "memory.max_usage_in_bytes"),
            _number(peak),
        )

    def kill(self) -> bool:
        for path in self.places:
            _kill_each(path, self.paths["pids"] / "pids.max")
        return all(_wait_until_empty(path) for path in self.places)

    def remove(self) -> None:
        for path in self.places:
            _remove(path)


def _kill_each(path: Path, pids_max: Path) -> None:
    """Kills what is in a group, where the kernel can't: first nothing forks any more, then all of them, until none is left.

    A process is held by a descriptor before its membership is looked at again: its id may not have gone to another."""
    with suppress(FileNotFoundError):
        pids_max.write_text("0")
    deadline = time.monotonic() + EMPTY_WITHIN_S
    while (members := _members(path)) and time.monotonic() < deadline:
        held: dict[int, int] = {}
        try:
            for pid in members:
                with suppress(ProcessLookupError):
                    held[pid] = os.pidfd_open(pid)
            for pid in _members(path):
                with suppress(ProcessLookupError, KeyError):
                    signal.pidfd_send_signal(held[pid], signal.SIGKILL)
        finally:
            for descriptor in held.values():
                os.close(descriptor)
        time.sleep(0.001)

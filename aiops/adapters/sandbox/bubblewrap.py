"""Runs a command where it can hurt nobody, or not at all.

In order: is there room (else `rejected`, with the figures); a control group with its limits read back; the launch, looked at from
outside before the payload's first instruction (else `refused`); the watch; the kill of all that is left; the last of its output;
what it left in `out/`; the group's removal. How it ended is read from the kernel's counters. There is no way around any of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from aiops.adapters.sandbox import artefacts, cgroups, launch, seccomp
from aiops.adapters.sandbox.cgroups import Group, Groups
from aiops.adapters.sandbox.launch import Launcher
from aiops.adapters.sandbox.watch import Watch, escaped
from aiops.domain import Command, Limits, Outcome, RunStatus, Usage
from aiops.errors import Refused, UsageError

SETUP_WITHIN_S = 10.0
MOST_ARGUMENT_BYTES = 100_000
_LEAST = Limits(0.1, 8 << 20, 8, 1, 1 << 16, 1 << 16, 1, 0)
_MOST = Limits(3600.0, 4 << 30, 512, 10_000, 1 << 30, 1 << 30, 64 << 20, 64 << 20)
_KEEP_FREE = 64 << 20  # bytes of memory that stay free whatever runs


@dataclass(frozen=True, slots=True)
class _Ready:
    launcher: Launcher
    groups: Groups
    filter: bytes


class Bubblewrap:
    """The sandbox: bubblewrap, a control group and a system call filter for each run. Safe to be used by many threads.

    bwrap: where the program is, None = nowhere. uid: the user that a service that is root hands runs over to.
    group: the subtree of control groups to use, "" = look for one. most: runs at once, of all services here together."""

    def __init__(self, bwrap: Path | None, *, uid: int = 64642, group: str = "", most: int = 8) -> None:
        self._bwrap, self._uid, self._group, self._most = bwrap, uid, group, most
        self._ready: _Ready | None = None
        self._preparing = threading.Lock()

    def run(self, command: Command, cancelled: Callable[[], bool] = lambda: False) -> Outcome:
        """Runs until it ends, or `cancelled` says so. UsageError for a command that can't be one; all else is an outcome."""
        check(command)
        try:
            ready = self._prepare()
            group, full = self._admit(ready.groups, command.limits)
        except (Refused, OSError) as error:
            return Outcome(RunStatus.REFUSED, why=str(error))
        if group is None:
            return Outcome(RunStatus.REJECTED, why=full)
        try:
            return _run(ready, group, command, cancelled)
        except (Refused, OSError) as error:
            return Outcome(RunStatus.REFUSED, why=str(error))
        finally:
            _end(group)

    def ping(self, timeout: float) -> str:  # noqa: ARG002 - a probe has its own limits
        """Proves that a run is confined here, by one. Refused with what is missing."""
        outcome = self.run(Command(("/bin/true",), limits=Limits(timeout_s=SETUP_WITHIN_S)))
        if outcome.status is not RunStatus.OK:
            raise Refused(f"{outcome.status}: {outcome.why or outcome.output.strip()}")
        ready = self._prepare()
        return f"{self.program()}, control groups {ready.groups}, system call filter of {len(ready.filter) // 8} steps"

    def program(self) -> str:
        """The own name and version of bwrap. Refused when it can't be started."""
        if self._bwrap is None:
            raise Refused("bubblewrap (bwrap) is not there")
        try:
            command = [str(self._bwrap), "--version"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True, env={})  # noqa: S603 - a program that the settings name
        except (OSError, subprocess.SubprocessError) as error:
            raise Refused(f"{self._bwrap} can't be started: {error}") from error
        return done.stdout.strip()

    def sweep(self) -> int:
        """Kills and removes what services that have ended left behind; how many runs that were. Refused where none can be."""
        groups = self._prepare().groups
        with groups.locked():
            orphans = [group for group in groups.find() if cgroups.is_orphan(group.name)]
            for group in orphans:
                _end(group)
        return len(orphans)

    def _prepare(self) -> _Ready:
        """What holds for every run; found once, and looked for again while it is missing."""
        with self._preparing:
            if self._ready is None:
                launcher = Launcher.find(self._bwrap, self._uid)
                self._ready = _Ready(launcher, cgroups.discover(self._group), seccomp.program())
            return self._ready

    def _admit(self, groups: Groups, limits: Limits) -> tuple[Group | None, str]:
        """A new group with its limits, or why there is no room. All under one lock: two that ask at once can't both have the last."""
        with groups.locked():
            running = groups.find()
            reserved = sum(groups.reserved(group) for group in running)
            free = _available() - _KEEP_FREE
            if len(running) >= self._most:
                return None, f"{len(running)} runs at once are the most (sandbox.most = {self._most})"
            if reserved + limits.memory > free:
                figures = f"{limits.memory} bytes beside the {reserved} of {len(running)} runs, and {free} are free"
                return None, f"it needs {figures}"
            group = groups.make(cgroups.fresh_name())
            try:
                group.limit(limits)
            except BaseException:
                _end(group)
                raise
            return group, ""


def check(command: Command) -> None:
    """UsageError for what could not be run as it is meant."""
    words = [*command.argv, *command.env, *command.env.values(), *command.files, command.door]
    if not command.argv or not command.argv[0]:
        raise UsageError("there is no program to run")
    if any("\0" in word for word in words):
        raise UsageError("a NUL can't be passed to a program")
    try:
        size = sum(len(os.fsencode(word)) + 1 for word in words)
    except UnicodeEncodeError as error:
        raise UsageError(f"{error.object!r} can't be passed to a program") from error
    if size > MOST_ARGUMENT_BYTES:
        raise UsageError(f"arguments and environment have {size} bytes; at most {MOST_ARGUMENT_BYTES} are allowed")
    for name in command.env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("LD_"):
            raise UsageError(f"{name!r} can't be set in the sandbox's environment")
    for name in command.files:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
            raise UsageError(f"{name!r} is no plain file name")
    _check_limits(command)


def _check_limits(command: Command) -> None:
    for name in Limits.__dataclass_fields__:
        least, value, most = (getattr(one, name) for one in (_LEAST, command.limits, _MOST))
        if not least <= value <= most:
            raise UsageError(f"{name} is {value}; allowed are {least} to {most}")
    if sum(map(len, command.files.values())) > command.limits.work:
        raise UsageError(f"the files have more than the {command.limits.work} bytes of the working directory")


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise Refused("/proc/meminfo tells no MemAvailable")


def _end(group: Group) -> None:
    """No process and no group stays. What fails here is found again by the next sweep."""
    with contextlib.suppress(OSError):
        if group.members():
            group.kill()
        group.remove()


# ---------------------------------------------------------------- one run


def _run(ready: _Ready, group: Group, command: Command, cancelled: Callable[[], bool]) -> Outcome:
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        started = _launch(ready, group, command, stack)
        watch = Watch(started.output, command.limits.output)
        try:
            child = _await_setup(started, group, watch, began + SETUP_WITHIN_S)
            work = stack.enter_context(artefacts.holding(child, launch.WORK))
            os.write(started.hold, b"1")
            ended = watch.until_end(started.process, group, began + command.limits.timeout_s, cancelled)
        finally:
            emptied = group.kill() if group.members() else True
            started.process.kill()
            started.process.wait()
            _reap(started.child)
        watch.drain()
        usage = replace(group.usage(), wall_ms=(time.monotonic() - began) * 1e3)
        left = artefacts.collect(work, command.limits.artefacts)
    outcome = _judged(ended, started.process.returncode, group.oom(), watch, usage, command.limits)
    why = outcome.why if emptied else f"{outcome.why}; not all of its processes could be killed".lstrip("; ")
    return replace(outcome, output=escaped(watch.text()), why=why, artefacts=left)


def _judged(ended: str, code: int, oom: bool, watch: Watch, usage: Usage, limits: Limits) -> Outcome:
    """The status, by what the kernel counted and what this service itself did."""
    if oom:
        return Outcome(RunStatus.OOM, code, usage=usage, why=f"needed more than {limits.memory} bytes of memory")
    if watch.full:
        return Outcome(RunStatus.OUTPUT_LIMIT, code, usage=usage, why=f"wrote more than {limits.output} bytes")
    if ended == "late":
        return Outcome(RunStatus.TIMEOUT, code, usage=usage, why=f"ran longer than {limits.timeout_s:g} s")
    if ended == "cancelled":
        return Outcome(RunStatus.FAILED, code, usage=usage, why="cancelled")
    if code == 0:
        return Outcome(RunStatus.OK, code, usage=usage)
    return Outcome(RunStatus.FAILED, code, usage=usage, why=f"ended with {code}")


@dataclass(slots=True)
class _Started:
    """A launched process that waits: its output, where it tells its first process, and what lets it go on."""

    process: subprocess.Popen[bytes]
    output: int
    info: int
    hold: int
    child: int = 0


def _launch(ready: _Ready, group: Group, command: Command, stack: contextlib.ExitStack) -> _Started:
    theirs = contextlib.ExitStack()
    with theirs:
        info_r, info_w = _pipe(stack, theirs)
        hold_w, hold_r = reversed(_pipe(theirs, stack))
        output_r, output_w = _pipe(stack, theirs)
        contents = {**launch.covers(), **command.files}
        files = {name: _holding(data, theirs) for name, data in sorted(contents.items())}
        filter_fd = _holding(ready.filter, theirs)
        told = launch.options(command, seccomp=filter_fd, info=info_w, hold=hold_r, files=files)
        options = _holding(b"".join(os.fsencode(word) + b"\0" for word in told), theirs)
        process = subprocess.Popen(  # noqa: S603 - no shell sees the payload's words, and nothing outside the sandbox runs them
            ready.launcher.argv(group.doors(), options, command.argv),
            stdin=subprocess.DEVNULL,
            stdout=output_w,
            stderr=output_w,
            env={},  # bwrap's own environment shows in the sandbox as /proc/1/environ
            cwd=ready.launcher.bwrap.parent,
            pass_fds=(info_w, hold_r, filter_fd, options, *files.values()),
            process_group=0,
        )
    return _Started(process, output_r, info_r, hold_w)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe, each end closed by the stack that owns it."""
    r, w = os.pipe()
    reader.callback(os.close, r)
    writer.callback(os.close, w)
    return r, w


def _holding(data: bytes, stack: contextlib.ExitStack) -> int:
    """A descriptor to read `data` from; no file on any disk."""
    descriptor = os.memfd_create("aiops", os.MFD_CLOEXEC)
    stack.callback(os.close, descriptor)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _await_setup(started: _Started, group: Group, watch: Watch, deadline: float) -> int:
    """The sandbox's first process, once all is mounted and it waits. Refused when it doesn't come to that, or isn't confined."""
    started.child = _told_child(started, watch, deadline)
    while not launch.is_up(started.child):
        if time.monotonic() > deadline:
            raise Refused(f"the sandbox was not ready within {SETUP_WITHIN_S:g} s")
        if started.process.poll() is not None:
            raise Refused(_failure(started, watch))
        time.sleep(0.0005)
    launch.verify(started.child, group.name, len(group.doors()))
    return started.child


def _told_child(started: _Started, watch: Watch, deadline: float) -> int:
    told = b""
    while b"}" not in told:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([started.info], [], [], left)[0]:
            raise Refused(f"bubblewrap told nothing within {SETUP_WITHIN_S:g} s")
        piece = os.read(started.info, 4096)
        if not piece:
            raise Refused(_failure(started, watch))
        told += piece
    return int(json.loads(told)["child-pid"])


def _failure(started: _Started, watch: Watch) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.process.wait(1.0)
    watch.drain()
    said = " ".join(escaped(watch.text()).split())
    return f"the sandbox could not be set up: {said or f'ended with {started.process.returncode}'}"


def _reap(child: int) -> None:
    """Where this service is process 1, what bwrap leaves is its child."""
    if child and os.getpid() == 1:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)

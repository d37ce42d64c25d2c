"""Runs from beginning to end: how they are told to have ended, the room there is, what is left, and who cleans up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aiops import cli
from aiops.adapters.sandbox import Bubblewrap, bubblewrap, cgroups, seccomp
from aiops.bench import sandbox as bench
from aiops.domain import Command, Limits, RunStatus
from aiops.errors import Refused, UsageError

from confined import groups_left

TRUE = Command(("/bin/true",))


def shell(script: str, **limits: Any) -> Command:
    return Command(("/bin/sh", "-c", script), limits=Limits(**limits))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_run_tells_what_it_did(sandbox: Bubblewrap) -> None:
    command = Command(
        ("/bin/sh", "-c", 'cat note; echo "$NAME" >&2; pwd; mkdir out; echo result >out/r; exit 7'),
        {"NAME": "a b; $(id)"},
        {"note": b"hello\n"},
    )
    outcome = sandbox.run(command)
    assert (outcome.status, outcome.exit_code, outcome.why) == (RunStatus.FAILED, 7, "ended with 7")
    assert outcome.output == "hello\na b; $(id)\n/work\n"
    assert outcome.artefacts == {"r": b"result\n"}
    assert outcome.usage.wall_ms > outcome.usage.cpu_ms > 0
    assert outcome.usage.memory_peak > 100_000
    assert 2 < outcome.usage.pids_peak <= 32


def test_arguments_reach_the_program_as_they_are(sandbox: Bubblewrap) -> None:
    words = ["--help", "-c", "a b", "", "*", "$HOME", "`id`", "\n", "--", "'\"", "é", ";reboot"]
    outcome = sandbox.run(Command(("/usr/bin/printf", "[%s]", *words)))
    assert outcome.output == "".join(f"[{word}]" for word in words)


def test_a_program_that_is_not_there_is_a_failure_of_the_run(sandbox: Bubblewrap) -> None:
    outcome = sandbox.run(Command(("no-such-program",)))
    assert (outcome.status, outcome.exit_code) == (RunStatus.FAILED, 1)
    assert "no-such-program" in outcome.output


def test_a_run_can_be_cancelled(sandbox: Bubblewrap) -> None:
    began = time.monotonic()
    outcome = sandbox.run(shell("sleep 60"), lambda: time.monotonic() > began + 0.3)
    assert (outcome.status, outcome.why) == (RunStatus.FAILED, "cancelled")
    assert time.monotonic() - began < 50


def test_the_limits_are_those_of_the_command(sandbox: Bubblewrap) -> None:
    fits = "head -c 40000000 /dev/zero | tail -c 40000000 | wc -c"
    assert sandbox.run(shell(fits)).output.strip() == "40000000"
    assert sandbox.run(shell(fits, memory=32 << 20)).status is RunStatus.OOM
    assert sandbox.run(shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait", pids=9)).status is RunStatus.FAILED
    assert sandbox.run(shell("echo 12345", output=5)).status is RunStatus.OUTPUT_LIMIT
    assert sandbox.run(shell("echo 1234", output=5)).output == "1234\n"
    assert sandbox.run(shell("sleep 9", timeout_s=0.2)).status is RunStatus.TIMEOUT


@pytest.mark.parametrize(
    "command",
    [
        Command(()),
        Command(("",)),
        Command(("a\0b",)),
        Command(("/bin/true",), {"A=B": "c"}),
        Command(("/bin/true",), {"LD_PRELOAD": "x.so"}),
        Command(("/bin/true",), {"A": "\0"}),
        Command(("/bin/true",), {"A": "\ud800"}),
        Command(("/bin/true",), files={"../a": b""}),
        Command(("/bin/true",), files={"-rf": b""}),
        Command(("/bin/true",), files={".": b""}),
        Command(("/bin/true",), files={"a/b": b""}),
        Command(("/bin/true",), files={"big": bytes(65 << 20)}),
        Command(("/bin/true", "x" * 200_000)),
        shell("", timeout_s=float("nan")),
        shell("", timeout_s=0.0),
        shell("", timeout_s=1e9),
        shell("", memory=1 << 50),
        shell("", memory=-1),
        shell("", pids=1),
        shell("", pids=1 << 20),
        shell("", cpu_weight=0),
    ],
)
def test_what_can_be_no_command_is_said_so(sandbox: Bubblewrap, command: Command) -> None:
    with pytest.raises(UsageError):
        sandbox.run(command)


# ---------------------------------------------------------------- room


def test_no_more_run_at_once_than_may(bwrap: Path) -> None:
    sandbox = Bubblewrap(bwrap, most=3)
    sandbox.sweep()  # what another test has left takes room
    together, told = threading.Barrier(9), list[tuple[RunStatus, str]]()

    def one(_: int) -> None:
        together.wait()
        outcome = sandbox.run(shell("sleep 60", timeout_s=60.0), lambda: len(told) >= 6)  # until the others were told
        told.append((outcome.status, outcome.why))

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(one, range(9)))
    assert Counter(status for status, _ in told) == {RunStatus.FAILED: 3, RunStatus.REJECTED: 6}
    assert {why for status, why in told if status is RunStatus.REJECTED} == {
        "3 runs at once are the most (sandbox.most = 3)"
    }
    assert sandbox.run(TRUE).status is RunStatus.OK


def test_what_does_not_fit_into_memory_is_rejected_with_the_figures(
    sandbox: Bubblewrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "_available", lambda: 150 << 20)
    outcome = sandbox.run(TRUE)
    assert outcome.status is RunStatus.REJECTED
    assert str(128 << 20) in outcome.why
    assert str((150 - 64) << 20) in outcome.why


def test_many_runs_leave_nothing(bwrap: Path) -> None:
    sandbox = Bubblewrap(bwrap, most=8)
    sandbox.ping(10.0)
    open_before, processes = descriptors(), set(Path("/proc").glob("[0-9]*"))
    scripts = {
        "true": 60.0,
        "exit 3": 60.0,
        "sleep 30": 1.0,
        "sleep 30 & sleep 30 & exit 0": 60.0,
        "yes": 60.0,
        "head -c 99999 /dev/zero >f; mkdir out": 60.0,
    }
    commands = [shell(script, timeout_s=seconds) for _ in range(10) for script, seconds in scripts.items()]
    with ThreadPoolExecutor(6) as pool:
        told = Counter(outcome.status for outcome in pool.map(sandbox.run, commands))
    assert told == {RunStatus.OK: 30, RunStatus.FAILED: 10, RunStatus.TIMEOUT: 10, RunStatus.OUTPUT_LIMIT: 10}
    assert not groups_left(os.getpid())
    assert descriptors() <= open_before
    mine = [path for path in set(Path("/proc").glob("[0-9]*")) - processes if descends(int(path.name))]
    assert mine == []


def descends(pid: int) -> bool:
    """Whether a process is a child, however far, of this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


# ---------------------------------------------------------------- who can't confine


@pytest.mark.parametrize(
    "bwrap", [None, Path("/nowhere/bwrap"), Path("/bin/false"), Path("/bin/true"), Path("/bin/cat")]
)
def test_without_a_working_bubblewrap_nothing_runs(bwrap: Path | None) -> None:
    sandbox = Bubblewrap(bwrap)
    outcome = sandbox.run(shell("touch /tmp/ran"))
    assert outcome.status is RunStatus.REFUSED
    assert outcome.why
    with pytest.raises(Refused):
        sandbox.ping(5.0)
    assert not groups_left(os.getpid())


def test_without_a_group_that_can_be_limited_nothing_runs(bwrap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "_mounts", list)
    outcome = Bubblewrap(bwrap).run(TRUE)
    assert outcome.status is RunStatus.REFUSED
    assert "Delegate=yes" in outcome.why


def test_a_subtree_that_is_not_there_is_refused(bwrap: Path) -> None:
    outcome = Bubblewrap(bwrap, group="no/such/place").run(TRUE)
    assert outcome.status is RunStatus.REFUSED


def test_on_another_architecture_nothing_runs(bwrap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    assert Bubblewrap(bwrap).run(TRUE).status is RunStatus.REFUSED


def test_both_filters_are_whole() -> None:
    for machine in seccomp.ARCHITECTURES:
        program = seccomp.program(machine)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096  # the kernel's limit


# ---------------------------------------------------------------- the service dies


def test_what_a_killed_service_leaves_is_swept(sandbox: Bubblewrap, bwrap: Path) -> None:
    code = f"""
from pathlib import Path
from aiops.adapters.sandbox import Bubblewrap
from aiops.domain import Command
Bubblewrap(Path({str(bwrap)!r})).run(Command(("/bin/sleep", "4242.5")))
"""
    sandbox.sweep()  # of whom another test has killed
    with subprocess.Popen([sys.executable, "-c", code]) as service:
        await_true(lambda: sleepers() and groups_left(service.pid))
        assert sandbox.sweep() == 0, "a run of a living service is its own"
        service.send_signal(signal.SIGKILL)
    await_true(lambda: not sleepers())
    assert groups_left(service.pid)
    assert sandbox.sweep() == 1
    assert not groups_left(service.pid)


def sleepers() -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if file.read_bytes() == b"/bin/sleep\x004242.5\x00":
                found.append(file.parent.name)
        except OSError:
            continue
    return found


def await_true(what: Any) -> None:
    deadline = time.monotonic() + 120
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_thread_that_asked_may_end_when_its_run_has(sandbox: Bubblewrap) -> None:
    told: list[RunStatus] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: told.append(sandbox.run(shell("sleep 0.2")).status))
        thread.start()
        thread.join()
    assert told == [RunStatus.OK] * 3


# ---------------------------------------------------------------- the command line


def test_the_command_line(bwrap: Path, sandbox: Bubblewrap, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AIOPS_SANDBOX__BUBBLEWRAP", str(bwrap))
    (tmp_path / "data").write_text("content")
    assert cli.run(["sandbox", "probe"]) == 0
    assert "bubblewrap" in capsys.readouterr().out
    line = [
        "sandbox",
        "run",
        "--env",
        "A=b=c",
        "--file",
        str(tmp_path / "data"),
        "--",
        "sh",
        "-c",
        'cat data; echo "$A"; exit 3',
    ]
    assert cli.run(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["exit_code"], told["output"]) == ("failed", 3, "contentb=c\n")
    assert set(told["usage"]) == {"wall_ms", "cpu_ms", "memory_peak", "pids_peak"}
    assert cli.run(["sandbox", "run", "--memory", "much", "--", "true"]) == 2
    assert cli.run(["sandbox", "run", "--pids", "0", "--", "true"]) == 2
    monkeypatch.setenv("AIOPS_SANDBOX__BUBBLEWRAP", "/nowhere/bwrap")
    capsys.readouterr()
    assert cli.run(["sandbox", "run", "--", "true"]) == 4
    assert json.loads(capsys.readouterr().out)["status"] == "refused"
    assert cli.run(["sandbox", "probe"]) == 4


def test_the_bench_measures_both(sandbox: Bubblewrap) -> None:
    figures = json.loads(bench.run(sandbox, as_json=True, rounds=3))["figures"]
    assert [figure["program"] for figure in figures] == ["true", "python"]
    assert all(figure["sandboxed_p50_ms"] > 0 < figure["bare_p50_ms"] for figure in figures)

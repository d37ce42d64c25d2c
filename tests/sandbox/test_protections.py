"""Each protection is needed: without it an attack escapes that it contains. What is covered twice escapes without both.

The sandbox has no switch for any of this, so that the tests take its parts apart.
"""

from __future__ import annotations

import os
import platform
import struct
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from aiops.adapters.sandbox import Bubblewrap, artefacts, bubblewrap, cgroups, launch, seccomp
from aiops.domain import Command, Limits, RunStatus

from confined import Host, attacked, attacks, contained

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attacks' system calls are those of x86_64")
Patch = pytest.MonkeyPatch
Options = list[str]

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="a user without privileges has none to drop")


def with_options(patch: Patch, change: Callable[[Options], Options]) -> None:
    made = launch.options
    patch.setattr(launch, "options", lambda *a, **k: change(list(made(*a, **k))))


def without(*words: str) -> Callable[[Options], Options]:
    """Takes a run of words out of the options, which must be there."""

    def change(options: Options) -> Options:
        for at in range(len(options)):
            if tuple(options[at : at + len(words)]) == words:
                return options[:at] + options[at + len(words) :]
        raise AssertionError(f"{words} is no option")

    return change


def instead(old: Sequence[str], new: Sequence[str]) -> Callable[[Options], Options]:
    def change(options: Options) -> Options:
        for at in range(len(options)):
            if options[at : at + len(old)] == list(old):
                return [*options[:at], *new, *options[at + len(old) :]]
        raise AssertionError(f"{old} is no option")

    return change


def unverified(patch: Patch) -> None:
    patch.setattr(launch, "verify", lambda *_: None)


def no_filter(patch: Patch) -> None:
    patch.setattr(bubblewrap.seccomp, "program", lambda: struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))


def no_arch_check(patch: Patch) -> None:
    whole = seccomp.program()
    patch.setattr(bubblewrap.seccomp, "program", lambda: whole[3 * 8 :])  # load, compare and refusal come first


def unlimited(*files: str) -> Callable[[Patch], None]:
    def remove(patch: Patch) -> None:
        written = cgroups._set
        patch.setattr(cgroups, "_set", lambda path, value: None if path.name in files else written(path, value))

    return remove


def no_network(patch: Patch) -> None:
    unverified(patch)
    with_options(patch, without("--unshare-net"))


def no_network_and_no_filter(patch: Patch) -> None:
    no_network(patch)
    no_filter(patch)


def no_process_namespace(patch: Patch) -> None:
    unverified(patch)
    with_options(
        patch,
        lambda o: instead(["--proc", "/proc"], ["--ro-bind", "/proc", "/proc"])(without("--unshare-pid")(masks(o))),
    )


def masks(options: Options) -> Options:
    """Without what covers files of /proc."""
    kept: Options = []
    for at, word in enumerate(options):
        if word.startswith("/proc/") and options[at - 2] == "--ro-bind-data":
            del kept[-4:]
        else:
            kept.append(word)
    return kept


def own(name: str) -> Callable[[Patch], None]:
    def remove(patch: Patch) -> None:
        unverified(patch)
        with_options(patch, without(f"--unshare-{name}"))

    return remove


def host_name(patch: Patch) -> None:
    unverified(patch)
    with_options(patch, lambda o: without("--hostname", "repair")(without("--unshare-uts")(o)))


def own_root(patch: Patch) -> None:
    with_options(patch, instead(["--ro-bind", "/usr", "/usr"], ["--bind", "/", "/host", "--ro-bind", "/usr", "/usr"]))


def privileges(patch: Patch) -> None:
    no_filter(patch)
    with_options(
        patch,
        instead(
            ["--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"], ["--uid", "0", "--gid", "0", "--cap-add", "ALL"]
        ),
    )
    patched = launch.options
    patch.setattr(launch, "options", lambda *a, **k: without("--disable-userns")(patched(*a, **k)))


def user_namespaces(patch: Patch) -> None:
    no_filter(patch)
    with_options(patch, without("--disable-userns"))


def masked_proc(patch: Patch) -> None:
    with_options(patch, masks)


def temporary_size(patch: Patch) -> None:
    mount = ["--perms", "1777", "--tmpfs", "/tmp"]
    with_options(patch, instead(["--size", str(Limits().tmp), *mount], mount))


def work_size(patch: Patch) -> None:
    with_options(patch, without("--size", str(Limits().work)))


def resource_limits(patch: Patch) -> None:
    patch.setattr(launch, "_SHIM", launch._SHIM.replace("ulimit -c 0 && ulimit -n 256 && ", ""))


def service_user(patch: Patch) -> None:
    unverified(patch)
    patch.setattr(launch.os, "geteuid", lambda: 1)


def service_environment(patch: Patch) -> None:
    started = subprocess.Popen
    patch.setattr(bubblewrap.subprocess, "Popen", lambda *a, **k: started(*a, **{**k, "env": dict(os.environ)}))


def service_descriptors(patch: Patch) -> None:
    started = subprocess.Popen

    def leaking(*arguments: Any, **named: Any) -> Any:
        for descriptor in named.pop("pass_fds"):
            os.set_inheritable(descriptor, True)
        return started(*arguments, **named, close_fds=False)

    patch.setattr(bubblewrap.subprocess, "Popen", leaking)


REMOVED = [
    (unlimited("memory.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "memory bomb"),
    (unlimited("pids.max"), "fork bomb"),
    (no_network, "abstract socket"),
    (no_network_and_no_filter, "loopback"),
    (no_process_namespace, "host's processes"),
    (own("ipc"), "SysV IPC"),
    (own("cgroup"), "control group"),
    (host_name, "host's name"),
    (own_root, "host's folder"),
    (privileges, "mounts"),
    (user_namespaces, "new namespaces"),
    (masked_proc, "/proc writes"),
    (no_filter, "key ring"),
    (no_filter, "ptrace"),
    (no_filter, "socket families"),
    (no_arch_check, "i386 calls"),
    (temporary_size, "full /tmp"),
    (work_size, "full working directory"),
    (resource_limits, "descriptors"),
    (resource_limits, "raised limits"),
    pytest.param(service_user, "/proc writes", marks=root_only),
    (service_environment, "secrets of the service"),
    (service_descriptors, "descriptors of the service"),
]


@pytest.mark.parametrize(("remove", "name"), REMOVED)
def test_without_it_an_attack_escapes(
    remove: Callable[[Patch], None], name: str, bwrap: Any, sandbox: Bubblewrap, host: Host, monkeypatch: Patch
) -> None:
    attack = attacks.NAMED[name]
    assert not contained(attack, *attacked(sandbox, attack, host), host)
    if remove is own_root:
        attack = attacks.Attack(name, attack.code.replace('["ATTACK_FOLDER"]', '["ATTACK_FOLDER"].join(["/host", ""])'))
    with monkeypatch.context() as patch:
        remove(patch)
        outcome, escaped = attacked(Bubblewrap(bwrap), attack, host)
    assert escaped, (outcome.status, outcome.why, outcome.output)
    with suppress(FileNotFoundError):
        (host.folder / "mark").unlink()


NAMESPACES = ("user", "ipc", "net", "uts", "cgroup")


@pytest.mark.parametrize("name", NAMESPACES)
def test_a_launch_without_a_namespace_is_refused(name: str, bwrap: Any, monkeypatch: Patch) -> None:
    """What a newer or older bwrap might not do any more is seen from outside, before the payload's first instruction."""
    with_options(
        monkeypatch, lambda o: without(f"--unshare-{name}")(o if name != "uts" else without("--hostname", "repair")(o))
    )
    outcome = Bubblewrap(bwrap).run(Command(("/bin/true",)))
    assert outcome.status is RunStatus.REFUSED
    assert name in outcome.why


def test_a_launch_outside_its_group_is_refused(bwrap: Any, monkeypatch: Patch) -> None:
    monkeypatch.setattr(launch, "_SHIM", launch._SHIM.replace('echo 0 >"$1" || exit 125', ":"))
    outcome = Bubblewrap(bwrap).run(Command(("/bin/true",)))
    assert (outcome.status, outcome.why) == (RunStatus.REFUSED, "the sandbox is not in its control group")


@root_only
def test_a_launch_as_root_is_refused(bwrap: Any, monkeypatch: Patch) -> None:
    argv = launch.Launcher.argv
    monkeypatch.setattr(
        launch.Launcher,
        "argv",
        lambda *a: [word for word in argv(*a) if not word.startswith(("--reuid", "--regid", "--clear"))],
    )
    outcome = Bubblewrap(bwrap).run(Command(("/bin/true",)))
    assert (outcome.status, outcome.why) == (RunStatus.REFUSED, "the sandbox runs as root")


def test_a_limit_that_does_not_hold_is_refused(bwrap: Any, monkeypatch: Patch) -> None:
    sandbox = Bubblewrap(bwrap)
    sandbox.ping(10.0)
    monkeypatch.setattr(cgroups.Path, "write_text", lambda *_: 0)
    outcome = sandbox.run(Command(("/bin/true",)))
    assert outcome.status is RunStatus.REFUSED
    assert "after it was set to" in outcome.why


def test_links_that_were_followed_would_lead_out(sandbox: Bubblewrap, host: Host, monkeypatch: Patch) -> None:
    monkeypatch.setattr(artefacts, "_NO_LINKS", os.O_CLOEXEC | os.O_NONBLOCK)
    outcome, _ = attacked(sandbox, attacks.NAMED["artefacts that lead out"], host)
    assert set(outcome.artefacts) > {"line\nbreak"}

"""How a run is shut in: the way from this service's process to the first instruction of the payload.

sh   puts itself into the control group and lowers its resource limits: whatever comes after it is counted
setpriv   takes a user of its own, where this service is root, and can never win privileges again
bwrap   makes new namespaces, a root of read-only mounts and memory, no capabilities, the system call filter; and waits
(this service looks at all that from outside, and only then lets it go on)
payload
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.domain import Command
from aiops.errors import Refused

INSIDE_ID = 1000  # of user and group, as the payload sees itself
WORK, DOOR, READY = "/work", "/run/aiops.sock", "/run/ready"
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
OPEN_FILES = 256
_LARGEST_FILE = 128 << 20

# Positional: how many doors of control groups, these, and the command. `echo 0` means the writing process itself.
_SHIM = f"""
n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 125; shift; n=$((n - 1)); done
ulimit -c 0 && ulimit -n {OPEN_FILES} && ulimit -f {_LARGEST_FILE // 512} || exit 125
exec "$@"
"""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TREES = ("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin")
_ETC = ("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "services")
_DEVICES = ("full", "null", "random", "urandom", "zero")
_MASKED = (
    "cmdline",
    "config.gz",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "modules",
    "sched_debug",
    "timer_list",
)
_ACCOUNTS = {
    "passwd": f"repair:x:{INSIDE_ID}:{INSIDE_ID}::{WORK}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "group": f"repair:x:{INSIDE_ID}:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
}


@dataclass(frozen=True, slots=True)
class Launcher:
    """The programs on the way, and the user that a root service hands a run over to."""

    bwrap: Path
    shell: Path
    setpriv: Path
    uid: int

    @staticmethod
    def find(bwrap: Path | None, uid: int) -> Launcher:
        """Refused when one is not there."""
        if bwrap is None or not os.access(bwrap, os.X_OK):
            raise Refused("bubblewrap (bwrap) is not there: install the package bubblewrap, or set sandbox.bubblewrap")
        return Launcher(bwrap.resolve(), _program("sh"), _program("setpriv"), uid)

    def argv(self, doors: Sequence[Path], options: int, payload: Sequence[str]) -> list[str]:
        """The whole command line. bwrap's own options come through the descriptor `options`, where no other user reads them.

        bwrap is started as `./bwrap`, from its folder: the run's user needs no way to that folder."""
        user = [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] if os.geteuid() == 0 else []
        return [
            *(str(self.shell), "-c", _SHIM, "sh", str(len(doors)), *map(str, doors)),
            *(str(self.setpriv), *user, "--no-new-privs", "--"),
            *(f"./{self.bwrap.name}", "--args", str(options), "--", *payload),
        ]


def _program(name: str) -> Path:
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise Refused(f"{name} is not there")
    return Path(found)


def options(command: Command, *, seccomp: int, info: int, hold: int, files: dict[str, int]) -> list[str]:
    """The options of bwrap. The numbers are descriptors: the filter, where to tell the first process, what to wait on, each file."""
    return [
        *(f"--unshare-{name}" for name in ("user", "ipc", "pid", "net", "uts", "cgroup")),
        *("--disable-userns", "--die-with-parent", "--new-session", "--hostname", "repair"),
        *("--uid", str(INSIDE_ID), "--gid", str(INSIDE_ID), "--cap-drop", "ALL"),
        *("--info-fd", str(info), "--block-fd", str(hold), "--seccomp", str(seccomp)),
        *_root(command, files),
        *_environment(command),
    ]


def _root(command: Command, files: dict[str, int]) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for tree in _TREES:
        if Path(tree).is_symlink():
            yield from ("--symlink", str(Path(tree).readlink()), tree)
        elif Path(tree).is_dir():
            yield from ("--ro-bind", tree, tree)
    yield from ("--dir", "/etc")
    for name in _ETC:
        if Path("/etc", name).exists():
            yield from ("--ro-bind", f"/etc/{name}", f"/etc/{name}")
    for name in _ACCOUNTS:
        yield from ("--perms", "0444", "--ro-bind-data", str(files[f"/etc/{name}"]), f"/etc/{name}")
    yield from _kernel(files)
    limits = command.limits
    yield from ("--size", str(limits.tmp), "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108 - the sandbox's own
    yield from ("--size", str(limits.work), "--perms", "0700", "--tmpfs", WORK, "--chdir", WORK)
    for name in sorted(command.files):
        yield from ("--perms", "0755", "--file", str(files[name]), f"{WORK}/{name}")
    yield from ("--dir", "/run")
    if command.door:
        yield from ("--ro-bind", command.door, DOOR)
    yield from ("--dir", READY, "--remount-ro", "/")


def _kernel(files: dict[str, int]) -> Iterator[str]:
    """/proc without what tells of the host, and a /dev that holds nothing but harmless devices."""
    yield from ("--proc", "/proc")
    for name in _masked():
        yield from ("--perms", "0000", "--ro-bind-data", str(files[name]), name)
    yield from ("--size", "65536", "--tmpfs", "/dev")
    for name in _DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield from ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")
    yield from ("--symlink", "/proc/self/fd", "/dev/fd", "--dir", "/dev/shm", "--remount-ro", "/dev")  # noqa: S108
    yield from ("--size", str(16 << 20), "--perms", "1777", "--tmpfs", "/dev/shm")  # noqa: S108


def _environment(command: Command) -> Iterator[str]:
    yield "--clearenv"
    ours = {"PATH": _PATH, "HOME": WORK, "TMPDIR": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 - the sandbox's own
    for name, value in sorted({**ours, **command.env}.items()):
        yield from ("--setenv", name, value)


def covers() -> dict[str, bytes]:
    """The files that a run sees instead of the host's, by path: accounts of its own, and nothing where the kernel tells of others."""
    return {f"/etc/{name}": text.encode() for name, text in _ACCOUNTS.items()} | dict.fromkeys(_masked(), b"")


def _masked() -> list[str]:
    return [f"/proc/{name}" for name in _MASKED if Path("/proc", name).exists()]


def is_up(child: int) -> bool:
    """Whether the sandbox's first process stands in its final root."""
    return os.path.isdir(f"/proc/{child}/root{READY}")  # noqa: PTH112 - pathlib would resolve nothing more, and slower


def verify(child: int, group: str, doors: int) -> None:
    """Looks from outside at what the payload will run in. Refused when anything that should hold does not."""
    shared = [name for name in NAMESPACES if _namespace("self", name) == _namespace(str(child), name)]
    if shared:
        raise Refused(f"the sandbox shares the host's {', '.join(shared)} namespace")
    places = Path(f"/proc/{child}/cgroup").read_text().splitlines()
    if sum(line.rpartition("/")[2] == group for line in places) < doors:
        raise Refused("the sandbox is not in its control group")
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{child}/status").read_text().splitlines() if ":\t" in line
    )
    if status.get("NoNewPrivs") != "1":
        raise Refused("the sandbox could win privileges")
    if os.geteuid() == 0 and status["Uid"].split()[0] == "0":
        raise Refused("the sandbox runs as root")


def _namespace(process: str, name: str) -> str:
    return str(Path(f"/proc/{process}/ns/{name}").readlink())

"""A virtual machine with control groups of version 2 alone, in which a script of the tests runs as root.

qemu translates every instruction (no KVM is counted on): what takes a second here takes five there. The machine has no disk: its
root is an archive of this Python, this package, bubblewrap and busybox, unpacked into memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import aiops

from servers.parts import ROOT, Missing, binary, environment

WITHIN_S = 1200  # it takes two minutes, and many more on a busy machine
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages", "turtledemo", "pydoc_data"}
_INIT = """#!/bin/busybox sh
/bin/busybox mount -t tmpfs -o size=80% none /new
/bin/busybox cp -a /image/. /new/
cd /new
exec /bin/busybox switch_root /new /start
"""
_START = """#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
$B mount -t cgroup2 none /sys/fs/cgroup
$B mount -t tmpfs none /tmp
$B ip link set lo up
$B cut -d' ' -f1 /proc/uptime
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt /usr/bin/python3 /opt/script.py </dev/null
echo "ended with $?"
$B poweroff -f
"""


class Machine:
    """The virtual machine, from its start on. It gives way to whatever else is to be done. Raises `Missing` without qemu."""

    def __init__(self, script: Path) -> None:
        qemu, kernel = binary("qemu-system-x86_64"), _kernel()
        self._folder = tempfile.TemporaryDirectory(prefix="aiops-machine-")
        folder = Path(self._folder.name)
        archive, self._console = folder / "root.cpio", folder / "console"
        with archive.open("wb") as out:
            _write(out, _layout(script, folder))
        firmware = [word for name in ("qemu", "seabios") for word in ("-L", str(ROOT / "usr/share" / name))]
        command = [
            *("nice", str(qemu), *(firmware if qemu.is_relative_to(ROOT) else [])),
            *("-accel", "tcg", "-cpu", "max", "-m", "1536", "-smp", "1", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(kernel), "-initrd", str(archive)),
            *("-append", "console=ttyS0 panic=-1 quiet mitigations=off"),
        ]
        with self._console.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment()
            )

    def told(self) -> list[dict[str, Any]]:
        """The lines of JSON that the script prints, once it has ended. AssertionError when it fails there, or takes too long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(WITHIN_S)
        said = self._console.read_text(errors="replace").replace("\r", "")
        assert "ended with 0" in said, said[-3000:]
        return [json.loads(line) for line in said.splitlines() if line.startswith('{"')]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


@cache
def running() -> Machine:
    """The one that runs guest.py, started with the first call. Raises `Missing`."""
    return Machine(Path(__file__).with_name("guest.py"))


def _kernel() -> Path:
    found = sorted(ROOT.glob("boot/vmlinuz-*-cloud-amd64"))
    if not found:
        raise Missing("virtual-machine")
    return found[-1]


# ---------------------------------------------------------------- the root


def _layout(script: Path, folder: Path) -> Iterator[tuple[str, Path | str]]:
    """What lies where: a path, and the file that is copied there, or `-> TARGET` for a link, or "" for a folder."""
    for name, text in (("init", _INIT), ("start", _START)):
        (folder / name).write_text(text)
    yield "new", ""
    yield "image", ""
    yield "init", folder / "init"
    yield "bin", ""
    yield "bin/busybox", binary("busybox")
    yield from ((f"image/{path}", what) for path, what in _root(script, folder))


def _root(script: Path, folder: Path) -> Iterator[tuple[str, Path | str]]:
    yield from ((name, "") for name in ("dev", "etc", "opt", "proc", "run", "sys", "tmp", "usr", "var"))
    yield from ((f"usr/{name}", "") for name in ("bin", "lib", "lib64", "sbin"))
    yield from ((name, f"-> usr/{name}") for name in ("bin", "lib", "lib64", "sbin"))
    yield "start", folder / "start"
    yield "usr/bin/busybox", binary("busybox")
    programs = {"bwrap": binary("bwrap"), "python3": Path(sys.executable).resolve()}
    programs |= {
        name: Path(found) for name in ("sh", "setpriv", "true", "sleep", "id") if (found := shutil.which(name))
    }
    yield from ((f"usr/bin/{name}", path.resolve()) for name, path in programs.items())
    library = Path(os.__file__).parent
    yield from _tree(library, f"usr/lib/{library.name}")
    yield from _tree(Path(aiops.__file__).parent / "adapters" / "sandbox", "opt/aiops/adapters/sandbox")
    for name in ("__init__", "domain", "errors", "adapters/__init__"):
        yield f"opt/aiops/{name}.py", Path(aiops.__file__).parent / f"{name}.py"
    arrays = Path(np.__file__).parent
    yield from _tree(arrays, "opt/numpy")
    yield from _tree(arrays.parent / "numpy.libs", "opt/numpy.libs")
    yield from _tree(Path(__file__).parent, "opt/confined")
    yield "opt/script.py", script
    modules = [*library.glob("lib-dynload/*.so"), *arrays.rglob("*.so"), *(arrays.parent / "numpy.libs").glob("*.so*")]
    yield from _libraries([*programs.values(), *modules])


def _tree(top: Path, place: str) -> Iterator[tuple[str, Path | str]]:
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        below = Path(place, Path(folder).relative_to(top))
        yield from ((str(parent), "") for parent in reversed(below.parents[:-1]))
        yield str(below), ""
        yield from ((str(below / name), Path(folder, name)) for name in sorted(files) if not name.endswith(".a"))


def _libraries(programs: list[Path]) -> Iterator[tuple[str, Path | str]]:
    told = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    for name in sorted(set(re.findall(r"(/[^\s:]+\.so[^\s:]*) \(0x", told))):
        path = Path(name)
        if "numpy" in path.parts or "numpy.libs" in path.parts:
            continue
        place = Path(*path.parts[1:]) if path.parts[1] == "usr" else Path("usr", *path.parts[1:])
        if path.parts[1] != "usr" and not path.parts[1].startswith("lib"):
            place = Path(
                "usr/lib/x86_64-linux-gnu", path.name
            )  # a Python of its own has its library where only it looks
        yield from ((str(parent), "") for parent in reversed(place.parents[:-1]))
        yield str(place), path.resolve()


def _write(out: Any, layout: Iterator[tuple[str, Path | str]]) -> None:
    """A cpio archive of the form `newc`; what is named twice is written once."""
    seen: set[str] = set()
    for number, (name, what) in enumerate(layout, 1):
        if name in seen:
            continue
        seen.add(name)
        if isinstance(what, Path):
            data, changed = what.read_bytes(), int(what.stat().st_mtime)  # or Python would compile every module anew
            mode = 0o100755 if os.access(what, os.X_OK) or name in {"init", "image/start"} else 0o100644
        else:
            data, mode, changed = what.removeprefix("-> ").encode(), 0o120777 if what else 0o040755, 0
        _entry(out, number, mode, changed, name, data)
    _entry(out, 0, 0, 0, "TRAILER!!!", b"")


def _entry(out: Any, number: int, mode: int, changed: int, name: str, data: bytes) -> None:
    fields = (number, mode, 0, 0, 1, changed, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    out.write(b"070701" + b"".join(b"%08X" % field for field in fields))
    for content in (name.encode() + b"\0", data):
        out.write(content)
        out.write(bytes(-out.tell() % 4))

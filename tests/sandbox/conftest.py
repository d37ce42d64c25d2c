"""A sandbox, and a host that has something to lose."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiops.adapters.sandbox import Bubblewrap
from aiops.errors import Refused

from confined import Host
from conftest import needed
from servers.parts import binary


@pytest.fixture(scope="session")
def bwrap() -> Path:
    with needed():
        return binary("bwrap")


@pytest.fixture(scope="session")
def sandbox(bwrap: Path) -> Bubblewrap:
    """Where a machine can't confine runs its tests are skipped, but not under CI."""
    found = Bubblewrap(bwrap, most=8)
    try:
        found.ping(10.0)
    except Refused as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    return found


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    with contextlib.ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="aiops-open-"))
        )  # pytest's own is its user's alone
        folder.chmod(0o777)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0aiops-attack-{os.getpid()}")
        plain = stack.enter_context(socket.socket(socket.AF_UNIX))
        plain.bind(str(folder / "s"))
        for one in (abstract, plain):
            one.listen()
        (folder / "s").chmod(0o777)
        victim = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(9999)", "canary-cmdline"])
        )
        stack.callback(victim.kill)
        leaked = os.open("/etc/passwd", os.O_RDONLY)
        os.set_inheritable(leaked, True)
        stack.callback(os.close, leaked)
        segment = _shared_memory(stack)
        assert segment >= 0
        env = {
            "ATTACK_PORT": str(listener.getsockname()[1]),
            "ATTACK_ABSTRACT": f"aiops-attack-{os.getpid()}",
            "ATTACK_SOCK": str(folder / "s"),
            "ATTACK_PID": str(victim.pid),
            "ATTACK_FOLDER": str(folder),
            "ATTACK_HOST": socket.gethostname(),
        }
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
        yield Host(env, victim, folder)


def _shared_memory(stack: contextlib.ExitStack) -> int:
    libc = ctypes.CDLL(None)
    segment = int(libc.shmget(0, 4096, 0o1666))
    stack.callback(libc.shmctl, segment, 0, None)
    return segment

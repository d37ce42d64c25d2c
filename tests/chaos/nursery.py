"""Starts servers quickly: this process has imported all of aiops and forks one for each line that it reads.

A line is a JSON object of `argv`, of `stderr`, the file that it goes to, and of `limit`, the largest file it may write.
Says when it is ready, and for each line the process id.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import NoReturn

import aiops.adapters.case
import aiops.adapters.chat.console
import aiops.adapters.redis_queue
import aiops.adapters.sqlite
import aiops.app
import aiops.cli.operate
import aiops.resources
import aiops.service.server
import aiops.service.standalone
import aiops.service.worker
from aiops import cli

LEASE_S = 3.0  # else a job of a killed worker comes back after 45 s only


def child(told: dict[str, object]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    descriptor = os.open(str(told["stderr"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1)
    if limit := told.get("limit"):
        # Too large a write then fails with EFBIG, and SIGXFSZ, which would end the process, is ignored by Python.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(str(limit)), resource.RLIM_INFINITY))
    code = cli.run(list(told["argv"]))  # type: ignore[call-overload]
    os._exit(code)


def main() -> None:
    # What is compiled and loaded at the first diagnosis is there for all the children.
    with aiops.app.connect(f"case:{aiops.resources.demo_incident()}", keep=False, flags={"model.url": ""}) as ops:
        ops.diagnose()
    aiops.service.worker.LEASE_S, aiops.service.worker.HEARTBEAT_S = LEASE_S, LEASE_S / 3
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(json.loads(line))
        print(pid, flush=True)


if __name__ == "__main__":
    main()

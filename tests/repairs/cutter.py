"""Forks processes that run repairs, quickly: this one has imported all of aiops, and run one itself.

cutter.py HOME FLAGS REPAIR

A line is the id of a repair; the answer are two lines: the id of the process that runs it, and "over" when that has ended.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

import aiops
from aiops.domain import Actor


def run(repair_id: str) -> None:
    with aiops.connect(home=sys.argv[1], flags=json.loads(sys.argv[2])) as ops:
        ops.by(Actor("http", "bob")).repairs.run(repair_id)


def child(repair_id: str) -> NoReturn:
    try:
        run(repair_id)
    finally:
        os._exit(0)


def main() -> None:
    run(sys.argv[3])
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child(line.strip())
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("over", flush=True)


if __name__ == "__main__":
    main()

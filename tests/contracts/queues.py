"""Opens a job queue by URL, for the tests and for the processes that they kill.

As a program: `python -m contracts.queues put|work URL`, run until killed, telling on standard output what has happened.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from typing import NoReturn
from uuid import uuid4

from aiops.adapters.redis_queue import RedisQueue
from aiops.adapters.sqlite import QueueDB
from aiops.domain import Intent, Job, JobState, Task, job_id
from aiops.ports import JobQueue

LEASE_S = 0.3


def open_queue(url: str, *, capacity: int = 100_000, max_attempts: int = 5) -> JobQueue:
    """`sqlite:PATH` or `redis://HOST:PORT`."""
    scheme, _, place = url.partition(":")
    if scheme == "redis":
        return RedisQueue(url, encode, decode, capacity=capacity, max_attempts=max_attempts)
    return QueueDB(place, encode, decode, capacity=capacity, max_attempts=max_attempts)


def encode(task: Task) -> bytes:
    return json.dumps([task.task_id, task.intent, task.question]).encode()


def decode(text: bytes) -> Task:
    task_id, intent, question = json.loads(text)
    return Task(task_id, Intent(intent), question=question)


def job(key: str, question: str = "") -> Job:
    return Job(job_id(key), key, Task("diagnose_it", Intent.DIAGNOSE, question=question))


def put(queue: JobQueue) -> NoReturn:
    """Puts jobs three at a time and tells their ids once they are accepted."""
    run = uuid4().hex
    for number in count():
        accepted = queue.put([job(f"{run}-{number}-{i}") for i in range(3)])
        print("accepted", *(each.id for each in accepted), flush=True)
        time.sleep(0.01)
    raise AssertionError


def work(queue: JobQueue) -> NoReturn:
    """Claims, does and acks jobs, and tells each step."""
    while True:
        queue.reclaim()
        claimed = queue.claim(LEASE_S, "worker")
        if claimed is None:
            time.sleep(0.01)
            continue
        print("did", claimed.id, flush=True)
        if queue.ack(claimed, JobState.DONE):
            print("acked", claimed.id, flush=True)


if __name__ == "__main__":
    {"put": put, "work": work}[sys.argv[1]](open_queue(sys.argv[2]))

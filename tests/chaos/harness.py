"""What the chaos tests share: servers that can be killed, senders that repeat themselves as Alertmanager does, storms."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import servers

HOOK = "/v1/webhooks/alertmanager"
ENDED = {"done", "inconclusive", "failed", "suppressed"}
PATIENCE_S = 120.0


def until(true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S, every_s: float = 0.02) -> None:
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, what
        time.sleep(every_s)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Nursery:
    """A process that forks servers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._pids: list[int] = []
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def fork(self, argv: list[str], stderr: Path, limit: int | None = None) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"argv": argv, "stderr": str(stderr), "limit": limit}) + "\n")
        self._process.stdin.flush()
        self._pids.append(int(self._process.stdout.readline()))
        return self._pids[-1]

    def close(self) -> None:
        """Kills whatever a failed test has left."""
        assert self._process.stdin
        for pid in self._pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(30)
        if self._process.stdout:
            self._process.stdout.close()


class House:
    """`aiops serve` on one home and port, started as often as it is killed."""

    def __init__(self, nursery: Nursery, home: Path, case: Path | None, *flags: str, settings: str = "") -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.toml").write_text('[model]\nurl = ""\n[chat]\nurl = ""\n' + settings)
        self._nursery, self.home = nursery, home
        self.port = servers.free_port()
        self._argv = ["serve", "--home", str(home), "--listen", f"127.0.0.1:{self.port}"]
        self._argv += ["--metrics", f"case:{case}", *flags] if case else flags
        self.log = home.parent / f"{home.name}.log"
        self.pid = 0

    def start(self, limit: int | None = None) -> float:
        """Seconds until it answers."""
        began = time.monotonic()
        self.pid = self._nursery.fork(self._argv, self.log, limit)
        until(self.answers, f"it does not start: {self.told()}")
        return time.monotonic() - began

    def told(self) -> str:
        return self.log.read_text()[-2000:] if self.log.exists() else ""

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        os.kill(self.pid, how)
        until(lambda: not alive(self.pid), f"it does not end: {self.told()}")

    def peak_mib(self) -> float:
        """The most memory it has held (proc(5): VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def ask(self, method: str, path: str, body: bytes | None = None, timeout: float = 30.0) -> tuple[int, Any]:
        """(status, what the JSON says, or the text); OSError when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body)
            return _answer(connection)
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()


class Helper:
    """`aiops worker` with a home of its own, started as often as it is killed."""

    def __init__(self, nursery: Nursery, home: Path, case: Path, queue: str, *flags: str, settings: str = "") -> None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "config.toml").write_text(settings)
        self._nursery, self.log = nursery, home.parent / f"{home.name}.log"
        self._argv = ["worker", "--home", str(home), "--metrics", f"case:{case}", "--queue", queue, *flags]
        self.pid = 0

    def start(self) -> None:
        self.pid = self._nursery.fork(self._argv, self.log)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        os.kill(self.pid, how)
        until(lambda: not alive(self.pid), f"it does not end: {self.log.read_text()[-2000:]}")


def _answer(connection: http.client.HTTPConnection) -> tuple[int, Any]:
    reply = connection.getresponse()
    text = reply.read().decode()
    return reply.status, json.loads(text) if reply.headers.get_content_type() == "application/json" else text


class Sender(threading.Thread):
    """Posts bodies in turn, each until it is taken, and keeps the receipts."""

    def __init__(self, house: House, bodies: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._house, self._bodies = house, bodies
        self.receipts: list[dict[str, Any]] = []
        self.refused: list[int] = []
        self.failure: str = ""

    def run(self) -> None:
        self._connection = self._connect()
        for body in self._bodies:
            while not self.failure and not self._taken(body):
                time.sleep(0.05)
        self._connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._house.port, timeout=30)

    def _taken(self, body: bytes) -> bool:
        try:
            self._connection.request("POST", HOOK, body)
            status, told = _answer(self._connection)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = self._connect()
            return False
        if status == 202:
            self.receipts.append(told)
            return True
        self.refused.append(status)
        if status != 503:
            self.failure = f"{status} {told}"
        return False


def notification(group: str, alerts: Iterable[dict[str, Any]]) -> bytes:
    return json.dumps({"version": "4", "groupKey": group, "receiver": "aiops", "alerts": list(alerts)}).encode()


def alert(number: int, at: str, service: str = "frontend", status: str = "firing") -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": "HighLatency", "service": service, "instance": f"i-{number}"},
        "annotations": {"summary": f"{service} is slow"},
        "startsAt": at,
        "fingerprint": f"{number:016x}",
    }


def storm(unique: int, share: float, of_body: int, groups: int, seed: int, at: str) -> Iterator[tuple[bytes, int]]:
    """Bodies that hold `unique` alerts once and, of what was sent before, repetitions: `share` of all. (body, repetitions).

    Each group concerns a service of its own, so that it is an episode of its own."""
    draw = random.Random(seed)
    sent: list[list[int]] = [[] for _ in range(groups)]
    number = 0
    while number < unique:
        group = draw.randrange(groups)
        again = [draw.choice(sent[group]) for _ in range(round(of_body * share))] if sent[group] else []
        new = list(range(number, min(unique, number + of_body - len(again))))
        number += len(new)
        sent[group] += new
        mixed = new + again
        draw.shuffle(mixed)
        told = [alert(n, at, f"service-{group}") for n in mixed]
        yield notification(f"group-{group}", told), len(again)


@contextmanager
def sending(house: House, parts: Iterable[Iterable[bytes]]) -> Iterator[list[Sender]]:
    """A sender for each part; all have ended with the block."""
    senders = [Sender(house, part) for part in parts]
    for sender in senders:
        sender.start()
    yield senders
    for sender in senders:
        sender.join(PATIENCE_S * 10)
        assert not sender.is_alive()
        assert not sender.failure

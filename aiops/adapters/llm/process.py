"""The child process that holds the model: its life, and one request after another within their deadlines.

It may be killed, crash or hang: that costs the request one retry within its own deadline, then a ModelError, and nothing
else. Requests wait in the order they came, up to a bound; who would wait too long is told at once. A child that keeps
dying is started again ever more rarely. It ends with the parent (its input closes).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiops.errors import ModelError

LOAD_S = 60.0
QUEUE = 16
GRACE_S = 1.0  # the child aborts by itself; only one that hangs is killed, this much later
LONGEST_PAUSE_S = 30.0
IN_TIME = "no answer of the language model in time"


class Turns:
    """A lock that is given in the order in which it was asked for, to at most `most` who wait."""

    def __init__(self, most: int) -> None:
        self._most, self._guard = most, threading.Lock()
        self._queue: deque[threading.Event] = deque()
        self._held = False

    def __len__(self) -> int:
        """Those who wait, and the one whose turn it is."""
        return len(self._queue) + self._held

    @contextmanager
    def turn(self, deadline: float) -> Iterator[None]:
        """A turn before `deadline` (monotonic seconds), else ModelError."""
        mine = threading.Event()
        with self._guard:
            if not self._held:
                self._held = True
                mine.set()
            elif len(self._queue) >= self._most:
                raise ModelError(f"the language model is busy: {self._most} requests are waiting")
            else:
                self._queue.append(mine)
        if not mine.wait(max(deadline - time.monotonic(), 0)):
            with self._guard:
                late = not mine.is_set()
                if late:
                    self._queue.remove(mine)
            if late:
                raise ModelError("the language model is busy: no turn before the deadline")
        try:
            yield
        finally:
            with self._guard:
                if self._queue:
                    self._queue.popleft().set()
                else:
                    self._held = False


class Process:
    """The child that `command` starts, with the first request. Thread-safe."""

    def __init__(self, command: Callable[[], Sequence[str]]) -> None:
        self._command = command
        self._turns = Turns(QUEUE)
        self._child: subprocess.Popen[bytes] | None = None
        self._added: dict[str, dict[str, Any]] = {}  # what a new child must be told
        self._usual_s = 0.0
        self._deaths, self._not_before = 0, 0.0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.poll() is None else None

    @property
    def waiting(self) -> int:
        """Requests that wait or are being answered."""
        return len(self._turns)

    def start(self, deadline: float) -> None:
        """Starts the child unless it runs."""
        with self._turns.turn(deadline):
            try:
                self._running(deadline)
            except DiedError as death:
                raise ModelError(f"the language model's process {death}") from death

    def ask(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The child's answer to a request for text: `text`, or `error` where it could not be done.

        ModelError when there is none before `deadline` (monotonic seconds)."""
        ahead = self.waiting
        if ahead * self._usual_s > deadline - time.monotonic():
            raise ModelError(f"the language model is busy: {ahead} requests are before this one")
        with self._turns.turn(deadline):
            start, child = time.monotonic(), self._child
            answer = self._asked({"do": "complete", **request}, deadline)
            took = time.monotonic() - start
            if child is self._child:  # a start, and what a new child computes first, come once
                self._usual_s = 0.8 * self._usual_s + 0.2 * took if self._usual_s else took
        return answer

    def add(self, name: str, file: Path, template: str, deadline: float) -> str:
        """Loads an adapter into this child and those that come after it. What is wrong with it; "" when it is loaded."""
        request = {"do": "add", "name": name, "file": str(file), "template": template}
        with self._turns.turn(deadline):
            answer = self._asked(request, deadline)
            if "error" not in answer:
                self._added[name] = request
        return str(answer.get("error", ""))

    def drop(self, name: str, deadline: float) -> None:
        """Forgets an adapter."""
        with self._turns.turn(deadline):
            self._added.pop(name, None)
            if self.pid is not None:
                self._asked({"do": "drop", "name": name}, deadline)

    def close(self) -> None:
        with self._turns.turn(time.monotonic() + LOAD_S):
            self._stop()

    # ------------------------------------------------ with the turn

    def _asked(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        try:
            try:
                return self._once(request, deadline)
            except DiedError:  # the answer is a pure function of the request: asking twice is safe
                return self._once(request, deadline)
        except DiedError as death:
            raise ModelError(f"the language model's process {death}, twice") from death

    def _once(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        child = self._running(deadline)
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelError(IN_TIME)
        timed = {**request, "seconds": left} if request["do"] == "complete" else request
        answer = self._exchange(child, timed, deadline)
        self._deaths = 0
        return answer

    def _running(self, deadline: float) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        if self._child is not None:
            self._died()
        pause = self._not_before - time.monotonic()
        if pause > 0:
            raise ModelError(f"the language model's process ended {self._deaths} times; next start in {pause:.1f} s")
        self.starts += 1
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter, module and file; no shell
            list(self._command()), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._child.stdin is not None
        os.set_blocking(self._child.stdin.fileno(), False)
        until = min(deadline, time.monotonic() + LOAD_S)
        ready = self._answer(self._child, until)
        if "ready" not in ready:
            self._stop()
            raise ModelError(f"the language model did not start: {ready.get('error', 'it said nothing')}")
        for request in self._added.values():
            self._exchange(self._child, request, until)
        return self._child

    def _exchange(self, child: subprocess.Popen[bytes], request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        assert child.stdin is not None
        left = memoryview(json.dumps(request).encode() + b"\n")
        while left:  # more than a pipe holds must not wait for one that hangs
            self._wait(child.stdin.fileno(), select.POLLOUT, deadline)
            try:
                left = left[os.write(child.stdin.fileno(), left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self._died()
                raise DiedError("ended") from error
        return self._answer(child, deadline)

    def _answer(self, child: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        assert child.stdout is not None
        received = b""
        while not received.endswith(b"\n"):
            self._wait(child.stdout.fileno(), select.POLLIN, deadline)
            part = os.read(child.stdout.fileno(), 1 << 16)
            if not part:
                self._died()
                raise DiedError("ended during the request")
            received += part
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Until a pipe of the child is ready; one that is not in time hangs, and is ended."""
        waiting = select.poll()  # unlike select(), for any number of open files
        waiting.register(descriptor, event)
        if not waiting.poll(1e3 * max(deadline + GRACE_S - time.monotonic(), 0)):
            self._died()
            raise ModelError(f"{IN_TIME}; its process hung and was ended")

    def _died(self) -> None:
        """Buries the child. The first death costs no pause, each further one without an answer in between twice as much."""
        self._stop()
        self._deaths += 1
        if self._deaths > 2:
            self._not_before = time.monotonic() + min(0.5 * 2.0 ** (self._deaths - 3), LONGEST_PAUSE_S)

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:  # an unsent line of a dead child
                    continue


class DiedError(Exception):
    """The child ended without an answer; may be asked again."""

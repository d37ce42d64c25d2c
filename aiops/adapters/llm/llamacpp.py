"""`llamacpp:[GGUF]`: a local model in a child process.

The child may be killed, crash or hang: that costs the request one retry within its own deadline, then a ModelError, and
nothing else. Requests queue up to a bound; who would wait too long is told at once. The child starts with the first
request and ends with the parent (its input closes).
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiops.adapters.llm.grammar import gbnf
from aiops.adapters.llm.models import Model, default_model, models_of
from aiops.errors import ModelError

HARD_CAP_S = 120.0
LOAD_S = 60.0
QUEUE = 16
MAX_PROMPT = 32_000  # characters
MAX_TOKENS = 256
_GRACE_S = 1.0  # the child aborts by itself; only one that hangs is killed, this much later
MISSING = "the language model is not installed (make llm)"


class LlamaCpp:
    """One child process. `path`: a GGUF, or empty for the model of models.toml that is marked as the default.

    Nothing is loaded, and nothing fails, until the first request or `ping`. Thread-safe."""

    def __init__(self, path: Path | str = "", models: Path | None = None, context: int = 4096) -> None:
        self._path, self._folder, self._context = str(path), models, context
        self._turn = threading.Lock()
        self._waiting = threading.BoundedSemaphore(QUEUE)
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def complete(self, prompt: str, schema: Mapping[str, object], timeout: float) -> str:
        """JSON text of the schema. `timeout` counts from the call, waiting included, and is capped at 120 s."""
        if len(prompt) > MAX_PROMPT:
            raise ModelError(f"the prompt has {len(prompt)} characters, more than {MAX_PROMPT}")
        deadline = time.monotonic() + min(timeout, HARD_CAP_S)
        grammar = gbnf(schema)
        if not self._waiting.acquire(blocking=False):
            raise ModelError(f"the language model is busy: {QUEUE} requests are waiting")
        try:
            return self._in_turn({"prompt": prompt, "grammar": grammar, "max_tokens": MAX_TOKENS}, deadline)
        finally:
            self._waiting.release()

    def ping(self, timeout: float) -> str:
        """Which model answers."""
        model = self._model()
        deadline = time.monotonic() + min(timeout, HARD_CAP_S)
        if not self._turn.acquire(timeout=max(deadline - time.monotonic(), 0)):
            return f"{model.name} (busy)"
        try:
            self._running(deadline)
        finally:
            self._turn.release()
        return f"llama.cpp, {model.name}"

    def close(self) -> None:
        with self._turn:
            self._stop()

    def _in_turn(self, request: dict[str, Any], deadline: float) -> str:
        if not self._turn.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise ModelError("the language model is busy: no turn before the deadline")
        try:
            try:
                return self._once(request, deadline)
            except _DiedError:
                return self._once(
                    request, deadline
                )  # the answer is a pure function of the request: asking twice is safe
        except _DiedError as death:
            raise ModelError(f"the language model's process {death}, twice") from death
        finally:
            self._turn.release()

    def _once(self, request: dict[str, Any], deadline: float) -> str:
        child = self._running(deadline)
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelError("no answer of the language model in time")
        answer = self._exchange(child, json.dumps({**request, "seconds": left}).encode() + b"\n", deadline)
        if "text" not in answer:
            raise ModelError(f"the language model gave nothing: {answer.get('error', 'an empty answer')}")
        return str(answer["text"])

    def _exchange(self, child: subprocess.Popen[bytes], line: bytes, deadline: float) -> dict[str, Any]:
        assert child.stdin is not None
        try:
            child.stdin.write(line)
            child.stdin.flush()
        except OSError as error:
            self._stop()
            raise _DiedError("ended") from error
        return self._answer(child, deadline)

    def _answer(self, child: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        assert child.stdout is not None
        received = b""
        while not received.endswith(b"\n"):
            ready, _, _ = select.select([child.stdout], [], [], max(deadline + _GRACE_S - time.monotonic(), 0))
            if not ready:
                self._stop()
                raise ModelError("no answer of the language model in time; its process hung and was ended")
            part = os.read(child.stdout.fileno(), 1 << 16)
            if not part:
                self._stop()
                raise _DiedError("ended during the request")
            received += part
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _running(self, deadline: float) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        model = self._model()
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter, module and file; no shell
            [sys.executable, "-m", "aiops.adapters.llm.child", str(model.file), str(self._context)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        ready = self._answer(self._child, min(deadline, time.monotonic() + LOAD_S))
        if "ready" not in ready:
            self._stop()
            raise ModelError(f"the language model did not start: {ready.get('error', 'it said nothing')}")
        return self._child

    def _model(self) -> Model:
        if importlib.util.find_spec("llama_cpp") is None:
            raise ModelError(MISSING)
        if self._path:
            file = Path(self._path).expanduser()
            if not file.is_file():
                raise ModelError(f"no model file {file}")
            return Model(file.stem, file)
        return default_model(models_of(self._folder))

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


class _DiedError(Exception):
    """The child ended without an answer; may be asked again."""

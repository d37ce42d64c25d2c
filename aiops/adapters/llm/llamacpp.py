"""`llamacpp:[NAME|GGUF]`: a local model in a child process, and the adapter that makes it good at what it is asked."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiops.adapters.llm.hot import Hot, Sample
from aiops.adapters.llm.models import Model, Shelf
from aiops.adapters.llm.process import LOAD_S, Process
from aiops.errors import ModelError
from aiops.ports import Prompt

HARD_CAP_S = 120.0
MAX_PROMPT = 32_000  # characters
MAX_TOKENS = 256
MAX_CONTEXT = 4096  # tokens; memory for all of them is taken at once
MAX_TEMPERATURE = 1.0
SETTLE_S = 1.0  # what is plainly wrong with an adapter is found in less
NEEDED = ("llama_cpp", "llguidance")
MISSING = "the language model is not installed (make llm)"


def checked(prompt: Prompt, timeout: float, temperature: float) -> float:
    """The deadline (monotonic seconds) of a question that may be asked. ModelError for one that may not."""
    length = len(prompt.template) + sum(map(len, prompt.values.values()))
    if length > MAX_PROMPT:
        raise ModelError(f"the prompt has {length} characters, more than {MAX_PROMPT}")
    if not 0.0 <= temperature <= MAX_TEMPERATURE:
        raise ModelError(f"a temperature of {temperature} is not between 0 and {MAX_TEMPERATURE:g}")
    return time.monotonic() + min(timeout, HARD_CAP_S)


def requests(answered: int, failed: int) -> dict[Sample, float]:
    """What every language model counts."""
    name = "aiops_model_requests_total"
    return {(name, (("outcome", "answered"),)): answered, (name, (("outcome", "failed"),)): failed}


class LlamaCpp:
    """One child process. `model`: a name of models.toml, a GGUF's path, or empty for the default.

    `adapter` is a folder that is watched (signed by one of `keys`); `ships`: whether the one that ships for the model is taken
    until then; `shelf` says where models are and what was accepted.
    Nothing is loaded, and nothing fails, until the first request or `ping`. Thread-safe."""

    def __init__(
        self,
        model: Path | str = "",
        shelf: Shelf | None = None,
        *,
        adapter: Path | None = None,
        keys: Path | None = None,
        temperature: float = 0.0,
        threads: int = 1,
        ships: bool = True,
    ) -> None:
        self._name, self._shelf = str(model), shelf or Shelf()
        self._temperature, self._threads = temperature, threads
        self._process = Process(self._command)
        self._hot = Hot(self._process, self._shelf, self._model, adapter, keys, ships=ships)
        self._answered = self._failed = 0

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid

    def complete(self, prompt: Prompt, schema: Mapping[str, object], timeout: float) -> str:
        """JSON text of the schema. `timeout` counts from the call, waiting included, and is capped at 120 s."""
        deadline = checked(prompt, timeout, self._temperature)
        self._ready()
        request = {
            "template": prompt.template,
            "values": dict(prompt.values),
            "schema": schema,
            "max_tokens": MAX_TOKENS,
            "temperature": self._temperature,
            "adapter": self._hot.name(deadline),
        }
        answer: Mapping[str, object] = {}
        try:
            answer = self._process.ask(request, deadline)
        finally:
            self._answered += "text" in answer
            self._failed += "text" not in answer
        if "text" not in answer:
            raise ModelError(f"the language model gave nothing: {answer.get('error', 'an empty answer')}")
        return str(answer["text"])

    def counters(self) -> Mapping[Sample, float]:
        return {
            **requests(self._answered, self._failed),
            ("aiops_model_starts_total", ()): self._process.starts,
            ("aiops_model_waiting", ()): self._process.waiting,
            **self._hot.counters(),
        }

    def ping(self, timeout: float) -> str:
        """Which model answers, with which adapter, and which was refused."""
        self._ready()
        deadline = time.monotonic() + min(timeout, HARD_CAP_S)
        if not self._process.waiting:
            self._process.start(deadline)
            self._hot.name(deadline)
            self._hot.settle(min(SETTLE_S, max(deadline - time.monotonic(), 0)))
        return f"llama.cpp, {self._model().name}{self._hot.told()}{' (busy)' if self._process.waiting else ''}"

    def prove(self, note: str = "") -> str:
        """Tests the adapter in the watched folder now, and takes it if it is good. ModelError says why it is not.

        Returns what was found."""
        self._ready()
        return self._hot.prove(time.monotonic() + LOAD_S) + note

    def close(self) -> None:
        self._hot.close()
        self._process.close()

    def _ready(self) -> None:
        if any(importlib.util.find_spec(package) is None for package in NEEDED):
            raise ModelError(MISSING)
        self._model()

    def _model(self) -> Model:
        return self._shelf.find(self._name)

    def _command(self) -> Sequence[str]:
        model = self._model()
        context = min(model.context, MAX_CONTEXT)
        form = [model.served_as, str(self._shelf.cache or "")] if model.served_as else []
        module = "aiops.adapters.llm.child"
        return [sys.executable, "-m", module, str(model.file), str(context), str(self._threads), *form]

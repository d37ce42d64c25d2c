"""The model's own process: one llama.cpp context, one thread, one request at a time, one JSON object a line.

    in   {"prompt": ..., "grammar": ..., "seconds": ..., "max_tokens": ...}     out  {"text": ...} | {"error": ...}

It may crash, hang or be killed; the parent (`llamacpp.LlamaCpp`) notices. A deadline aborts inside llama.cpp, between
two operations of the compute graph. Run as `python -m aiops.adapters.llm.child MODEL CONTEXT`.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from typing import IO, Any

import llama_cpp
import numpy as np

FIRST_TRIES = 32  # the likeliest tokens to check against the grammar before the whole vocabulary


class DeadlineError(Exception):
    """The request ran out of time."""


class Engine:
    """A loaded model. Tokens that a prompt shares with the one before are not computed again."""

    def __init__(self, path: str, context: int, threads: int = 1) -> None:
        self._quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        if not model:
            raise ValueError(f"{path} can't be loaded as a GGUF model")
        self.model = model
        self.vocab = llama_cpp.llama_model_get_vocab(model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocab)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = context
        settings.n_ubatch = min(context, 512)
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(model, settings)
        if not self.context:
            raise ValueError(f"no context of {context} tokens for {path}")
        self.limit, self.past = context, list[int]()
        self.deadline = float("inf")
        self._abort = llama_cpp.ggml_abort_callback(lambda _: time.monotonic() > self.deadline)
        llama_cpp.llama_set_abort_callback(self.context, self._abort, ctypes.c_void_p(0))

    def complete(self, prompt: str, grammar: str, seconds: float, max_tokens: int) -> str:
        """Greedy text of the grammar. DeadlineError when time runs out, ValueError when it can't be done at all."""
        self.deadline = time.monotonic() + seconds
        sampler = llama_cpp.llama_sampler_init_grammar(self.vocab, grammar.encode(), b"root")
        if not sampler:
            raise ValueError("llama.cpp refuses the grammar")
        try:
            return self._generate(self._tokens(self._chat(prompt)), sampler, max_tokens)
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def _generate(self, tokens: list[int], sampler: Any, max_tokens: int) -> str:
        if len(tokens) + max_tokens > self.limit:
            raise ValueError(
                f"the prompt has {len(tokens)} tokens; with {max_tokens} for the answer the context of {self.limit} is too small"
            )
        self._eval(tokens)
        pieces = bytearray()
        for _ in range(max_tokens):
            token = self._allowed(sampler)
            if llama_cpp.llama_vocab_is_eog(self.vocab, token):
                return pieces.decode("utf-8")
            llama_cpp.llama_sampler_accept(sampler, token)
            pieces += self._piece(token)
            self._eval([*self.past, token])
        raise ValueError(f"the answer is longer than {max_tokens} tokens")

    def _eval(self, tokens: list[int]) -> None:
        """Makes `tokens` the state of the context, keeping what is there already; at least the last is computed."""
        shared = 0
        for old, new in zip(self.past, tokens[:-1], strict=False):
            if old != new:
                break
            shared += 1
        memory = llama_cpp.llama_get_memory(self.context)
        llama_cpp.llama_memory_seq_rm(memory, 0, shared, -1)
        self.past = self.past[:shared]
        fresh = tokens[shared:]
        array = (llama_cpp.llama_token * len(fresh))(*fresh)
        outcome = llama_cpp.llama_decode(self.context, llama_cpp.llama_batch_get_one(array, len(fresh)))
        if outcome != 0:
            llama_cpp.llama_memory_clear(memory, True)
            self.past = []
            if outcome == 2 or time.monotonic() > self.deadline:
                raise DeadlineError
            raise ValueError(f"llama.cpp could not compute: code {outcome}")
        self.past = list(tokens)
        if time.monotonic() > self.deadline:
            raise DeadlineError

    def _allowed(self, sampler: Any) -> int:
        """The likeliest token that the grammar allows. The few likeliest are tried first: a full pass costs milliseconds."""
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.context, -1), (self.size,))
        likely = np.argpartition(logits, -FIRST_TRIES)[-FIRST_TRIES:]
        for ids in (likely[np.argsort(-logits[likely], kind="stable")], np.argsort(-logits, kind="stable")):
            data = (llama_cpp.llama_token_data * len(ids))()
            view = np.frombuffer(memoryview(data), dtype=[("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
            view["id"], view["logit"] = ids, logits[ids]
            array = llama_cpp.llama_token_data_array(data, len(ids), -1, True)
            llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
            open_ones = np.flatnonzero(np.isfinite(view["logit"]))
            if len(open_ones):
                return int(view["id"][open_ones[np.argmax(view["logit"][open_ones])]])
        raise ValueError("the grammar allows no token")

    def _chat(self, prompt: str) -> str:
        """The prompt in the model's own chat template, where it has one that llama.cpp knows."""
        template = llama_cpp.llama_model_chat_template(self.model, None)
        if not template:
            return prompt
        message = (llama_cpp.llama_chat_message * 1)(llama_cpp.llama_chat_message(b"user", prompt.encode()))
        room = len(prompt.encode()) * 2 + 1024
        buffer = ctypes.create_string_buffer(room)
        used = llama_cpp.llama_chat_apply_template(template, message, 1, True, buffer, room)
        return buffer.raw[:used].decode("utf-8") if 0 < used <= room else prompt

    def _tokens(self, text: str) -> list[int]:
        data = text.encode()
        room = len(data) + 16
        array = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), array, room, True, True)
        if count < 0:
            raise ValueError("the prompt can't be split into tokens")
        return list(array[:count])

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        used = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 256, 0, False)
        return buffer.raw[: max(used, 0)]


def serve(engine: Engine, source: IO[bytes], sink: IO[bytes]) -> None:
    """Answers requests until the parent closes the pipe."""
    for line in source:
        request = json.loads(line)
        try:
            answer = {
                "text": engine.complete(
                    request["prompt"], request["grammar"], request["seconds"], request["max_tokens"]
                )
            }
        except DeadlineError:
            answer = {"error": "no answer in time"}
        except ValueError as error:
            answer = {"error": str(error)}
        sink.write(json.dumps(answer).encode() + b"\n")
        sink.flush()


def main() -> int:
    """Loads the model, says that it is ready, and serves."""
    path, context = sys.argv[1], int(sys.argv[2])
    # The protocol gets a descriptor of its own: a library that prints must not garble it.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        engine = Engine(path, context)
    except ValueError as error:
        sink.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return 1
    sink.write(b'{"ready": true}\n')
    sink.flush()
    serve(engine, sys.stdin.buffer, sink)
    return 0


if __name__ == "__main__":
    sys.exit(main())

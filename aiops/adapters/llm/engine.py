"""llama.cpp in this process: one model, one context, one thread, any number of LoRA adapters of which one is attached.

What does not change from question to question, the beginning of the prompt, is computed once for each adapter and kept as the
state of the context (a copy costs half a millisecond, computing it a second). Keys and values that were computed under one adapter mean nothing
under another, so each has its own. After that prefix the same tokens are always computed in the same batches: the same
question has the same answer, whatever was asked before.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from aiops.adapters.llm.adapter import PLACE
from aiops.adapters.llm.grammar import Grammar, Vocabulary, control

BASE = ""  # the name of no adapter
SERVED_AS = {"q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0}
# A token of each family's chat form -> the name of the form in llama.cpp, for files that carry no template.
FAMILIES = {"<|start_header_id|>": "llama3", "<|im_start|>": "chatml"}


class DeadlineError(Exception):
    """The request ran out of time."""


@dataclass(slots=True)
class Adapter:
    """What the model is when it answers: a LoRA (none: the model itself), its own prompt, and its prefix."""

    handle: Any = None
    template: str = ""
    prefix: list[int] = field(default_factory=list)
    state: Any = None  # the context's state after `prefix`


def quiet() -> None:
    """Keeps llama.cpp from writing to stderr."""
    llama_cpp.llama_log_set(_SILENCE, ctypes.c_void_p(0))


_SILENCE = llama_cpp.llama_log_callback(lambda *_: None)


def load(path: Path, *, vocab_only: bool = False) -> Any:
    """The model of a GGUF. ValueError when it is none."""
    quiet()
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_default_params()
    params.n_gpu_layers = 0
    params.vocab_only = vocab_only
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ValueError(f"{path} can't be loaded as a GGUF model")
    return model


def requantise(source: Path, target: Path, served_as: str) -> None:
    """Writes `source` with its weights in the form `served_as`, for which llama.cpp has quicker kernels on a CPU."""
    quiet()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = SERVED_AS[served_as], True, 1
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)):
        raise ValueError(f"{source} can't be written as {served_as}")


class Tokens:
    """Text -> tokens for one vocabulary: ours with control tokens, other people's without."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.vocab = llama_cpp.llama_model_get_vocab(model)
        found = llama_cpp.llama_model_chat_template(model, None)
        self._form: bytes | None = found or self._family()

    def _family(self) -> bytes | None:
        return next((name.encode() for mark, name in FAMILIES.items() if len(self.ours(mark)) == 1), None)

    def ours(self, text: str, *, first: bool = False) -> list[int]:
        """Tokens of a text of ours: control tokens written in it are control tokens."""
        return self._tokens(text, first, special=True)

    def theirs(self, text: str) -> list[int]:
        """Tokens of a text from outside: none steers the model, whatever it spells. ValueError where that can't be had."""
        # Tokens that a file declares as its user's own are recognised in any text, so the sign they begin with is cut.
        tokens = [t for part in re.split(r"(?<=<)(?=\|)", text) for t in self._tokens(part, False, special=False)]
        if any(control(self.vocab, token) for token in tokens):
            raise ValueError("the text holds a control token of the model")
        return tokens

    def prompt(self, template: str, values: Mapping[str, str]) -> tuple[list[int], int]:
        """Tokens of a template with its places filled, and how many of them stand before the first place."""
        tokens: list[int] = []
        constant = 0
        for i, part in enumerate(PLACE.split(template)):
            if i % 2 == 0:
                tokens += self.ours(part, first=i == 0)
                constant = len(tokens) if i == 0 else constant
            elif part in values:
                tokens += self.theirs(values[part])
            else:
                raise ValueError(f"the prompt has a place {part!r} that nobody fills")
        return tokens, constant

    def chat(self, template: str) -> str:
        """The template as one turn of a person in the model's own chat form, where it has one."""
        if not self._form:
            return template
        message = (llama_cpp.llama_chat_message * 1)(llama_cpp.llama_chat_message(b"user", template.encode()))
        room = len(template.encode()) * 2 + 1024
        buffer = ctypes.create_string_buffer(room)
        used = llama_cpp.llama_chat_apply_template(self._form, message, 1, True, buffer, room)
        return buffer.raw[:used].decode("utf-8") if 0 < used <= room else template

    def text(self, tokens: Sequence[int]) -> str:
        buffer, out = ctypes.create_string_buffer(1 << 10), bytearray()
        for token in tokens:
            used = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 1 << 10, 0, False)
            out += buffer.raw[: max(used, 0)]
        return out.decode("utf-8")

    def _tokens(self, text: str, first: bool, *, special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 16
        array = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), array, room, first, special)
        if count < 0:
            raise ValueError("the prompt can't be split into tokens")
        return list(array[:count])


class Engine:
    """A loaded model that answers one request at a time. Not thread-safe."""

    def __init__(self, path: Path, context: int, threads: int = 1) -> None:
        self._model = load(path)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = context
        settings.n_ubatch = min(context, 512)
        settings.n_threads = settings.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        if not self._context:
            raise ValueError(f"no context of {context} tokens for {path}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.tokens = Tokens(self._model)
        self.vocabulary = Vocabulary(self.tokens.vocab)
        self._limit, self._past, self._deadline = context, 0, float("inf")
        self._adapters: dict[str, Adapter] = {BASE: Adapter()}
        self._attached = self._here = BASE  # whose weights are attached; whose prefix the context holds
        self._abort = llama_cpp.ggml_abort_callback(lambda _: time.monotonic() > self._deadline)
        llama_cpp.llama_set_abort_callback(self._context, self._abort, ctypes.c_void_p(0))

    # ------------------------------------------------ adapters

    def add(self, name: str, file: Path, template: str) -> None:
        """Loads a LoRA (10 ms); nothing changes for those in use. ValueError when it does not fit the model."""
        handle = llama_cpp.llama_adapter_lora_init(self._model, str(file).encode())
        if not handle:
            raise ValueError("llama.cpp can't load the adapter for this model")
        self.drop(name)
        self._adapters[name] = Adapter(handle, template)

    def drop(self, name: str) -> None:
        """Forgets an adapter; none of that name is fine."""
        if name == BASE or name not in self._adapters:
            return
        if self._attached == name:
            self._attach(BASE)
        llama_cpp.llama_adapter_lora_free(self._adapters.pop(name).handle)

    def _attach(self, name: str) -> None:
        """Makes an adapter the one that answers."""
        if name not in self._adapters:
            raise ValueError(f"no adapter {name!r} is loaded")
        if name == self._attached:
            return
        one = self._adapters[name]
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(one.handle)
        scales = (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(self._context, handles, 0 if one.handle is None else 1, scales):
            raise ValueError(f"adapter {name!r} can't be attached")
        self._attached = name
        self._restore(one)

    def _restore(self, one: Adapter) -> None:
        """The context after the prefix of an adapter, from its copy."""
        llama_cpp.llama_memory_clear(self._memory, False)
        self._past, self._here = 0, self._attached
        if one.state is not None and llama_cpp.llama_state_seq_set_data(self._context, one.state, len(one.state), 0):
            self._past = len(one.prefix)

    # ------------------------------------------------ answering

    def complete(
        self,
        template: str,
        values: Mapping[str, str],
        schema: Mapping[str, Any],
        seconds: float,
        max_tokens: int,
        adapter: str = BASE,
        temperature: float = 0.0,
        *,
        raw: bool = False,
    ) -> tuple[str, float]:
        """Text of the schema, and how many seconds it took to make `adapter` the one that answers.

        A template is one turn of a person in the model's chat form, unless it is `raw`; an adapter's own always is.
        DeadlineError when time runs out, ValueError when it can't be done at all."""
        self._deadline = time.monotonic() + seconds
        grammar = Grammar(self.vocabulary, schema)
        start = time.perf_counter()
        self._attach(adapter)
        switched = time.perf_counter() - start
        own = self._adapters[adapter].template
        tokens, constant = self.tokens.prompt(own or (template if raw else self.tokens.chat(template)), values)
        if len(tokens) + max_tokens > self._limit:
            raise ValueError(
                f"the prompt has {len(tokens)} tokens; with {max_tokens} for the answer the context of {self._limit} is too small"
            )
        self._prefix(tokens[: min(constant, len(tokens) - 1)])
        chance = np.random.default_rng(tokens) if temperature > 0 else None
        return self._generate(tokens[self._past :], grammar, max_tokens, temperature, chance), switched

    def _prefix(self, prefix: list[int]) -> None:
        """Makes the context that after `prefix`, which is computed only where the attached adapter has not seen it."""
        one = self._adapters[self._attached]
        if one.prefix == prefix and one.state is not None:
            if self._here == self._attached and self._past >= len(prefix):
                llama_cpp.llama_memory_seq_rm(self._memory, 0, len(prefix), -1)
                self._past = len(prefix)
            else:
                self._restore(one)
            return
        llama_cpp.llama_memory_clear(self._memory, False)
        self._past, self._here = 0, self._attached
        one.state = None
        if not prefix:
            return
        self._decode(prefix)
        room = llama_cpp.llama_state_seq_get_size(self._context, 0)
        state = (ctypes.c_uint8 * room)()
        if llama_cpp.llama_state_seq_get_data(self._context, state, room, 0):
            one.prefix, one.state = prefix, state

    def _generate(
        self, tokens: list[int], grammar: Grammar, most: int, temperature: float, chance: np.random.Generator | None
    ) -> str:
        said: list[int] = []
        pending = tokens
        while True:
            forced = grammar.forced()
            said, pending = said + forced, pending + forced
            if grammar.ended:
                return self.tokens.text(said)
            if len(said) >= most:
                raise ValueError(f"the answer is longer than {most} tokens")
            self._decode(pending)
            token = self._choose(grammar.allowed(), temperature, chance)
            if llama_cpp.llama_vocab_is_eog(self.tokens.vocab, token):
                return self.tokens.text(said)
            grammar.take([token])
            said, pending = [*said, token], [token]

    def _choose(self, allowed: NDArray[np.int64], temperature: float, chance: np.random.Generator | None) -> int:
        if not len(allowed):
            raise ValueError("the grammar allows no token")
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, -1), (self.vocabulary.size,))[
            allowed
        ]
        if chance is not None:
            logits = logits / temperature + chance.gumbel(size=len(allowed))  # the argmax of this is a draw of softmax
        return int(allowed[np.argmax(logits)])

    def _decode(self, tokens: list[int]) -> None:
        """Computes `tokens` after what the context holds."""
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        outcome = llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(array, len(tokens)))
        if outcome == 0:
            self._past += len(tokens)
        else:
            llama_cpp.llama_memory_clear(self._memory, False)
            self._past = 0
        if outcome == 2 or time.monotonic() > self._deadline:
            raise DeadlineError
        if outcome != 0:
            raise ValueError(f"llama.cpp could not compute: code {outcome}")

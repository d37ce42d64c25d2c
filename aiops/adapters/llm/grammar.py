"""What a model may say: a JSON schema, compiled by llguidance and checked before the model sees a token.

llguidance refuses what it cannot enforce (`not`, `if`, look-around, an empty enum...) instead of ignoring it, finds the allowed
tokens of a step in some microseconds, and knows the text that is forced, so that the model is not asked for it. No blanks
between tokens, so that a model spends none on them. Runs in the child.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from typing import Any

import llama_cpp
import llguidance
import llguidance.numpy
import numpy as np
from numpy.typing import NDArray

MAX_CHARS = 1 << 20
PIECE = 1 << 10


class GrammarError(ValueError):
    """The schema can't be enforced; the message says why."""


class Vocabulary:
    """The tokens of a llama.cpp vocabulary, as llguidance wants them: 0.2 s for 49k, 0.5 s for 128k tokens, once."""

    def __init__(self, vocab: Any) -> None:
        self.size = int(llama_cpp.llama_vocab_n_tokens(vocab))
        self._buffer = ctypes.create_string_buffer(PIECE)
        pieces = [self._piece(vocab, token) for token in range(self.size)]
        tokenize = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value  # noqa: SLF001 - no public name
        end = [t for t in range(self.size) if llama_cpp.llama_vocab_is_eog(vocab, t)]
        tokenizers: Any = llguidance.LLTokenizer  # its types leave this way out
        self.tokenizer = tokenizers.from_llamacpp(
            tokens=pieces, vocab_ptr=vocab, tokenize_fptr=tokenize, eos_token=end, slices=[]
        )

    def _piece(self, vocab: Any, token: int) -> bytes:
        used = llama_cpp.llama_token_to_piece(vocab, token, self._buffer, PIECE, 0, True)
        text = self._buffer.raw[: max(used, 0)]
        # 0xff, which no UTF-8 text holds, marks tokens that are control and not text.
        return b"\xff" + text if control(vocab, token) else text


def control(vocab: Any, token: int) -> bool:
    """Whether a token steers the model instead of standing for text."""
    attributes = llama_cpp.llama_vocab_get_attr(vocab, token)
    return bool(attributes & (llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN)) or bool(
        llama_cpp.llama_vocab_is_eog(vocab, token)
    )


class Grammar:
    """One walk through the texts of a schema. GrammarError for a schema that can't be enforced to the letter."""

    def __init__(self, vocabulary: Vocabulary, schema: Mapping[str, Any]) -> None:
        text = json.dumps(schema, ensure_ascii=False)
        if len(text) > MAX_CHARS:
            raise GrammarError(f"it has {len(text)} characters, more than {MAX_CHARS}: the catalog is too large")
        compiled = llguidance.LLMatcher.grammar_from_json_schema(text, defaults={"whitespace_flexible": False})
        wrong = llguidance.LLMatcher.validate_grammar(compiled)
        if wrong:
            raise GrammarError(" ".join(wrong.split())[:200])
        self._matcher = llguidance.LLMatcher(vocabulary.tokenizer, compiled, log_level=0)
        self._size = vocabulary.size
        self._bits = llguidance.numpy.allocate_token_bitmask(1, vocabulary.size)
        self._check()

    def forced(self) -> list[int]:
        """Tokens that must come now, if there is no choice: in the tokens that the model would use for them. They are taken."""
        tokens: list[int] = self._matcher.compute_ff_tokens()
        if tokens:
            self.take(tokens)
        return tokens

    def allowed(self) -> NDArray[np.int64]:
        """Tokens that may come next, ascending; those that end the answer are among them where it may end."""
        llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits)
        self._check()
        return np.flatnonzero(np.unpackbits(self._bits.view(np.uint8), bitorder="little")[: self._size])

    def take(self, tokens: Sequence[int]) -> None:
        """Goes on by these tokens."""
        self._matcher.consume_tokens(list(tokens))
        self._check()

    @property
    def ended(self) -> bool:
        """Whether the text is complete and nothing may follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if wrong := self._matcher.get_error():
            raise GrammarError(" ".join(wrong.split())[:200])

"""Writes the training data: `python generate.py MODEL.gguf OUT --seed 7 --count 24000`.

OUT/train.jsonl and OUT/held_out.jsonl for people, OUT/train.npz with llama.cpp's own tokens for `train`. Runs in the
product's environment (aiops with its `llm` extra); the same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import compose
import llama_cpp
import numpy as np

HERE = Path(__file__).parent
END = "<|im_end|>"


class Tokens:
    """The vocabulary of a GGUF."""

    def __init__(self, path: str) -> None:
        self._quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), params)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def of(self, text: str) -> list[int]:
        data = text.encode()
        array = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), array, len(data) + 8, False, True)
        return list(array[:count])

    def texts(self) -> list[bytes]:
        buffer = ctypes.create_string_buffer(256)
        found = []
        for token in range(llama_cpp.llama_vocab_n_tokens(self.vocab)):
            used = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 256, 0, False)
            found.append(buffer.raw[: max(used, 0)])
        return found


def prompt(said: str, before: str) -> str:
    """The adapter's prompt for one utterance."""
    return (HERE / "prompt.md").read_text(encoding="utf-8").replace("{{before}}", before).replace("{{said}}", said)


def row(example: compose.Example) -> dict[str, object]:
    """An example as people read it."""
    return {
        "text": example.text, "lang": example.lang, "kind": example.kind, "before": example.before, "said": example.said,
        "answer": compose.answer(example.slots), "linked": example.linked,
    }  # fmt: skip


def sayable(tokens: Tokens, answers: Iterable[str]) -> list[int]:
    """Tokens that may stand in an answer, in any way of cutting it up: what the loss is a choice among."""
    text = "\n".join(sorted(set(answers))[:4000]).encode()
    return [i for i, piece in enumerate(tokens.texts()) if piece and piece in text]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=24_000)
    parser.add_argument("--held-out", type=int, default=1_000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tokens = Tokens(args.model)
    train = [row(e) for e in compose.examples(args.seed, args.count, held_out=False) if e.linked]
    held = [row(e) for e in compose.examples(args.seed, args.held_out, held_out=True)]
    for name, rows in (("train", train), ("held_out", held)):
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
        (args.out / f"{name}.jsonl").write_text(text, encoding="utf-8")
        print(name, len(rows), hashlib.sha256(text.encode()).hexdigest())
    asked = [tokens.of(prompt(str(r["said"]), str(r["before"]))) for r in train]
    said = [tokens.of(str(r["answer"]) + END) for r in train]
    np.savez(
        args.out / "train.npz",
        tokens=np.concatenate([np.array(a + b, np.int32) for a, b in zip(asked, said, strict=True)]),
        asked=np.array([len(a) for a in asked], np.int32),
        said=np.array([len(b) for b in said], np.int32),
        sayable=np.array(sorted({*sayable(tokens, (str(r["answer"]) for r in train)), *tokens.of(END)}), np.int32),
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The model's own process: one request at a time, one JSON object a line.

    in   {"do": "complete", ...}    out  {"text": ..., "switched": seconds} | {"error": ...}
         {"do": "add", "name", "file", "template"}    {"do": "drop", "name"}    out  {} | {"error": ...}

It may crash, hang or be killed; the parent (`llamacpp.LlamaCpp`) notices. A deadline aborts inside llama.cpp, between
two operations of the compute graph. Run as `python -m aiops.adapters.llm.child MODEL CONTEXT THREADS [FORM CACHE]`: the
model is then served in FORM, written once into the folder CACHE.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from aiops.adapters.llm.engine import DeadlineError, Engine, requantise


def answer(engine: Engine, request: Mapping[str, Any]) -> dict[str, object]:
    """What came of a request. Raises DeadlineError, ValueError."""
    rest = {key: value for key, value in request.items() if key != "do"}
    if request["do"] == "complete":
        text, switched = engine.complete(**rest)
        return {"text": text, "switched": switched}
    if request["do"] == "add":
        engine.add(rest["name"], Path(rest["file"]), rest["template"])
    else:
        engine.drop(rest["name"])
    return {}


def serve(engine: Engine, source: IO[bytes], sink: IO[bytes]) -> None:
    """Answers requests until the parent closes the pipe."""
    for line in source:
        try:
            said = answer(engine, json.loads(line))
        except DeadlineError:
            said = {"error": "no answer in time"}
        except ValueError as error:
            said = {"error": str(error)}
        sink.write(json.dumps(said).encode() + b"\n")
        sink.flush()


def opened(path: Path, context: int, threads: int, form: str = "", cache: str = "") -> Engine:
    """The engine for a model, in another form where one is named."""
    if not form:
        return Engine(path, context, threads)
    if not cache:
        with tempfile.TemporaryDirectory() as folder:  # the file is mapped: it may go once it is loaded
            requantise(path, Path(folder) / "model.gguf", form)
            return Engine(Path(folder) / "model.gguf", context, threads)
    told = path.stat()
    kept = Path(cache) / f"{path.stem}-{told.st_size:x}-{told.st_mtime_ns:x}.{form}.gguf"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = kept.with_suffix(f".{os.getpid()}.part")
        try:
            requantise(path, part, form)
            part.replace(kept)  # whole or not at all, whoever else writes it
        finally:
            part.unlink(missing_ok=True)
    return Engine(kept, context, threads)


def main() -> int:
    """Loads the model, says that it is ready, and serves."""
    path, context, threads, *form = sys.argv[1:]
    # The protocol gets a descriptor of its own: a library that prints must not garble it.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        engine = opened(Path(path), int(context), int(threads), *form)
    except (ValueError, OSError) as error:
        sink.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return 1
    sink.write(b'{"ready": true}\n')
    sink.flush()
    serve(engine, sys.stdin.buffer, sink)
    return 0


if __name__ == "__main__":
    sys.exit(main())

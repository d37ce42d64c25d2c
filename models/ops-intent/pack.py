"""Writes adapter.json and golden.jsonl for a trained adapter: `python pack.py BASE.gguf SERVED.gguf --version 1 --told told.json`.

The golden set is of held-out frames, all of one invented system, and its floor is what the adapter reaches here less a
tenth: kernels of another processor may round one close choice differently. `told.json`: data, training and scores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import compose
from evaluate import MOST, NAME, PATIENCE_S

from aiops.adapters.llm.engine import Engine
from aiops.stages.interpret import ask_model

HERE = Path(__file__).parent
FILE, PROMPT, GOLDEN = "ops-intent.gguf", "prompt.md", "golden.jsonl"
SEED, CASES = 29, 40
SLACK = 0.1


def golden(seed: int, count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(schema, cases): questions to one invented system, with their answers."""
    examples = list(compose.examples(seed, count, held_out=True, systems=1))
    schema = ask_model.schema(examples[0].system.catalog)
    return schema, [
        {"values": {"before": e.before, "said": e.said}, "answer": json.loads(compose.answer(e.slots))}
        for e in examples
    ]


def reached(engine: Engine, schema: dict[str, Any], cases: list[dict[str, Any]]) -> float:
    """The share of the cases that the adapter answers to the letter."""
    said = (engine.complete("", case["values"], schema, PATIENCE_S, MOST, NAME)[0] for case in cases)
    return sum(json.loads(one) == case["answer"] for one, case in zip(said, cases, strict=True)) / len(cases)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("served", type=Path)
    parser.add_argument("--version", default="1")
    parser.add_argument("--told", type=Path, required=True)
    args = parser.parse_args()
    schema, cases = golden(SEED, CASES)
    (HERE / GOLDEN).write_text("".join(json.dumps(c, ensure_ascii=False) + "\n" for c in cases), encoding="utf-8")
    engine = Engine(args.served, 2048)
    engine.add(NAME, HERE / FILE, (HERE / PROMPT).read_text(encoding="utf-8"))
    share = reached(engine, schema, cases)
    manifest = {
        "schema": "aiops-adapter/1",
        "name": NAME,
        "version": args.version,
        "file": FILE,
        "sha256": _sha256(HERE / FILE),
        "size": (HERE / FILE).stat().st_size,
        "licence": "Apache-2.0",
        "base": {
            "name": "smollm2-135m-instruct",
            "file": args.base.name,
            "sha256": _sha256(args.base),
            "served_as": "q4_0",
        },
        "prompt": {"file": PROMPT, "sha256": _sha256(HERE / PROMPT)},
        "golden": {
            "file": GOLDEN,
            "sha256": _sha256(HERE / GOLDEN),
            "seed": SEED,
            "reached": round(share, 4),
            "at_least": round(max(share - SLACK, 0.01), 4),
            "schema": schema,
        },
        **json.loads(args.told.read_text(encoding="utf-8")),
    }
    (HERE / "adapter.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f'golden set {share:.1%}; for models.toml: sha256 = "{_sha256(HERE / "adapter.json")}"')
    return 0


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())

"""How often the model alone is right, with the grammar and without a rule's help but the marks in the text.

`python evaluate.py BASE.gguf [--adapter ops-intent.gguf] [--count 400] [--file utterances.jsonl]`: BASE as it is served.
Without an adapter the base model answers its own few-shot prompt (prompts/intake.md). Held-out examples are worded by
frames and complaints that no training example has. Runs in aiops' environment.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catalogs
import compose

from aiops.adapters.llm.engine import BASE, Engine
from aiops.domain import Catalog
from aiops.stages.interpret import ask_model, marking
from aiops.stages.interpret.slots import Slots

HERE = Path(__file__).parent
NAME = "ops-intent"
PATIENCE_S, MOST = 120.0, 256


@dataclass(frozen=True)
class Case:
    """A question, and what is right."""

    lang: str
    kind: str
    text: str
    before: Slots | None
    said: str
    catalog: Catalog
    gold: Mapping[str, Any]


def held_out(seed: int, count: int) -> Iterator[Case]:
    """Invented utterances of the held-out frames; what the rules failed to mark is there too."""
    for e in compose.examples(seed, count, held_out=True):
        yield Case(
            e.lang, e.kind, e.text, e.context, e.said, e.system.catalog, _known(json.loads(compose.answer(e.slots)))
        )


def from_file(path: Path) -> Iterator[Case]:
    """A file as `aiops bench intake` reads it, with the catalog.json beside it."""
    told = json.loads(
        next(
            p for p in (path.with_name(f"catalog_{path.stem}.json"), path.with_name("catalog.json")) if p.exists()
        ).read_text("utf-8")
    )
    aliases = {name: tuple(words) for name, words in told.get("aliases", {}).items()}
    system = catalogs.System(Catalog(tuple(told["services"]), tuple(told["metrics"]), aliases), {})
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        before = Slots.from_dict(row["context"]) if row.get("context") else None
        said = marking.marked(compose.seen(row["text"], system))
        yield Case(row.get("lang", ""), row.get("kind", ""), row["text"], before, said, system.catalog, row["gold"])


class Candidate:
    """The base model, with the adapter or without."""

    def __init__(self, base: Path, adapter: Path | None) -> None:
        self.engine, self.name = Engine(base, 2048), NAME if adapter else BASE
        if adapter:
            self.engine.add(NAME, adapter, (HERE / "prompt.md").read_text("utf-8"))

    def answer(self, case: Case) -> dict[str, Any]:
        """What it says to a case, without names that are in no catalog."""
        prompt = ask_model.prompt(case.text, case.before, case.said)
        said, _ = self.engine.complete(
            prompt.template, prompt.values, ask_model.schema(case.catalog), PATIENCE_S, MOST, self.name
        )
        return _known(json.loads(said))


def _known(slots: dict[str, Any]) -> dict[str, Any]:
    return {**slots, "services": [s for s in slots["services"] if s != "unknown"]}


def scores(pairs: list[tuple[Case, dict[str, Any]]]) -> dict[str, Any]:
    """Shares in percent: each slot, all six, and all six by language, kind and right intent."""

    def share(of: list[bool]) -> float:
        return round(100 * sum(of) / len(of), 1) if of else 0.0

    whole, groups = [], defaultdict[str, list[bool]](list)
    for case, said in pairs:
        right = all(said[slot] == case.gold[slot] for slot in compose.ORDER)
        whole.append(right)
        for group in (case.lang, case.kind, f"intent {case.gold['intent']}"):
            groups[group].append(right)
    slots = {slot: share([said[slot] == case.gold[slot] for case, said in pairs]) for slot in compose.ORDER}
    return {
        "cases": len(pairs),
        "all six": share(whole),
        **slots,
        "by": {g: (share(v), len(v)) for g, v in sorted(groups.items())},
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--misses", type=int, default=0)
    args = parser.parse_args()
    candidate = Candidate(args.base, args.adapter)
    cases = from_file(args.file) if args.file else held_out(args.seed, args.count)
    pairs = [(case, candidate.answer(case)) for case in cases]
    wrong = [(c, s) for c, s in pairs if any(s[slot] != c.gold[slot] for slot in compose.ORDER)]
    for case, said in wrong[: args.misses]:
        print(
            case.text,
            "|",
            case.said,
            "|",
            {slot: (case.gold[slot], said[slot]) for slot in compose.ORDER if said[slot] != case.gold[slot]},
        )
    print(json.dumps(scores(pairs), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`aiops bench intake`: utterances with known meaning through `interpret`, and how often each slot is right.

The catalog and the reference time come from `catalog.json`; the gold is read afterwards, for the table. Two counts stand
apart, because they are the expensive mistakes: a service that nobody named, and an action that nobody asked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiops.bench.rca import wilson
from aiops.domain import Catalog
from aiops.errors import DataError, ModelError
from aiops.ports import LanguageModel
from aiops.stages.interpret import Reading, Slots, read, read_by_model
from aiops.stages.interpret.slots import SLOTS

PATIENCE_S = 120.0  # for a model to be loaded


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of the file. `gold` is None where the meaning isn't known. `level`: plain, colloquial or edge."""

    id: str
    lang: str
    kind: str
    text: str
    context: Mapping[str, Any] | None
    gold: Mapping[str, Any] | None

    @property
    def level(self) -> str:
        """How hard the wording is, whatever it asks for."""
        return {"plain": "plain", "cond": "plain", "hard": "colloquial", "mix": "colloquial", "typo": "colloquial"}.get(
            self.kind, "edge"
        )


@dataclass(frozen=True, slots=True)
class Answer:
    utterance: Utterance
    slots: Mapping[str, Any]
    route: str
    seconds: float
    cpu: float = 0.0  # of this process: what the rules cost, however busy the machine is

    def right(self, slot: str) -> bool:
        gold = self.utterance.gold or {}
        if slot == "all":
            return all(self.right(one) for one in SLOTS)
        return bool(self.slots[slot] == gold.get(slot))

    def line(self) -> str:
        return json.dumps(
            {"id": self.utterance.id, "slots": self.slots, "seconds": round(self.seconds, 6)}, ensure_ascii=False
        )


def run(
    file: Path,
    catalog: Path | None = None,
    now: datetime | None = None,
    predictions: Path | None = None,
    model: LanguageModel | None = None,
    timeout: float = 20.0,
) -> tuple[str, int]:
    """(tables, exit code). Without a model: rules and clarification. DataError when a file isn't what it should be."""
    names, said = read_catalog(catalog or file.parent / "catalog.json")
    moment = now.astimezone(said.tzinfo) if now else said
    utterances = read_utterances(file)
    read("", names, now=moment)  # the matcher is built once per catalog, not per question
    answers = [_answer(one, names, moment, model, timeout) for one in utterances]
    if predictions:
        predictions.write_text("".join(f"{answer.line()}\n" for answer in answers), encoding="utf-8")
    return _tables(answers), 0


def ready(model: LanguageModel | None, tell: Callable[[str], None]) -> LanguageModel | None:
    """The model once it answers; None, after saying so, where there is none: then the rules read alone."""
    if model is None:
        return None
    try:
        tell(f"in doubt: {model.ping(PATIENCE_S)}")
    except ModelError as error:
        tell(f"by rules alone: {error}")
        return None
    return model


def beside(
    file: Path,
    models: Mapping[str, LanguageModel],
    catalog: Path | None = None,
    now: datetime | None = None,
    timeout: float = 20.0,
) -> str:
    """One table of ways to read the file: rules only, and for each model the rules with it where they doubt, and it alone.

    A model "only" is asked about every utterance that the guards let through, and nothing but the schema holds its answer."""
    names, said = read_catalog(catalog or file.parent / "catalog.json")
    moment = now.astimezone(said.tzinfo) if now else said
    scored = [one for one in read_utterances(file) if one.gold is not None]
    read("", names, now=moment)
    ways = {"rules only": [_answer(one, names, moment, None, timeout) for one in scored]}
    for title, model in models.items():
        ways[f"rules, {title} in doubt"] = [_answer(one, names, moment, model, timeout) for one in scored]
        ways[f"{title} only"] = [_alone(one, names, moment, model, timeout) for one in scored]
    lines = [f"{'way':<34}{'all':>7}{'plain':>8}{'coll.':>8}{'service':>9}{'action':>8}   wall"]
    for title, answers in ways.items():
        shares = [_right(answers, level) for level in ("", "plain", "colloquial")]
        wrong = sum(map(wrong_service, answers)), sum(map(wrong_action, answers))
        spread = _spread(sorted(answer.seconds for answer in answers))
        lines.append(f"{title:<34}{shares[0]:>7}{shares[1]:>8}{shares[2]:>8}{wrong[0]:>9}{wrong[1]:>8}   {spread}")
    return "\n".join(lines) + "\nservice, action: wrong ones, counted\n"


def _right(answers: Sequence[Answer], level: str) -> str:
    mine = [answer for answer in answers if level in ("", answer.utterance.level)]
    return f"{sum(answer.right('all') for answer in mine) / len(mine):.3f}" if mine else "-"


def _alone(one: Utterance, names: Catalog, now: datetime, model: LanguageModel, timeout: float) -> Answer:
    start = time.perf_counter()
    reading = read_by_model(one.text, names, now=now, context=one.context, model=model, timeout=timeout)
    return Answer(one, reading.slots.as_dict(), reading.route, time.perf_counter() - start)


def read_catalog(file: Path) -> tuple[Catalog, datetime]:
    """The names, and the reference time in the zone of the speakers."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        aliases = {str(k): tuple(map(str, v)) for k, v in values.get("aliases", {}).items()}
        now = datetime.fromisoformat(values["now"]).astimezone(ZoneInfo(values.get("tz", "UTC")))
        return Catalog(tuple(values["services"]), tuple(values["metrics"]), aliases), now
    except (OSError, KeyError, TypeError, ValueError, AttributeError, ZoneInfoNotFoundError) as error:
        raise DataError(f"{file}: no catalog with now, tz, services, metrics, aliases: {error}") from error


def read_utterances(file: Path) -> tuple[Utterance, ...]:
    """The lines of a file of utterances; DataError names the line that is wrong."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: can't be read: {error}") from error
    found = tuple(_utterance(file, number, line) for number, line in enumerate(lines, 1) if line.strip())
    if not found:
        raise DataError(f"{file}: no utterances")
    return found


def _utterance(file: Path, number: int, line: str) -> Utterance:
    try:
        row = json.loads(line)
        return Utterance(
            id=str(row["id"]),
            lang=str(row.get("lang", "")),
            kind=str(row.get("kind", "")),
            text=str(row["text"]),
            context=row.get("context"),
            gold=row.get("gold"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{file}:{number}: a JSON object with id and text is needed: {error!r}") from error


def _answer(one: Utterance, names: Catalog, now: datetime, model: LanguageModel | None, timeout: float) -> Answer:
    start, cpu = time.perf_counter(), time.process_time()
    reading: Reading = read(one.text, names, now=now, context=one.context, model=model, timeout=timeout)
    return Answer(one, reading.slots.as_dict(), reading.route, time.perf_counter() - start, time.process_time() - cpu)


def _tables(answers: Sequence[Answer]) -> str:
    seconds = sorted(answer.seconds for answer in answers)
    scored = [answer for answer in answers if answer.utterance.gold is not None]
    parts = []
    if scored:
        parts += [
            _table("slot", scored, ((slot, _all, slot) for slot in (*SLOTS, "all"))),
            _table("level", scored, _groups(scored, lambda a: a.utterance.level)),
            _table("kind", scored, _groups(scored, lambda a: a.utterance.kind)),
            _table("language", scored, _groups(scored, lambda a: a.utterance.lang)),
            _table("route", scored, _groups(scored, lambda a: a.route)),
            f"wrong service {_counted(scored, wrong_service)}   action not asked for {_counted(scored, wrong_action)}",
        ]
    for route in sorted({answer.route for answer in answers}):
        mine = sorted(answer.seconds for answer in answers if answer.route == route)
        parts.append(f"route {route}: {len(mine)} of {len(answers)}   {_spread(mine)}")
    cpu = sorted(answer.cpu for answer in answers)
    parts.append(f"{len(answers)} utterances   {_spread(seconds)}   of processor time: {_spread(cpu)}")
    return "\n\n".join(parts) + "\n"


def _spread(ordered: Sequence[float]) -> str:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    return "   ".join(f"{name} {_share(ordered, share) * 1e3:.2f} ms" for share, name in shares)


def wrong_service(answer: Answer) -> bool:
    """A service that the gold doesn't name: worse than asking back."""
    return bool(set(answer.slots["services"]) - set((answer.utterance.gold or {}).get("services", ())))


def wrong_action(answer: Answer) -> bool:
    """A change that the gold doesn't ask for."""
    gold = (answer.utterance.gold or {}).get("action", Slots().action)
    return bool(answer.slots["action"] not in {"none", gold})


def _all(_: Answer) -> bool:
    return True


def _groups(
    answers: Sequence[Answer], key: Callable[[Answer], str]
) -> Iterable[tuple[str, Callable[[Answer], bool], str]]:
    for name in sorted({key(answer) for answer in answers}):
        yield name, lambda answer, name=name: key(answer) == name, "all"  # type: ignore[misc]  # a default binds the name


def _table(title: str, answers: Sequence[Answer], rows: Iterable[tuple[str, Callable[[Answer], bool], str]]) -> str:
    lines = [f"{title:<14}{'right':>7}{'of':>6}{'share':>8}  95 % interval"]
    for name, belongs, slot in rows:
        mine = [answer for answer in answers if belongs(answer)]
        right = sum(answer.right(slot) for answer in mine)
        low, high = wilson(right / len(mine), len(mine))
        lines.append(f"{name:<14}{right:>7}{len(mine):>6}{right / len(mine):>8.3f}  {low:.3f}-{high:.3f}")
    return "\n".join(lines)


def _counted(answers: Sequence[Answer], wrong: Callable[[Answer], bool]) -> str:
    count = sum(map(wrong, answers))
    return f"{count} of {len(answers)} ({count / len(answers):.1%})"


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

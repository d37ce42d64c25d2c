"""`aiops bench rca`: the corridor over recorded incidents, and how often its first causes are the true ones, beside published
rankings (`rankers`) of the same incidents; `--fault-free`: how often it names none where there is none.

The diagnosis of a case sees neither the truth nor the case's name; both are read here, afterwards, for the table. A case that
can't be read is reported and counts as a miss, and so does `inconclusive`: a tool that is silent has not helped.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from aiops import app, pipeline
from aiops.bench import crossval
from aiops.bench.calibration import VARIANTS, WITHOUT, Point, point, table
from aiops.bench.progress import progress
from aiops.bench.quiet import windows
from aiops.bench.rankers import RANKERS
from aiops.domain import Observation, Recording, RootCauses, Scope, Verdict
from aiops.errors import AiopsError, DataError
from aiops.ops import Ops
from aiops.ports import Pool
from aiops.stages.detect import detect
from aiops.stages.detect.window import incident_window
from aiops.stages.link import link
from aiops.stages.rank import rank

DEPTH = 5  # Avg@5: mean of AC@1 .. AC@5
Z95 = 1.959964  # standard normal quantile of a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out of one case. `candidates` is how many nodes could have been named."""

    case_id: str
    dataset: str
    verdict: str
    ranking: tuple[tuple[str, float], ...] = ()
    candidates: int = 0
    seconds: float = 0.0
    error: str = ""
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # what the published methods answer

    def line(self) -> str:
        ranking = [{"service": node, "score": round(score, 6)} for node, score in self.ranking]
        told: dict[str, Any] = {"case_id": self.case_id, "verdict": self.verdict, "ranking": ranking}
        told["seconds"] = round(self.seconds, 4)
        return json.dumps(told | ({"error": self.error} if self.error else {}), ensure_ascii=False)


@dataclass(slots=True)
class Tally:
    """Ranks of the true cause (None = missed) and the chance of each case."""

    ranks: list[int | None] = field(default_factory=list)
    candidates: list[int] = field(default_factory=list)
    found: int = 0
    references: dict[str, Tally] = field(default_factory=dict)

    def accuracy(self, k: int) -> float:
        return sum(r is not None and r <= k for r in self.ranks) / len(self.ranks)

    def average(self) -> float:
        return statistics.fmean(self.accuracy(k) for k in range(1, DEPTH + 1))

    def chance(self, k: int) -> float:
        return statistics.fmean(min(1.0, k / n) if n else 0.0 for n in self.candidates)

    def chance_average(self) -> float:
        return statistics.fmean(self.chance(k) for k in range(1, DEPTH + 1))


def run(
    directory: Path,
    truth: Path | None = None,
    predictions: Path | None = None,
    late: float = 0.0,
    until: float | None = None,
    pool: Pool | None = None,
) -> tuple[str, int]:
    """(table, exit code). Writes predictions as JSON lines where asked. DataError when `directory` holds no case.

    late: seconds by which the symptom is noticed later; until: seconds after it at which the data end; pool: who does it.
    """
    folders = list(cases(directory))
    if not folders:
        raise DataError(f"{directory}: no case.json in it or below")
    truths = _truths(truth, folders)
    answer(folders[0], late, until)  # what is imported and compiled once is not the price of a case
    answers = []
    made = partial(answer, late=late, until=until)
    for done, one in enumerate(pool.map(made, folders) if pool else map(made, folders), 1):
        answers.append(one)
        progress(done, len(folders))
    if predictions is not None:
        predictions.write_text("".join(f"{a.line()}\n" for a in answers), encoding="utf-8")
    return _table(answers, truths), 0


def run_fault_free(directory: Path) -> tuple[str, int]:
    """(table, exit code): how often windows without a fault (`quiet`) stay without a cause. DataError when there is no case."""
    folders = list(cases(directory))
    if not folders:
        raise DataError(f"{directory}: no case.json in it or below")
    silent: dict[tuple[str, str], list[bool]] = {}
    for done, folder in enumerate(folders, 1):
        with app.connect(f"case:{folder}", keep=False, flags={"model.url": ""}) as ops:
            recording, ranking = _recorded(ops, 0.0, None), ops.rules.ranking
        case_id, dataset = _named(folder)
        for window in windows(case_id, json.loads((folder / "case.json").read_bytes()), recording):
            verdict = _concluded(window.observation, window.scope, ranking).verdict
            silent.setdefault((dataset, window.kind), []).append(verdict is Verdict.INCONCLUSIVE)
        progress(done, len(folders))
    lines = [f"{'fault-free windows':<22}{'kind':<12}{'n':>6}  inconclusive [95 %]"]
    for (dataset, kind), kept in sorted(silent.items()):
        share, (low, high) = statistics.fmean(kept), wilson(statistics.fmean(kept), len(kept))
        lines.append(f"{dataset:<22}{kind:<12}{len(kept):>6}  {share:.3f} [{low:.2f}, {high:.2f}]")
    return "\n".join(lines) + "\n", 0


def run_calibration(directory: Path) -> tuple[str, int]:
    """(table, exit code): the score refitted and judged (`calibration`). DataError where there is no case or no truth."""
    folders = list(cases(directory))
    truths = _truths(None, folders)
    points: list[Point | None] = []
    for done, folder in enumerate(folders, 1):
        case_id, dataset = _named(folder)
        cause = str(truths[case_id]["root_cause_service"]) if case_id in truths else None
        with app.connect(f"case:{folder}", keep=False, flags={"model.url": ""}) as ops:
            ranking, whole = ops.rules.ranking, _recorded(ops, 0.0, None)
            seen = [(name, _recorded(ops, late, until)) for name, late, until in VARIANTS] if cause else []
        for name, recording in seen:
            causes = _concluded(recording.observation, recording.scope, ranking)
            points.append(point(dataset, name, causes, cause))
        for name, without in WITHOUT.items() if cause else ():
            less = without(whole.observation)
            if _size(less) < _size(whole.observation):
                points.append(point(dataset, name, _concluded(less, whole.scope, ranking), cause))
        for window in windows(case_id, json.loads((folder / "case.json").read_bytes()), whole):
            causes = _concluded(window.observation, window.scope, ranking)
            points.append(point(dataset, "quiet", causes, None))
        progress(done, len(folders))
    known = [p for p in points if p is not None]
    if len({p.dataset for p in known if p.part == "whole"}) < 2:
        raise DataError(f"{directory}: two data sets with truth are needed, to judge each by the other")
    return table(known), 0


def run_cross_validation(directory: Path, seed: int = 0, count: int = crossval.SETTINGS) -> tuple[str, int]:
    """(table, exit code): half-strengths and weights chosen without the data set they are judged on (`crossval`).

    DataError where fewer than two data sets have a truth."""
    folders = list(cases(directory))
    truths = _truths(None, folders)
    incidents: list[crossval.Known] = []
    ranking: Mapping[str, Any] = {}
    for folder in folders:
        case_id, dataset = _named(folder)
        if case_id not in truths:
            continue
        truth = truths[case_id]
        fault, cause = str(truth.get("fault_type", "unknown")), str(truth["root_cause_service"])
        with app.connect(f"case:{folder}", keep=False, flags={"model.url": ""}) as ops:
            ranking, seen = ops.rules.ranking, _recorded(ops, 0.0, None)
        incidents.append(crossval.known(dataset, fault, cause, seen.observation, seen.scope, ranking))
    if len({i.dataset for i in incidents}) < 2:
        raise DataError(f"{directory}: two data sets with truth are needed, to judge each by the other")
    drawn, tried = crossval.settings(ranking, count, seed), []
    for done, setting in enumerate(drawn, 1):
        tried.append(crossval.places(incidents, setting))
        progress(done, len(drawn))
    return crossval.table(incidents, drawn, tried), 0


def _size(seen: Observation) -> int:
    return len(seen.panel.labels) + len(seen.logs) + len(seen.spans) + len(seen.calls)


def cases(directory: Path) -> Iterator[Path]:
    """Folders that hold a case.json, sorted by path."""
    return (path.parent for path in sorted(directory.rglob("case.json")))


def answer(folder: Path, late: float, until: float | None) -> Answer:
    """Diagnoses one case end to end; a failure becomes an answer that says so."""
    case_id, dataset = _named(folder)
    began = time.perf_counter()
    try:
        with app.connect(f"case:{folder}", keep=False, flags={"model.url": ""}) as ops:
            recording = _recorded(ops, late, until)
            observation, scope = recording.observation, recording.scope
            causes = _concluded(observation, scope, ops.rules.ranking)
    except AiopsError as error:
        return Answer(case_id, dataset, "failed", seconds=time.perf_counter() - began, error=str(error))
    seconds = time.perf_counter() - began
    ranking = tuple((c.node, c.score) for c in causes.candidates)
    nodes = len({node for node in observation.panel.nodes if node and not node.startswith("_")})
    seen = incident_window(observation, scope)
    references = {name: ranker(seen, scope) for name, ranker in RANKERS.items()}
    return Answer(case_id, dataset, causes.verdict.value, ranking, nodes, seconds, references=references)


def _recorded(ops: Ops, late: float, until: float | None) -> Recording:
    """All that a diagnosis reads."""
    task = ops.task()
    symptom = task.inputs.symptom
    if symptom is None or symptom.at is None:
        raise DataError("the case names no detection time")
    at = symptom.at + timedelta(seconds=late)
    end = at + timedelta(seconds=until, microseconds=1) if until is not None else None
    return pipeline.record("bench", ops.task(at=at, until=end), ops.sources, ops.rules, ops.deadline_s)


def _concluded(observation: Observation, scope: Scope, ranking: Mapping[str, Any]) -> RootCauses:
    """The corridor's own steps, up to the ranking that a report shortens."""
    findings = detect(observation, scope, ranking)
    return rank(link(findings, observation, scope, ranking), findings, scope, ranking)


def _named(folder: Path) -> tuple[str, str]:
    """(case id, dataset), for the table only."""
    try:
        case = json.loads((folder / "case.json").read_bytes())
        return str(case["case_id"]), str(case.get("dataset", folder.parent.name))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return folder.name, folder.parent.name


# ---------------------------------------------------------------- the truth


def _truths(file: Path | None, folders: Iterable[Path]) -> dict[str, Mapping[str, Any]]:
    """Case id -> {root_cause_service, fault_type}: from `file`, else from each case's truth.json; {} where none is known."""
    if file is not None:
        return dict(_read_truths(file))
    known = {}
    for folder in folders:
        try:
            known[_named(folder)[0]] = json.loads((folder / "truth.json").read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / 'truth.json'}: {error}") from error
    return known


def _read_truths(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """One JSON object by case id, a list of objects with `case_id`, or JSON lines of such."""
    try:
        text = file.read_text(encoding="utf-8")
        try:
            data = json.loads(text)
        except ValueError:
            data = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error
    if isinstance(data, dict) and "case_id" in data:
        data = [data]
    elif isinstance(data, dict):
        data = [{"case_id": k, **v} for k, v in data.items() if isinstance(v, dict)]
    for one in data:
        if not isinstance(one, dict) or "case_id" not in one or "root_cause_service" not in one:
            raise DataError(f"{file}: each truth needs case_id and root_cause_service; this lacks one: {str(one)[:80]}")
        yield str(one["case_id"]), one


# ---------------------------------------------------------------- the table


def _table(answers: Sequence[Answer], truths: Mapping[str, Mapping[str, Any]]) -> str:
    groups: dict[tuple[str, str], Tally] = {}
    for one in answers:
        truth = truths.get(one.case_id)
        if truth is None:
            continue
        place = _place(one, str(truth["root_cause_service"]))
        for fault in ("all", str(truth.get("fault_type", "unknown"))):
            tally = groups.setdefault((one.dataset, fault), Tally())
            tally.ranks.append(place)
            tally.candidates.append(one.candidates)
            tally.found += one.verdict == Verdict.FOUND.value
            for name in RANKERS:
                other = tally.references.setdefault(name, Tally())
                other.ranks.append(_position(one.references.get(name, ()), str(truth["root_cause_service"])))
    lines = [f"{'dataset':<22}{'fault':<20}{'n':>4}  {'AC@1 [95 %]':<20}{'AC@3 [95 %]':<20}{'Avg@5':<7}found"]
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] != "all", item[0][1]))
    for (dataset, fault), tally in ordered:
        lines.append(_row(dataset if fault == "all" else "", fault, tally))
    lines += [
        "",
        f"{'beside others, AC@1/AC@3/Avg@5':<48}{'ours':<17}{''.join(f'{name:<17}' for name in RANKERS)}chance",
    ]
    for (dataset, fault), tally in ordered:
        lines.append(_beside(dataset if fault == "all" else "", fault, tally))
    lines.append("")
    failed = [a for a in answers if a.error]
    lines += [f"failed: {a.case_id}: {a.error}" for a in failed]
    seconds = sorted(a.seconds for a in answers)
    lines.append(
        f"{len(answers)} cases, {len(failed)} failed, {sum(a.verdict == Verdict.INCONCLUSIVE.value for a in answers)} inconclusive; "
        f"{statistics.median(seconds):.3f} s a case (median), {seconds[-1]:.3f} s at most"
    )
    if not groups:
        lines = [lines[-1], "no truth known: nothing to score"]
    return "\n".join(lines) + "\n"


def _place(one: Answer, cause: str) -> int | None:
    if one.verdict != Verdict.FOUND.value:
        return None
    return _position([node for node, _ in one.ranking], cause)


def _position(ranking: Sequence[str], cause: str) -> int | None:
    return next((k for k, node in enumerate(ranking, 1) if node == cause), None)


def _row(dataset: str, fault: str, tally: Tally) -> str:
    n = len(tally.ranks)
    cells = [
        f"{tally.accuracy(k):.2f} [{low:.2f}, {high:.2f}]"
        for k in (1, 3)
        for low, high in [wilson(tally.accuracy(k), n)]
    ]
    return f"{dataset:<22}{fault:<20}{n:>4}  {cells[0]:<20}{cells[1]:<20}{tally.average():<7.2f}{tally.found / n:<7.2f}"


def _beside(dataset: str, fault: str, tally: Tally) -> str:
    cells = [_three(tally.accuracy(1), tally.accuracy(3), tally.average())]
    cells += [_three(t.accuracy(1), t.accuracy(3), t.average()) for t in tally.references.values()]
    chance = _three(tally.chance(1), tally.chance(3), tally.chance_average())
    return f"{dataset:<22}{fault:<20}{len(tally.ranks):>4}  {''.join(f'{cell:<17}' for cell in cells)}{chance}"


def _three(*figures: float) -> str:
    return "/".join(f"{figure:.2f}" for figure in figures)


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (E. B. Wilson, Journal of the American Statistical Association 22, 1927). n > 0."""
    middle = share + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + Z95**2 / n)), min(1.0, (middle + spread) / (1 + Z95**2 / n))

"""What `rules/` holds, read once, checked and typed: entities, ranking weights, runbooks.

`load` is the only reader. A wrong file is a ConfigError that names the file, the key and what is allowed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from aiops.domain import Call, Labels, Runbook
from aiops.errors import ConfigError, DataError
from aiops.schema import runbook as runbook_schema

KINDS = ("CALLS", "RUNS_ON")


@dataclass(frozen=True, slots=True)
class Entities:
    """How labels become node ids. `labels`: kind -> label names in order; `strip`: label -> suffix patterns."""

    labels: Mapping[str, tuple[str, ...]]
    ignore: frozenset[str]
    strip: Mapping[str, tuple[re.Pattern[str], ...]]
    aliases: Mapping[str, str]

    def node(self, kind: str, labels: Labels) -> str:
        """The node that `labels` of a series, alert, log or span belong to; "" when they name none."""
        for label in self.labels[kind]:
            value = labels.get(label, "")
            if value in self.ignore:
                continue
            for pattern in self.strip.get(label, ()):
                shorter = pattern.sub("", value)
                if shorter and shorter != value:
                    value = shorter
                    break
            return self.aliases.get(value, value)
        return ""


@dataclass(frozen=True, slots=True)
class Relation:
    """Metrics whose labels state an edge from `tail` (caller, what runs) to `head` (callee, host).

    `tail` and `head`: label -> label of rules/entities.yaml that it is like, in order. `where`: labels it must have.
    `watched`: only heads that have series of their own."""

    metric: re.Pattern[str]
    tail: Mapping[str, str]
    head: Mapping[str, str]
    where: Mapping[str, str]
    watched: bool

    def fits(self, labels: Labels) -> bool:
        return (
            any(label in labels for label in self.head)
            and self.metric.fullmatch(labels.get("__name__", "")) is not None
            and all(labels.get(label) == value for label, value in self.where.items())
        )


@dataclass(frozen=True, slots=True)
class Topology:
    """What states a dependency. `metrics`: a regular expression for all metrics that exist to state one."""

    calls: tuple[Relation, ...] = ()
    runs_on: tuple[Relation, ...] = ()
    shorten: tuple[re.Pattern[str], ...] = ()
    ignore: frozenset[str] = frozenset()
    declared: tuple[Call, ...] = ()
    metrics: str = ""

    def shortened(self, name: str) -> str:
        found = next((match for pattern in self.shorten if (match := pattern.fullmatch(name))), None)
        return found[1] if found else name


@dataclass(frozen=True, slots=True)
class Rules:
    entities: Entities
    topology: Topology
    ranking: Mapping[str, Any]
    runbooks: tuple[Runbook, ...]
    hashes: Mapping[str, str]


def load(folder: Path) -> Rules:
    """Reads and checks `entities.yaml`, `ranking.yaml`, `topology.yaml` and `runbooks/*.yaml` under `folder`."""
    files = [
        folder / "entities.yaml",
        folder / "ranking.yaml",
        folder / "topology.yaml",
        *sorted((folder / "runbooks").glob("*.yaml")),
    ]
    texts = {path: _read(path) for path in files}
    digest = hashlib.sha256()
    for path, text in texts.items():
        digest.update(f"{path.name}\n{text}\n".encode())
    for script in sorted((folder / "runbooks" / "files").glob("*")):
        digest.update(f"{script.name}\n{hashlib.sha256(script.read_bytes()).hexdigest()}\n".encode())
    parsed = {path: _parse(path, texts[path]) for path in files[:3]}
    entities = _entities(files[0], parsed[files[0]])
    return Rules(
        entities=entities,
        topology=_topology(files[2], parsed[files[2]], entities),
        ranking=parsed[files[1]],
        runbooks=tuple(_runbook(path, texts[path]) for path in files[3:]),
        hashes={"rules": digest.hexdigest()[:16]},
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: holds {type(data).__name__}, not a mapping")
    return data


def _entities(path: Path, data: dict[str, Any]) -> Entities:
    labels = data.get("labels")
    if not isinstance(labels, dict) or set(labels) != {"series", "alert", "log", "span"}:
        raise ConfigError(f"{path}: `labels` must hold exactly series, alert, log and span, each a list of label names")
    strip = {k: tuple(_regex(path, f"strip.{k}", p) for p in v) for k, v in (data.get("strip") or {}).items()}
    ignore = frozenset(str(v) for v in data.get("ignore") or ())
    return Entities(
        {k: tuple(str(x) for x in v) for k, v in labels.items()}, ignore | {""}, strip, dict(data.get("aliases") or {})
    )


def _topology(path: Path, data: dict[str, Any], entities: Entities) -> Topology:
    calls = tuple(_relation(path, f"calls[{i}]", one, entities) for i, one in enumerate(data.get("calls") or ()))
    runs_on = tuple(_relation(path, f"runs_on[{i}]", one, entities) for i, one in enumerate(data.get("runs_on") or ()))
    if any(not relation.tail for relation in calls):
        raise ConfigError(f"{path}: each of calls needs a caller")
    shorten = tuple(_regex(path, "shorten", one) for one in data.get("shorten") or ())
    if any(pattern.groups != 1 for pattern in shorten):
        raise ConfigError(f"{path}: each pattern of shorten needs exactly one group, which is what stays")
    return Topology(
        calls,
        runs_on,
        shorten,
        frozenset(str(one) for one in data.get("ignore") or ()),
        tuple(_declared(path, edge) for edge in data.get("declared") or ()),
        # A rule without its own `what` holds for metrics that are there for something else.
        "|".join(f"(?:{r.metric.pattern})" for r in (*calls, *(r for r in runs_on if r.tail))),
    )


def _relation(path: Path, key: str, data: Any, entities: Entities) -> Relation:
    known = {"name", "metric", "where", "caller", "callee", "what", "host", "watched"}
    if not isinstance(data, dict) or set(data) - known or "metric" not in data:
        raise ConfigError(f"{path}: {key} is {data!r}; it needs `metric`, and may have {', '.join(sorted(known))}")
    tail: Any = data.get("caller") or data.get("what") or {}
    head: Any = data.get("callee") or data.get("host")
    for end in (tail, head):
        if not isinstance(end, dict) or not set(end.values()) <= set(entities.labels["series"]):
            raise ConfigError(
                f"{path}: {key}: {end!r} must map labels to labels that rules/entities.yaml lists under labels.series"
            )
    metric, where = _regex(path, f"{key}.metric", data["metric"]), data.get("where") or {}
    if not isinstance(where, dict):
        raise ConfigError(f"{path}: {key}: where is {where!r}; it must map labels to values")
    return Relation(metric, tail, head, where, bool(data.get("watched", False)))


def _declared(path: Path, edge: Any) -> Call:
    if not isinstance(edge, list) or not 2 <= len(edge) <= 3 or not all(isinstance(x, str) and x for x in edge):
        raise ConfigError(f"{path}: declared: {edge!r} is not [caller, callee] or [caller, callee, kind]")
    kind = edge[2] if len(edge) > 2 else "CALLS"
    if kind not in KINDS:
        raise ConfigError(f"{path}: declared: kind {kind!r}; allowed are {', '.join(KINDS)}")
    return Call(edge[0], edge[1], "declared", kind)


def _runbook(path: Path, text: str) -> Runbook:
    def script(name: str) -> bytes:
        file = path.parent / "files" / name
        if file.is_symlink() or not file.is_file():
            raise DataError(f"{file} is no plain file")
        return file.read_bytes()

    try:
        return runbook_schema.load(text, path.stem, script)
    except (DataError, OSError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _regex(path: Path, key: str, pattern: object) -> re.Pattern[str]:
    try:
        return re.compile(str(pattern))
    except re.error as error:
        raise ConfigError(f"{path}: {key}: {pattern!r} is no regular expression: {error}") from error

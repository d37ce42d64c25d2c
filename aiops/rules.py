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

from aiops.domain import Labels
from aiops.errors import ConfigError

FAULTS = ("cpu", "memory", "disk", "network", "errors", "latency", "traffic", "saturation", "crash", "change")
MODES = ("off", "suggest")


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
class Runbook:
    """A repair that may be proposed: which faults it mends, its exact argv, and how to check and undo it."""

    name: str
    title: str
    faults: tuple[str, ...]
    node: re.Pattern[str]
    parameters: Mapping[str, re.Pattern[str]]
    argv: tuple[str, ...]
    check: str
    undo: str
    mode: str


@dataclass(frozen=True, slots=True)
class Rules:
    entities: Entities
    ranking: Mapping[str, Any]
    runbooks: tuple[Runbook, ...]
    hashes: Mapping[str, str]


def load(folder: Path) -> Rules:
    """Reads and checks `entities.yaml`, `ranking.yaml` and `runbooks/*.yaml` under `folder`."""
    files = [folder / "entities.yaml", folder / "ranking.yaml", *sorted((folder / "runbooks").glob("*.yaml"))]
    texts = {path: _read(path) for path in files}
    digest = hashlib.sha256()
    for path, text in texts.items():
        digest.update(f"{path.name}\n{text}\n".encode())
    parsed = {path: _parse(path, text) for path, text in texts.items()}
    return Rules(
        entities=_entities(files[0], parsed[files[0]]),
        ranking=parsed[files[1]],
        runbooks=tuple(_runbook(path, parsed[path]) for path in files[2:]),
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


def _runbook(path: Path, data: dict[str, Any]) -> Runbook:
    known = {"title", "match", "parameters", "argv", "check", "undo", "mode"}
    wrong = set(data) ^ known
    if wrong:
        raise ConfigError(f"{path}: needs exactly the keys {sorted(known)}; wrong: {sorted(wrong)}")
    match, argv, mode = data["match"], data["argv"], data["mode"]
    faults = match.get("faults") if isinstance(match, dict) else None
    if not isinstance(faults, list) or not faults or any(f not in FAULTS for f in faults):
        raise ConfigError(f"{path}: match.faults is {faults!r}; allowed are {', '.join(FAULTS)}")
    if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
        raise ConfigError(f"{path}: argv is {argv!r}; it must be a list of strings")
    if mode not in MODES:
        raise ConfigError(f"{path}: mode is {mode!r}; allowed are {', '.join(MODES)}")
    parameters = {k: _regex(path, f"parameters.{k}", v) for k, v in (data["parameters"] or {}).items()}
    unknown = {n for a in argv for n in re.findall(r"\{(\w+)\}", a)} - set(parameters)
    if unknown:
        raise ConfigError(f"{path}: argv uses {sorted(unknown)}, which `parameters` does not define")
    node = _regex(path, "match.node", match.get("node", ".*"))
    return Runbook(
        path.stem,
        str(data["title"]),
        tuple(faults),
        node,
        parameters,
        tuple(argv),
        str(data["check"]),
        str(data["undo"]),
        mode,
    )


def _regex(path: Path, key: str, pattern: object) -> re.Pattern[str]:
    try:
        return re.compile(str(pattern))
    except re.error as error:
        raise ConfigError(f"{path}: {key}: {pattern!r} is no regular expression: {error}") from error

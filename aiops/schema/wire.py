"""Nouns to JSON and back, and the public report `aiops-report/1`.

`encode`/`decode` carry every field (stores, queue); `public_report` is the outside contract, stable and versioned.
Bytes are deterministic: keys sorted, floats shortest round-trip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from aiops.domain import Alert, Call, CausalPath, Change, Event, Experience, Gap, Prior, Report, Scope, Task
from aiops.schema import links

T = TypeVar("T")
Invalid = msgspec.ValidationError

REPORT_SCHEMA = "aiops-report/1"


@dataclass(frozen=True, slots=True)
class RecordingHead:
    """What a recording says beside its columns."""

    id: str
    task: Task
    scope: Scope
    changes: tuple[Change, ...]
    alerts: tuple[Alert, ...]
    alert_nodes: tuple[str, ...]
    gaps: tuple[Gap, ...]
    calls: tuple[Call, ...]
    nodes: tuple[str, ...]
    hashes: dict[str, str]
    priors: tuple[Prior, ...] = ()  # recordings of before there was feedback have none
    experience: tuple[Experience, ...] = ()  # as before repairs taught anything


def encode(noun: object) -> bytes:
    """Deterministic JSON of any noun without arrays."""
    return msgspec.json.encode(noun, order="sorted")


def decode(data: bytes, kind: type[T]) -> T:
    """The inverse. `Invalid` names the field that is wrong."""
    return msgspec.json.decode(data, type=kind)


def packed(noun: object) -> bytes:
    """As `encode`, as MessagePack: bytes stay what they are."""
    return msgspec.msgpack.encode(noun, order="sorted")


def unpacked(data: bytes, kind: type[T]) -> T:
    """`packed` undone. `Invalid` names the field that is wrong."""
    return msgspec.msgpack.decode(data, type=kind)


def plain(noun: object) -> Any:
    """Dicts, lists, strings and numbers."""
    return msgspec.to_builtins(noun, order="sorted")


def convert(data: object, kind: type[T]) -> T:
    """`plain` undone. `Invalid` names the field that is wrong."""
    return msgspec.convert(data, type=kind)


def index(report: Report) -> dict[str, str]:
    """The columns by which a stored report is listed and found."""
    first = report.root_causes[0] if report.root_causes else None
    return {
        "verdict": report.verdict,
        "summary": report.summary[0],
        "symptom": report.symptom.service or "",
        "cause": first.node if first else "",
        "at": report.symptom.at.isoformat() if report.symptom.at else "",
        "alertnames": "\n".join(sorted({a.name for a in report.task.inputs.alerts})),
        "fingerprints": "\n".join(sorted({a.fingerprint for a in report.task.inputs.alerts})),
    }


def public_report(report: Report) -> dict[str, Any]:
    """`aiops-report/1`: what `--format json`, `/reports/{id}.json` and scripts outside rely on.

    The report of a forecast has `forecasts` as well, that of a query or a check `figures`; `links` has
    what alerts point to, web addresses only."""
    told = {"forecasts": plain(report.forecasts)} if report.forecasts else {}
    told |= {"figures": plain(report.figures)} if report.figures else {}
    told |= {"links": found} if (found := links.told(report.task.inputs.alerts)) else {}
    return told | {
        "schema": REPORT_SCHEMA,
        "id": report.id,
        "verdict": str(report.verdict),
        "summary": list(report.summary),
        "task": plain(report.task),
        "symptom": plain(report.symptom),
        "root_causes": [
            {
                "rank": c.rank,
                "node": c.node,
                "metric": c.metric,
                "score": c.score,
                "path": _path(c.path),
                "evidence": [
                    {"kind": e.kind, "summary": e.summary, "query": e.query, "link": e.link} for e in c.evidence
                ],
                "why_not": c.why_not,
            }
            for c in report.root_causes
        ],
        "anomalies": [
            {
                "node": a.node,
                "metric": a.metric,
                "onset": a.onset.isoformat(),
                "direction": str(a.direction),
                "score": a.score,
                "features": dict(a.features),
            }
            for a in report.anomalies
        ],
        "events": [_event(e) for e in report.events],
        "gaps": [{"what": g.what, "why": g.why, "mend": g.mend} for g in report.gaps],
        "remediation": plain(report.remediation),
        "meta": {"versions": dict(report.versions), "hashes": dict(report.hashes), "run": dict(report.run)},
    }


def _path(path: CausalPath) -> list[Mapping[str, object]]:
    return [
        {
            "from": edge.cause,
            "to": edge.effect,
            "cost": cost,
            "strength": edge.strength,
            "lag_s": edge.lag.total_seconds(),
            "onset": onset.isoformat() if onset else None,
            "source": edge.source,
            "kind": edge.kind,
            "last_seen": edge.last_seen.isoformat() if edge.last_seen else None,
        }
        for edge, cost, onset in zip(path.edges, path.costs, path.onsets, strict=False)
    ]


def _event(event: Event) -> dict[str, object]:
    return {
        "kind": str(event.kind),
        "node": event.node,
        "what": event.what,
        "at": event.at.isoformat(),
        "score": event.score,
        "summary": event.summary,
        "example": event.example,
    }

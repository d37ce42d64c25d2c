"""The doors: what the house needs from outside, as protocols. `tests/contracts/` holds one suite per door.

Every method may raise the `errors` named at its door and nothing else. A port never returns a made-up answer.
Ports are synchronous and thread-safe; `timeout` is in seconds from the call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from aiops.domain import Alert, Call, Change, Job, JobState, Labels, Logs, Panel, Scope, Spans, Symptom, TimeRange


class MetricsSource(Protocol):
    """Raises SourceError. A series without samples in the window is absent, not NaN."""

    def read(self, scope: Scope, timeout: float) -> Panel:
        """The scope's series over baseline and incident on one time grid; `nodes` all "" (the corridor maps them)."""

    def catalog(self, timeout: float) -> tuple[Labels, ...]:
        """Label sets of the series there are (names and aliases come from them)."""

    def window(self) -> TimeRange | None:
        """The time it can answer for, where that is fixed (a recording); None for a live source."""

    def symptom(self) -> Symptom:
        """What the source itself says is wrong (a recorded incident's SLO and detection time); empty for a live source."""

    def ping(self, timeout: float) -> str:
        """What answers, for `doctor` and /readyz: product and version."""


class LogSource(Protocol):
    """Raises SourceError."""

    def read(self, scope: Scope, timeout: float) -> Logs: ...

    def ping(self, timeout: float) -> str: ...


class TraceSource(Protocol):
    """Raises SourceError."""

    def read(self, scope: Scope, timeout: float) -> Spans: ...

    def ping(self, timeout: float) -> str: ...


class ChangeSource(Protocol):
    """Raises SourceError."""

    def read(self, scope: Scope, timeout: float) -> tuple[Change, ...]: ...

    def add(self, change: Change) -> None: ...


class GraphStore(Protocol):
    """Raises SourceError or StoreError. Nodes are ids, edges `Call`s; an upsert of a known edge moves `last_seen` on."""

    def upsert(self, calls: Iterable[Call]) -> int:
        """Stores edges (and their nodes); returns how many were given. Idempotent."""

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> tuple[Call, ...]:
        """Edges within `hops` of any of `nodes`, either direction; all edges when `nodes` is empty. Sorted."""

    def cut(self, caller: str, callee: str) -> bool:
        """Marks an edge wrong so that it is never used nor learned again; False when there is none."""

    def nodes(self) -> tuple[str, ...]: ...

    def close(self) -> None: ...


class JobQueue(Protocol):
    """Raises StoreError, Overloaded. At-least-once: a claimed job that is not acked within its lease comes back."""

    def put(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """Durable when it returns. A job whose key is queued or running joins that one, which is what is returned."""

    def claim(self, lease_s: float, worker: str) -> Job | None: ...

    def ack(self, job: Job, state: JobState, error: str = "") -> None: ...

    def reclaim(self) -> int:
        """Makes jobs with an expired lease claimable again; after `max_attempts` they are `failed`. Returns how many."""

    def get(self, job_id: str) -> Job | None: ...

    def recent(self, limit: int = 100) -> tuple[Job, ...]: ...

    def depth(self) -> int: ...


class Store(Protocol):
    """Reports, recordings, sessions, audit. Raises StoreError."""

    def save(self, report_id: str, report_json: bytes, recording: bytes, index: Mapping[str, str]) -> None:
        """One transaction; a second save under the same id replaces. `index`: verdict, node, alertnames... for look-up."""

    def report(self, report_id: str) -> bytes | None: ...

    def recording(self, report_id: str) -> bytes | None: ...

    def reports(self, limit: int = 50) -> tuple[Mapping[str, str], ...]:
        """Newest first: id, verdict, summary, created, symptom, cause."""

    def find(self, fingerprint: str, alertname: str, window: TimeRange | None, limit: int) -> tuple[Mapping[str, str], ...]:
        """Newest first: reports about an alert, for the Grafana link."""

    def seen(self, alerts: Iterable[Alert]) -> tuple[Alert, ...]:
        """Records notification keys durably and returns the alerts not seen before, in order."""

    def session(self, session_id: str) -> Mapping[str, object] | None: ...

    def save_session(self, session_id: str, slots: Mapping[str, object], expires: datetime) -> None: ...

    def audit(self, kind: str, entry: Mapping[str, object]) -> None:
        """Appends to the hash chain."""

    def audit_verify(self) -> tuple[int, str]:
        """(entries, "") when the chain holds, else (index of the first bad entry, what is wrong)."""

    def close(self) -> None: ...


class LanguageModel(Protocol):
    """Raises ModelError."""

    def complete(self, prompt: str, schema: Mapping[str, object], timeout: float) -> str:
        """Text that satisfies the JSON schema, greedily decoded."""

    def ping(self, timeout: float) -> str: ...

    def close(self) -> None: ...


class Chat(Protocol):
    """Raises SourceError."""

    def post(self, thread: str, text: str) -> None: ...


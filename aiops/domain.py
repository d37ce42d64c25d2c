"""The nouns: what the house talks about, and nothing it does.

Every class is a frozen dataclass. Bulk data is columnar (`Panel`, `Logs`, `Spans`): one numpy array per column, never one
object per sample. Times are `int64` nanoseconds since the epoch in columns and aware UTC `datetime` in nouns.
`docs/glossary.md` defines each word; `tests/test_docs.py` checks that it does.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
ObjectArray: TypeAlias = npt.NDArray[np.object_]
Labels: TypeAlias = Mapping[str, str]

NS = 1_000_000_000
_NONE: Labels = MappingProxyType({})


# ---------------------------------------------------------------- time


def from_ns(time_ns: int) -> datetime:
    """Aware UTC datetime of nanoseconds since the epoch (microsecond resolution)."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time_ns) // 1000)


def to_ns(moment: datetime) -> int:
    """Nanoseconds since the epoch of an aware datetime; exact, unlike `timestamp()`."""
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime {moment!r}: a time zone is needed")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1000


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Half-open `[start, end)`, aware UTC. `ValueError` when naive or when the end lies before the start."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _utc(self.start))
        object.__setattr__(self, "end", _utc(self.end))
        if self.end < self.start:
            raise ValueError(f"time range ends at {self.end.isoformat()}, before it starts at {self.start.isoformat()}")

    @property
    def empty(self) -> bool:
        return self.start == self.end

    @property
    def duration(self) -> timedelta:
        return self.end - self.start

    def mask(self, times_ns: IntArray) -> BoolArray:
        """Which of `times_ns` lie inside; same shape."""
        return (times_ns >= to_ns(self.start)) & (times_ns < to_ns(self.end))


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime {moment!r}: a time zone is needed")
    return moment.astimezone(UTC)


# ---------------------------------------------------------------- what is asked


class Intent(StrEnum):
    DIAGNOSE = "diagnose"
    QUERY = "query"
    FORECAST = "forecast"
    DETECT = "detect"
    REMEDIATE = "remediate"
    REPORT = "report"
    CLARIFY = "clarify"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as Alertmanager sends it; every label and annotation may be absent and none is trusted."""

    fingerprint: str
    status: str
    labels: Labels
    annotations: Labels
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""
    group_key: str = ""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def key(self) -> tuple[str, str]:
        """Alert key: the same firing of the same alert, whatever notification brought it."""
        return self.fingerprint, self.starts_at.isoformat()

    @property
    def notification_key(self) -> tuple[str, str, str, str]:
        """Notification key, for de-duplication: a repeat of the same notification, from either of an HA pair."""
        return self.group_key, self.fingerprint, self.starts_at.isoformat(), self.status


@dataclass(frozen=True, slots=True)
class Notification:
    """What an alerting system sends at once: the alerts of one group, and by which of its routes and why they were sent.

    `truncated`: how many more alerts the sender left out."""

    alerts: tuple[Alert, ...]
    receiver: str = ""
    route_labels: Labels = field(default_factory=dict)
    reason: str = ""
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded of an alert: whether this very notification of it was taken, and the episode that its firing belongs to."""

    repeated: bool
    episode: str = ""


class Mode(StrEnum):
    """Which diagnosis alerts lead to: one (`auto`), one when somebody asks (`on_demand`), one when they are muted no longer
    (`muted`: by a silence or a maintenance window), none (`off`)."""

    AUTO = "auto"
    ON_DEMAND = "on_demand"
    MUTED = "muted"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Episode:
    """Alerts that belong together by group, topology and time, and get one diagnosis. `id` is that of its first diagnosis.

    why: why none begins by itself, unless `mode` is auto.
    opened, grown, heard: when its first alert came, its last new one, and whatever was last notified about it.
    alerts: how many came, repetitions aside; kept: those whose text is kept; firing: those that are not resolved.
    severity: the rank of the worst.
    rounds: diagnoses begun, the last at `begun`; due: when the next may begin, None where nothing calls for one.
    closed: when its last alert was resolved, or it had not been heard of for long.
    recurrences: how often it, or one of the same group, was closed before and came back."""

    id: str
    mode: Mode
    opened: datetime
    grown: datetime
    heard: datetime
    why: str = ""
    alerts: int = 0
    kept: int = 0
    firing: int = 0
    severity: int = 0
    rounds: int = 0
    begun: datetime | None = None
    due: datetime | None = None
    closed: datetime | None = None
    recurrences: int = 0

    @property
    def diagnosis(self) -> str:
        """The id of its latest diagnosis; of the first, where none has begun."""
        return self.diagnosis_of(max(self.rounds, 1))

    def diagnosis_of(self, number: int) -> str:
        """The id of its diagnosis of that number, from 1."""
        return self.id if number == 1 else job_id(f"{self.id}\n{number}")


@dataclass(frozen=True, slots=True)
class Thread:
    """What one chat was told of one episode, under its first post there.

    latest: the newest diagnosis, which is to be told by now; post: the id of the first post, "" = there is none yet; report: the
    diagnosis that was told last; closed: whether its end was; tries: in vain since; due: when there is something to tell."""

    chat: str
    episode: str
    latest: str
    post: str = ""
    report: str = ""
    closed: bool = False
    tries: int = 0
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """A mark about one diagnosis on dashboards elsewhere: at `start`, or from there to `end`, in plain lines, with a link to more.

    tags: by which it is found, the first of them ours. dashboard, panel: where an alert says that it belongs; "" and 0 where none
    does."""

    about: str
    start: datetime
    end: datetime | None
    lines: tuple[str, ...]
    tags: tuple[str, ...]
    link: str = ""
    dashboard: str = ""
    panel: int = 0


@dataclass(frozen=True, slots=True)
class Untold:
    """A diagnosis of which more is to be annotated: the `annotation` so far, "" where what was sent had no answer, None where nothing
    was sent; the `version` of its report, 0 while there is none."""

    diagnosis: str
    annotation: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """What an Alertmanager keeps quiet for a while: alerts that all `matchers` (label, operator, value) fit."""

    id: str
    matchers: tuple[tuple[str, str, str], ...]
    window: TimeRange
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks or acts, and through which channel: cli, http, python, worker, a chat's name. Sessions and audit go by both."""

    channel: str = "python"
    name: str = ""


@dataclass(frozen=True, slots=True)
class Symptom:
    """What hurts: a service, the metric that shows it (if known), and when it was noticed."""

    service: str | None = None
    metric: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    symptom: Symptom | None = None
    alerts: tuple[Alert, ...] = ()
    services: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    window: TimeRange | None = None
    horizon: timedelta | None = None
    filters: tuple[str, ...] = ()
    action: str = "none"
    query: str = ""  # what to forecast, in the language of the metrics source; "" = what services and metrics name
    full_at: float | None = None  # the value at which it is full, or empty
    order: str = "highest"  # or "lowest": which values come first where they are asked of all services


@dataclass(frozen=True, slots=True)
class Catalog:
    """The names there are: services (node ids), metrics, and other words for a service. All sorted, read live.

    carriers: for a metric that one service alone has, that service; having: for each metric, the services that have it."""

    services: tuple[str, ...]
    metrics: tuple[str, ...]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    carriers: Mapping[str, str] = field(default_factory=dict)
    having: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A validated order. The YAML of `aiops ask --plan` *is* this type; `schema.task` says what is allowed where."""

    task_id: str
    intent: Intent
    inputs: Inputs = field(default_factory=Inputs)
    expected_output_format: str = "markdown"
    question: str = ""  # what to ask back, for `clarify`; why not, for `reject`


@dataclass(frozen=True, slots=True)
class Condition:
    """What the report of another task must show: `holds` is worse, better, higher, lower, abnormal, normal, found or full.

    Of `service`, beside the other services of that task; "" = of any. `task` is that task's id."""

    task: str
    holds: str
    service: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A task of an agenda. It starts when the tasks `after` which it comes have answered, and `only_if` what they show."""

    task: Task
    after: tuple[str, ...] = ()
    only_if: Condition | None = None


@dataclass(frozen=True, slots=True)
class Agenda:
    """Several tasks of one request, in the order spoken. Each `after` names tasks that stand before it."""

    agenda_id: str
    steps: tuple[Step, ...]


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    INCONCLUSIVE = "inconclusive"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Job:
    """A task in the queue. `id` is the diagnosis id and the report id; a second job with the same `key` joins the first.

    `labels` (`env:prod`), sorted: what a worker must have, all of them, to be given it."""

    id: str
    key: str
    task: Task
    state: JobState = JobState.QUEUED
    attempts: int = 0
    error: str = ""
    episode_id: str = ""
    enqueued_at: datetime | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Presence:
    """A worker as it last told of itself: its labels, how many jobs it takes at once, how many it has; `alive` until it is silent."""

    name: str
    labels: tuple[str, ...] = ()
    capacity: int = 1
    running: int = 0
    alive: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker without a store has made of a job: report and recording as they are stored, and how long it and each of
    its stages took. `failure`: why there is neither."""

    worker: str
    report: bytes
    recording: bytes
    seconds: float
    stages: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""


def job_id(key: str) -> str:
    """Short, URL-safe, deterministic id of a job key: 16 hex digits of SHA-256."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


# ---------------------------------------------------------------- where to look


@dataclass(frozen=True, slots=True)
class Query:
    """One thing to read: PromQL, or a selector in the source's own language. `node` is whom it concerns, if known."""

    text: str
    node: str = ""
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to the symptom: where to look, and which time is `baseline` and which is to be explained (`incident`).

    `symptom_node` is None when the symptom maps to no known node; the ranking then uses a virtual symptom above all entries.
    An empty `nodes` means "everything the sources have".
    """

    at: datetime
    baseline: TimeRange
    incident: TimeRange
    symptom_node: str | None = None
    symptom_metric: str | None = None
    nodes: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def symptom(self) -> str:
        """The node where every causal path ends; a virtual one when the symptom maps to none."""
        return self.symptom_node or "_symptom"


# ---------------------------------------------------------------- what was seen


@dataclass(frozen=True, slots=True)
class Panel:
    """Metrics, columnar: S series over T shared times.

    labels: S mappings, sorted by `series_key`. `__name__` is the metric.
    times: (T,) int64 nanoseconds, strictly increasing within a phase.
    values: (S, T) float64, NaN = gap.
    nodes: S node ids ("" = maps to no node).
    incident: (T,) bool, True where the row is to be explained, False for baseline.
    """

    labels: tuple[Labels, ...]
    times: IntArray
    values: FloatArray
    nodes: tuple[str, ...]
    incident: BoolArray

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.labels), len(self.times)):
            raise ValueError(
                f"panel of {len(self.labels)} series and {len(self.times)} times has values of shape {self.values.shape}"
            )
        if len(self.nodes) != len(self.labels) or self.incident.shape != self.times.shape:
            raise ValueError("panel columns disagree in length")

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(labels.get("__name__", "") for labels in self.labels)

    @staticmethod
    def empty() -> Panel:
        return Panel((), np.empty(0, np.int64), np.empty((0, 0)), (), np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True)
class Samples:
    """Metrics as they were sampled, columnar: S series, each at its own times; series k owns `starts[k]:starts[k + 1]`.

    labels: S mappings; an adapter may decode each only when it is looked at.
    keys: S byte strings, each the identity of a series at its source: equal in every read of the same labels, cheap to look up.
    starts: (S + 1,) int64. times: (N,) int64 nanoseconds, strictly increasing within a series.
    values: (N,) float64 as sampled: counters are not turned into rates, infinities are kept, a stale marker is NaN.
    gaps: what there is beyond these samples and could not be given.
    """

    labels: Sequence[Labels]
    keys: Sequence[bytes]
    starts: IntArray
    times: IntArray
    values: FloatArray
    gaps: tuple[Gap, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)


def series_key(labels: Labels) -> str:
    """Canonical text of a series' labels: `name{a="b",...}`, label names sorted, values escaped as PromQL does."""
    inside = ",".join(f"{k}={quote(v)}" for k, v in sorted(labels.items()) if k != "__name__")
    return f"{labels.get('__name__', '')}{{{inside}}}"


def quote(value: str) -> str:
    """A PromQL/LogQL string literal of any text: the only way a label value may enter a query."""
    escaped = (
        value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    )
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Logs:
    """Log lines, columnar: N rows. times: int64 ns; nodes, messages, trace_ids, span_ids: object arrays of str; incident: bool.

    gaps: what the source holds beyond these rows, and did not give.
    """

    times: IntArray
    nodes: ObjectArray
    messages: ObjectArray
    trace_ids: ObjectArray
    span_ids: ObjectArray
    incident: BoolArray
    gaps: tuple[Gap, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    def leaving_out(self, gaps: tuple[Gap, ...]) -> Logs:
        return replace(self, gaps=(*self.gaps, *gaps))

    @staticmethod
    def empty() -> Logs:
        text = np.empty(0, np.object_)
        return Logs(np.empty(0, np.int64), text, text, text, text, np.empty(0, np.bool_))


@dataclass(frozen=True, slots=True)
class Spans:
    """Trace spans, columnar: N rows. times: int64 ns (start); durations: int64 ns; errors: bool; the rest as in `Logs`."""

    times: IntArray
    durations: IntArray
    nodes: ObjectArray
    operations: ObjectArray
    trace_ids: ObjectArray
    span_ids: ObjectArray
    parent_ids: ObjectArray
    errors: BoolArray
    incident: BoolArray
    gaps: tuple[Gap, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    def leaving_out(self, gaps: tuple[Gap, ...]) -> Spans:
        return replace(self, gaps=(*self.gaps, *gaps))

    @staticmethod
    def empty() -> Spans:
        text, whole, flag = np.empty(0, np.object_), np.empty(0, np.int64), np.empty(0, np.bool_)
        return Spans(whole, whole, text, text, text, text, text, flag, flag)


@dataclass(frozen=True, slots=True)
class Change:
    """A deployment, a flag, a configuration: something somebody did to a node."""

    node: str
    at: datetime
    kind: str
    summary: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be seen, why, and how to mend it."""

    what: str
    why: str
    mend: str = ""


CALL_KINDS = ("CALLS", "RUNS_ON")
SIGHTING_KINDS = ("TRIGGERS", "CONTAINS", "CORRELATES_WITH")


@dataclass(frozen=True, slots=True)
class Call:
    """A known dependency, as topology sources give it: `caller` calls (or runs on) `callee`.

    `strength` in (0, 1] is only there where somebody declared one; else it follows from the source, when it is used."""

    caller: str
    callee: str
    source: str  # declared | traces | service-graph | labels | learned
    kind: str = "CALLS"  # one of CALL_KINDS
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    strength: float | None = None


class Calls(Sequence[Call]):
    """Dependencies as a graph store gives them: some `rows` of all `edges`, each looked at only when it is asked for.

    gaps: what may be missing or out of date."""

    __slots__ = ("_edges", "_rows", "gaps")

    def __init__(self, edges: ObjectArray, rows: IntArray, gaps: tuple[Gap, ...] = ()) -> None:
        self._edges, self._rows, self.gaps = edges, rows, gaps

    @staticmethod
    def of(calls: Iterable[Call], gaps: tuple[Gap, ...] = ()) -> Calls:
        listed = list(calls)
        edges = np.empty(len(listed), np.object_)
        edges[:] = listed
        return Calls(edges, np.arange(len(listed), dtype=np.int64), gaps)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Calls: ...
    def __getitem__(self, index: int | slice) -> Call | Calls:
        if isinstance(index, slice):
            return Calls(self._edges, self._rows[index], self.gaps)
        call: Call = self._edges[self._rows[index]]
        return call

    def __iter__(self) -> Iterator[Call]:
        return iter(self._edges[self._rows].tolist())

    def leaving_out(self, gaps: tuple[Gap, ...]) -> Calls:
        return Calls(self._edges, self._rows, (*self.gaps, *gaps))

    @property
    def nodes(self) -> tuple[str, ...]:
        """The ends of these calls, ascending. O(n log n)."""
        return tuple(sorted({end for call in self for end in (call.caller, call.callee)}))


class EntityKind(StrEnum):
    SERVICE = "Service"
    ALERT = "Alert"
    METRIC = "Metric"
    LOG_TEMPLATE = "LogTemplate"
    CHANGE = "Change"


@dataclass(frozen=True, slots=True)
class Entity:
    """What a sighting ties together: a service (or what it runs on), or something of that `name` that was seen at it."""

    kind: EntityKind
    service: str
    name: str = ""  # "" for the service itself


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a diagnosis saw, for people to look up later: `cause` TRIGGERS, CONTAINS or CORRELATES_WITH `effect`.

    Knowledge about one incident, so it is never part of the topology and never ranks the next."""

    cause: Entity
    effect: Entity
    kind: str  # one of SIGHTING_KINDS
    source: str  # metrics | logs | traces | changes | alerts; learned where it is inferred from times and words alone
    strength: float  # in (0, 1]
    lag: timedelta
    first_seen: datetime
    last_seen: datetime

    @property
    def key(self) -> tuple[str, str, str, str, str, str, str, str]:
        """What it is known and sorted by."""
        cause, effect = self.cause, self.effect
        return cause.kind, cause.service, cause.name, effect.kind, effect.service, effect.name, self.kind, self.source


@dataclass(frozen=True, slots=True)
class Observation:
    """All that was read for one diagnosis. What failed is in `gaps`, never silently absent.

    `alert_nodes` are the nodes of `alerts`, "" where the labels name none."""

    panel: Panel
    logs: Logs
    spans: Spans
    changes: tuple[Change, ...] = ()
    calls: tuple[Call, ...] = ()
    alerts: tuple[Alert, ...] = ()
    alert_nodes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


# ---------------------------------------------------------------- what it means


@dataclass(frozen=True, slots=True)
class Trial:
    """What one forecasting method did in a backtest; nothing but `why_not` where it was not tried.

    coverage: share of later samples inside its band; mase and msis: mean absolute error and interval score, in units of the
    mean absolute error that the seasonal naive makes one step ahead; origins: how many forecasts were judged."""

    method: str
    coverage: float | None = None
    mase: float | None = None
    msis: float | None = None
    origins: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Crossing:
    """When a series reaches `limit`: by its upper bound, its mean and its lower bound; None = not within the horizon.

    All three are the moment of the last sample where that has reached it already."""

    limit: float
    falling: bool
    earliest: datetime | None
    expected: datetime | None
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of one series, and the card that says how far to trust it.

    times: (H,) epoch seconds; mean, lower, upper: (H,), a band of nominal `level`, empty where nothing can be said.
    coverage: what the band reached in the backtest, None where there was none. `trusted` is by rule, `reason` says by which.
    history: what it rests on: `samples` at `step_s` seconds, `gaps` of them missing; season_s: 0 = none was used."""

    series: str
    node: str
    metric: str
    times: tuple[int, ...]
    mean: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    level: float
    coverage: float | None
    method: str
    trusted: bool
    reason: str
    trials: tuple[Trial, ...]
    history: TimeRange
    samples: int
    gaps: int
    step_s: int
    season_s: int
    last: float
    features: Mapping[str, float] = field(default_factory=dict)
    crossing: Crossing | None = None

    @property
    def passed(self) -> bool:
        """Whether its limit is reached already: a fact, whatever the forecast is worth."""
        latest = self.crossing.latest if self.crossing else None
        return latest is not None and latest < self.history.end


class Direction(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A series that left its band. `score` >= 0, 1.0 is the threshold, unbounded above. `series` indexes the panel."""

    node: str
    metric: str
    onset: datetime
    direction: Direction
    score: float
    series: int
    band: tuple[float, float]
    value: float
    features: Mapping[str, float] = field(default_factory=dict)


class EventKind(StrEnum):
    ALERT = "alert"
    LOG = "log"
    SPAN = "span"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a node. `what` names it in its kind: new, lost, surged (log); self_time, edge_gap, errors,
    missing_calls (span); the alert's name; the change's kind. `score` is comparable with `Anomaly.score`."""

    kind: EventKind
    node: str
    what: str
    at: datetime
    score: float
    summary: str
    example: str = ""
    peer: str = ""
    template: str = ""  # of a log event


@dataclass(frozen=True, slots=True)
class Findings:
    """What `detect` made of the observation. `channels`: per named evidence channel, node -> strength in [0, 1];
    `reasons`: the same keys, in one line of words each."""

    anomalies: tuple[Anomaly, ...]
    events: tuple[Event, ...]
    channels: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reasons: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()

    def onsets(self) -> dict[str, datetime]:
        """Node -> when its trouble began: its first anomaly, shifted span, new or surged log template. What was lost has no
        such moment, only a last time that it was seen."""
        first: dict[str, datetime] = {}
        begun = [e for e in self.events if e.kind is EventKind.SPAN or e.what in ("new", "surged")]
        for node, at in [*((a.node, a.onset) for a in self.anomalies), *((e.node, e.at) for e in begun)]:
            first[node] = min(first.get(node, at), at)
        return first


@dataclass(frozen=True, slots=True)
class Edge:
    """cause -> effect. `strength` in (0, 1] is read as the probability that trouble at the cause shows at the effect."""

    cause: str
    effect: str
    strength: float
    lag: timedelta
    source: str
    kind: str = "CALLS"
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class CausalGraph:
    """A DAG: edges cause -> effect, sorted; `dropped` lists what was cut to make it acyclic."""

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    dropped: tuple[Edge, ...] = ()


@dataclass(frozen=True, slots=True)
class CausalPath:
    """From the cause (first node) to the symptom (last). `cost` = sum of -log(strength) over `edges`."""

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    onsets: tuple[datetime | None, ...]
    cost: float

    @property
    def costs(self) -> tuple[float, ...]:
        """-log(strength) of each edge; 0 for a certain one, never -0.0."""
        return tuple(-math.log(e.strength) if e.strength < 1.0 else 0.0 for e in self.edges)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reason. `weight` is its share in the score, so that the sum can be checked by hand."""

    kind: str
    summary: str
    query: str = ""
    link: str = ""
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class RootCause:
    """A candidate. `score` in [0, 1] is calibrated: of candidates scored .8, four in five are right."""

    rank: int
    node: str
    metric: str
    score: float
    path: CausalPath
    evidence: tuple[Evidence, ...]
    why_not: str = ""
    fault: str = ""  # kind of fault in general terms: cpu, memory, network, errors, latency, traffic, ...


class Verdict(StrEnum):
    FOUND = "found"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class RootCauses:
    """What `rank` answers: the verdict, by rule, its reason, and the candidates in order."""

    verdict: Verdict
    reason: str
    candidates: tuple[RootCause, ...]
    gaps: tuple[Gap, ...] = ()


# ---------------------------------------------------------------- what to do


@dataclass(frozen=True, slots=True)
class Remediation:
    """A proposal, never an act: the runbook that matches, its exact argv, and what must be true after it, `within_s` seconds.

    Of `tried` repairs by this runbook of this kind of fault, `worked` had their effect. The rest is as the runbook says."""

    runbook: str
    title: str
    target: str
    argv: tuple[str, ...]
    parameters: Mapping[str, str]
    why: str
    check: str
    undo: str = ""
    mode: str = "suggest"
    script: bool = False  # runs in the sandbox, within `limits`; else one of our own verbs
    verbs: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    within_s: float = 0.0
    limits: Limits | None = None
    most_targets: int = 0
    most_percent: int = 0
    cool_down_s: float = 0.0
    approvers: int = 1
    worked: int = 0
    tried: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run in the sandbox may use at most. Sizes in bytes; pids counts processes and threads, with the launcher's two."""

    timeout_s: float = 30.0
    memory: int = 128 << 20
    pids: int = 32
    cpu_weight: int = 20  # of 1 to 10,000, where other programs have 100
    tmp: int = 16 << 20
    work: int = 64 << 20
    output: int = 1 << 20
    artefacts: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Command:
    """What a sandbox is to run: no shell takes it apart. `files`, by name, lie in its working directory.

    door: a Unix socket that it finds at `/run/aiops.sock`, "" = none; the only way out that a run can be given."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    door: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a runbook takes: a value that `schema.runbook.value` accepts for its kind, in one word of a step.

    source: what fills it in without anybody: `node`, or "" = a person does, or `default`. pattern: of RE2, "" = any."""

    name: str
    kind: str  # name, integer, choice, duration, path
    source: str = ""
    default: str = ""
    pattern: str = ""
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()
    under: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a runbook does: a script in the sandbox (`argv`, its `files`, the `verbs` that it may ask for at its door),
    or, where `verb` is not "", an action of an executor with its `arguments`. Words hold `{name}` of parameters."""

    argv: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    verbs: tuple[str, ...] = ()
    verb: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """What PromQL must say: `query` gives at least one value, and for each of them `holds`, as `< 0.9`, is true.

    within_s: how long it may take to become so, after an act."""

    query: str
    holds: str
    within_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Runbook:
    """A repair that may be proposed: what it mends, what it does, what must hold before and after, and how far it may reach.

    node, metric, labels: patterns of RE2 that must fit wholly, "" = any. most_targets and most_percent: of the nodes of its kind,
    how many one cool-down may see repaired, 0 = no limit of that sort. mends: whether the metric that alerted must be back in
    its band afterwards, too. hash: of the file and of every script that it names."""

    name: str
    title: str
    owner: str
    mode: str
    faults: tuple[str, ...]
    node: str
    metric: str
    labels: Mapping[str, str]
    parameters: tuple[Parameter, ...]
    act: Act
    dry_run: Act | None
    undo: Act | None
    undo_words: str
    before: tuple[Check, ...]
    effect: Check
    limits: Limits
    most_targets: int
    most_percent: int
    cool_down_s: float
    approvers: int
    mends: bool
    examples: tuple[Example, ...]
    hash: str


@dataclass(frozen=True, slots=True)
class Example:
    """A test that a runbook brings: for this cause and these parameters it must come to these words, or, where `refused`, to none."""

    fault: str
    node: str
    metric: str
    labels: Mapping[str, str]
    parameters: Mapping[str, str]
    words: tuple[str, ...]
    refused: bool


class RunStatus(StrEnum):
    """How a run ended, by the kernel's own counters: what a program prints or exits with can't say `oom` or `timeout`."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OOM = "oom"
    OUTPUT_LIMIT = "output_limit"
    REJECTED = "rejected"  # there was no room for it; nothing ran
    REFUSED = "refused"  # it could not be confined or was not allowed; nothing ran
    UNKNOWN = "unknown"  # nobody was there to see how it ended


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run used: milliseconds of wall and processor time, the most bytes of memory and the most processes at once."""

    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    memory_peak: int = 0
    pids_peak: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run or of an action. `output` has its control characters escaped; `why` says more of any status but ok.

    artefacts: the plain files that the run left in `out/`, by name."""

    status: RunStatus
    exit_code: int | None = None
    output: str = ""
    usage: Usage = field(default_factory=Usage)
    why: str = ""
    artefacts: Mapping[str, bytes] = field(default_factory=dict)


class RepairState(StrEnum):
    """Where a repair stands. `flows.repair.machine` says which follows which."""

    PLANNED = "planned"  # waits for approval
    APPROVED = "approved"  # may be run, once, and not for long
    RUNNING = "running"  # its act has begun, or is about to
    VERIFYING = "verifying"  # it was done; its effect is looked for
    UNDOING = "undoing"  # its undo has begun, or is about to
    SUCCEEDED = "succeeded"
    UNDONE = "undone"
    ESCALATED = "escalated"  # it was done, did not help, and could not be taken back: a person must look
    FAILED = "failed"  # it did not do what it should, and there is nothing that takes it back
    REJECTED = "rejected"  # a person said no
    EXPIRED = "expired"
    REFUSED = "refused"  # a brake said no; nothing was done
    UNKNOWN = "unknown"  # nobody saw how it ended; it is never run again


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment by two clocks: the calendar's, which people set, and the machine's own, in milliseconds since `boot`."""

    at: datetime
    boot: str
    ticks_ms: int


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """Exactly what is to be done, where and why: what an approval is of. Nothing in it changes; its hash covers all of it.

    words: the arguments, or the verb with its own; undo: the same of what takes it back, () = `undo_words` say why not.
    verbs: what a script may ask for. targets: the nodes that it is done to. alerted: the metric that alerted, back in its band.
    most_targets, most_percent, cool_down_s: as the runbook says. evidence: why the report takes the target for the cause.
    report_hash, runbook_hash, targets_hash: of what it was made from; the last is of `rules/targets.yaml`."""

    report_id: str
    report_hash: str
    runbook: str
    runbook_hash: str
    targets_hash: str
    title: str
    owner: str
    fault: str
    targets: tuple[str, ...]
    parameters: Mapping[str, str]
    words: tuple[str, ...]
    script: bool
    verbs: tuple[str, ...]
    undo: tuple[str, ...]
    undo_words: str
    before: tuple[Check, ...]
    effect: Check
    alerted: Check | None
    limits: Limits
    most_targets: int
    most_percent: int
    cool_down_s: float
    approvers: int
    why: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Approval:
    """That somebody agrees to the plan with this hash."""

    actor: Actor
    hash: str
    at: Instant
    note: str = ""


@dataclass(frozen=True, slots=True)
class RepairStep:
    """A state that a repair came into, who brought it there, and why. status, exit_code, usage: of the run that ended with it.

    output: the SHA-256 of what is kept of what that run printed, "" = nothing is."""

    state: RepairState
    at: Instant
    actor: Actor
    why: str = ""
    status: RunStatus | None = None
    exit_code: int | None = None
    usage: Usage | None = None
    output: str = ""


@dataclass(frozen=True, slots=True)
class Repair:
    """A plan and what has become of it. `hash` is the plan's; `mode` is what runbook and settings allowed when it was made."""

    id: str
    plan: RepairPlan
    hash: str
    mode: str
    requester: Actor
    steps: tuple[RepairStep, ...]
    approvals: tuple[Approval, ...] = ()

    @property
    def state(self) -> RepairState:
        return self.steps[-1].state

    @property
    def why(self) -> str:
        """Why it is in this state."""
        return self.steps[-1].why

    @property
    def planned(self) -> datetime:
        return self.steps[0].at.at

    @property
    def begun(self) -> Instant | None:
        """When its act began; None while it has not."""
        return next((step.at for step in self.steps if step.state is RepairState.RUNNING), None)

    @property
    def undo_begun(self) -> bool:
        """Whether its undo was begun, which happens once."""
        return any(step.state is RepairState.UNDOING for step in self.steps)


@dataclass(frozen=True, slots=True)
class Experience:
    """What runs of a runbook have led to where they were to mend this kind of fault: of `tried`, `worked` had their effect."""

    runbook: str
    fault: str
    worked: int
    tried: int


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person told about a report: that `cause` was the root cause of its `symptom` node, or, where `wrong`, that it
    was not."""

    report_id: str
    symptom: str
    cause: str
    wrong: bool
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Prior:
    """What feedback says about a node before anything is looked at: of `told` reports on one symptom, it caused `confirmed`."""

    node: str
    confirmed: int
    told: int


@dataclass(frozen=True, slots=True)
class Chart:
    """One series to be drawn: values over (T,) times with its band; `marks` are labelled moments.

    Times are epoch seconds; None = gap or no band. mean: what was or is expected, () = not drawn; limit: a level to be drawn;
    caption: how the band was made, and what it covered."""

    title: str
    node: str
    metric: str
    times: tuple[int, ...]
    values: tuple[float | None, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]
    marks: tuple[tuple[str, int], ...] = ()
    mean: tuple[float | None, ...] = ()
    limit: float | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one metric of one node was over the asked time, beside its baseline. None = there are no samples to tell it from.

    series: how many were put together, and `how`: sum, mean, highest or lowest ("" for one). last, mean, least, most: of the
    `samples` of the asked time; total: by how much a counter grew in it. baseline: the mean before it; change: from there to
    `last`, or to `mean` where a time was named, as a share of it; band: the range before it.
    abnormal: whether it left that range for good, or is outside it now, since when, on which side and how far (`score`, 1.0 = the
    threshold). fulfils: whether the numeric filters on its metric hold; None where there are none."""

    node: str
    metric: str
    series: int = 0
    how: str = ""
    samples: int = 0
    last: float | None = None
    mean: float | None = None
    least: float | None = None
    most: float | None = None
    most_at: datetime | None = None
    total: float | None = None
    baseline: float | None = None
    change: float | None = None
    band: tuple[float, float] | None = None
    abnormal: bool | None = None
    since: datetime | None = None
    direction: Direction | None = None
    score: float = 0.0
    fulfils: bool | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The answer. Deterministic but for `run`: the same recording gives the same bytes."""

    id: str
    verdict: Verdict
    summary: tuple[str, str, str]
    task: Task
    symptom: Symptom
    root_causes: tuple[RootCause, ...]
    anomalies: tuple[Anomaly, ...]
    events: tuple[Event, ...]
    gaps: tuple[Gap, ...]
    remediation: Remediation | None
    charts: tuple[Chart, ...]
    dropped: tuple[Edge, ...]
    versions: Mapping[str, str]
    hashes: Mapping[str, str]
    run: Mapping[str, str] = field(default_factory=dict)
    forecasts: tuple[Forecast, ...] = ()
    figures: tuple[Figure, ...] = ()  # of what was asked, for a query or a check


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything a diagnosis read: enough to give the same report again after every source has forgotten."""

    id: str
    task: Task
    scope: Scope
    observation: Observation
    hashes: Mapping[str, str] = field(default_factory=dict)
    priors: tuple[Prior, ...] = ()
    experience: tuple[Experience, ...] = ()

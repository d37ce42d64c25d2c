"""The doors: what the house needs from outside, as protocols. `tests/contracts/` holds one suite per door.

Every method may raise the `errors` named at its door and nothing else. A port never returns a made-up answer.
Ports are synchronous and thread-safe; `timeout` is in seconds from the call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, TypeVar

from aiops.domain import (
    Act,
    Alert,
    Annotation,
    Call,
    Calls,
    Change,
    Command,
    Episode,
    Experience,
    Feedback,
    FloatArray,
    Instant,
    Job,
    JobState,
    Known,
    Labels,
    Logs,
    Outcome,
    Panel,
    Presence,
    Repair,
    RepairState,
    Samples,
    Scope,
    Sighting,
    Silence,
    Spans,
    Symptom,
    Thread,
    TimeRange,
    Untold,
)

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")


class MetricsSource(Protocol):
    """Raises SourceError. A series without samples in the window is absent, not NaN."""

    def read(self, scope: Scope, timeout: float) -> Panel:
        """The scope's series over baseline and incident on one time grid; `nodes` all "" (the corridor maps them).

        `incident` is `scope.incident.mask(times)`, but where the time does not run on from the baseline."""

    def samples(self, query: str, window: TimeRange, timeout: float, step: timedelta | None = None) -> Samples:
        """Samples of `query` in [start, end): of a plain selector as they were scraped, of an expression at the multiples of `step`.

        With a `step` a selector is evaluated on that grid too. A recording answers plain selectors only (SourceRefused)."""

    def catalog(self, timeout: float, metrics: str = "") -> tuple[Labels, ...]:
        """Label sets of the series there are (names, aliases and topology come from them), by `series_key`.

        `metrics`: only of metrics whose whole name fits this regular expression (RE2)."""

    def label_values(self, label: str, query: str, window: TimeRange, timeout: float) -> tuple[str, ...]:
        """The values of a label among the series that a plain selector finds in a window, sorted; perhaps some that are just
        outside of it. What series without the label have is not among them."""

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

    def calls(self, timeout: float) -> tuple[Call, ...]:
        """Dependencies that the source itself states, sorted; () where it states none."""

    def ping(self, timeout: float) -> str: ...


class ChangeSource(Protocol):
    """Raises SourceError or StoreError."""

    def read(self, scope: Scope, timeout: float) -> tuple[Change, ...]:
        """Changes at the scope's nodes (all when it names none), baseline start to incident end, oldest first."""

    def add(self, change: Change) -> None:
        """Durable when it returns; the same change again changes nothing."""

    def purge(self, before: datetime) -> int:
        """Forgets changes made before `before`; returns how many."""

    def ping(self, timeout: float) -> str: ...

    def close(self) -> None: ...


LONGEST_NAME = 4000  # bytes of UTF-8: the index of a Neo4j holds two of them in one key


class GraphStore(Protocol):
    """Raises SourceError or StoreError; DataError for a kind or name (`LONGEST_NAME`) that no store takes. Nodes are ids, edges `Call`s; an upsert of a known edge moves `last_seen` on.

    An edge is known by caller, callee, kind and source; a sighting by both ends, kind and source. Times are kept in
    milliseconds. Sightings are for people: they are no edges of `calls`, and their ends no `nodes`.
    """

    def upsert(self, calls: Iterable[Call]) -> int:
        """Stores edges (and their nodes); returns how many were given. Idempotent.

        `first_seen` only moves back, `last_seen` only on; a strength that is given replaces the one that is known. A node
        that calls itself is stored without the edge.
        """

    def calls(self, nodes: Iterable[str] = (), hops: int = 0) -> Calls:
        """Edges between the nodes within `hops` of any of `nodes`, either direction; all edges when `nodes` is empty.

        Sorted by caller, callee, kind, source. An unknown node has no neighbourhood.
        """

    def cut(self, caller: str, callee: str) -> bool:
        """Marks an edge wrong so that it is never used nor learned again, until restored; False when there is none."""

    def restore(self, caller: str, callee: str) -> bool:
        """Takes a cut back: what was cut is there again as it was, and may be learned; False when it is not cut."""

    def cuts(self) -> tuple[tuple[str, str], ...]:
        """The caller and callee of each cut, sorted."""

    def nodes(self, *, alone: bool = False) -> tuple[str, ...]:
        """Sorted; only those without an edge when `alone`. A node stays when its last edge is cut."""

    def note(self, sightings: Iterable[Sighting]) -> int:
        """Stores sightings; returns how many were given. Idempotent: times move outwards, the latest strength and lag stay."""

    def sightings(self, nodes: Iterable[str] = ()) -> tuple[Sighting, ...]:
        """Those with an end at any of `nodes`; all when `nodes` is empty. Sorted by cause, effect, kind, source."""

    def purge(self, before: datetime) -> int:
        """Forgets edges and sightings last seen before `before`, and nodes without an edge left; an edge without a time stays.

        Returns how many edges and sightings.
        """

    def ping(self, timeout: float) -> str: ...

    def close(self) -> None: ...


MOST_DELIVERED = 100  # results that may wait to be fetched before no further job is handed out
HEAD_START = timedelta(minutes=10)  # that a job somebody asked for has before those of alerts


class JobQueue(Protocol):
    """Raises StoreError, Overloaded. At-least-once: a claimed job that is not acked within its lease comes back.

    A claim is known by the job's `attempts`: what a worker says about a job that another has claimed since is not heard.
    """

    def put(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """Durable when it returns, all or none. A job whose key is queued or running joins that one, which is returned.

        A job put in a finished state (suppressed) is only recorded. Overloaded when the new jobs do not fit.
        """

    def claim(self, lease_s: float, worker: str, labels: Iterable[str] = ()) -> Job | None:
        """The next queued job whose labels are all among `labels`, now running with one attempt more; None when there is none.

        Jobs without an episode go first: somebody waits for them. Only one of an episode that was put more than `HEAD_START`
        before them goes before those, so that questions without end hold up no alert for ever. Among either, the oldest.
        None, too, while `MOST_DELIVERED` results wait to be fetched."""

    def renew(self, job: Job, lease_s: float) -> bool:
        """The heartbeat: `lease_s` more, from now. False when the claim is lost and the work should stop."""

    def ack(self, job: Job, state: JobState, error: str = "") -> bool:
        """Ends the claim: finished in `state`, or given back with `QUEUED`. Durable; False when the claim was lost.

        Saying the same again is heard again.
        """

    def deliver(self, job: Job, result: bytes) -> bool:
        """Hands over what a claim has led to; durable. The job still counts as running, and is never handed out again, until
        whoever fetches the result acks it. False when the claim was lost."""

    def delivered(self, limit: int = 10) -> tuple[tuple[Job, bytes], ...]:
        """Results that wait, oldest job first; each until its job is acked."""

    def announce(self, worker: Presence, ttl_s: float) -> None:
        """`worker` is alive for `ttl_s` more; 0 when it leaves."""

    def workers(self) -> tuple[Presence, ...]:
        """By name; one that went silent is told, not `alive`, for an hour, one that left is not."""

    def reclaim(self) -> int:
        """Queues jobs with an expired lease again; where that was the `max_attempts`th, they are `failed`. How many had expired.

        A claim that was given back counts for none of these."""

    def get(self, job_id: str) -> Job | None: ...

    def recent(self, limit: int = 100) -> tuple[Job, ...]:
        """Newest first, in whatever state."""

    def depth(self) -> int:
        """How many wait to be claimed."""

    def lanes(self) -> Mapping[tuple[str, ...], int]:
        """The same, by their labels; only those of which any wait."""

    def oldest(self) -> datetime | None:
        """When the first of those that wait was put; None when none waits."""

    def purge(self, before: datetime) -> int:
        """Forgets finished jobs put before `before`; returns how many."""

    def ping(self, timeout: float) -> str: ...

    def close(self) -> None: ...


Joint: TypeAlias = tuple[str, str]  # a kind (group, node, off) and a name: where the next alert is joined to an episode


class Ledger(Protocol):
    """What is recorded of notifications and episodes, within one transaction of a store."""

    def known(self, alerts: Sequence[Alert]) -> Sequence[Known]:
        """What is recorded of each, in this order."""

    def record(self, alerts: Sequence[Alert], episodes: Sequence[str]) -> None:
        """That these notifications were taken, and the episode of each. Of a key that is recorded already, or stands twice
        among them, the first stays."""

    def joints(self, wanted: Collection[Joint]) -> Mapping[Joint, str]:
        """The episode at each joint that there is, as `join` said."""

    def join(self, episode: str, joints: Iterable[Joint]) -> None:
        """From now on these lead to that episode."""

    def episodes(self, ids: Collection[str]) -> Mapping[str, Episode]:
        """Under the ids asked for; where one went into another, that one."""

    def save(self, episodes: Iterable[Episode]) -> None:
        """As they now are."""

    def merge(self, gone: str, into: str) -> None:
        """A saved episode goes into another: what is kept of it does, too, and its id leads there."""

    def begin(self, episode: Episode) -> None:
        """Saves one whose latest diagnosis has just begun."""

    def keep(self, episode: str, alerts: Iterable[Alert]) -> None:
        """The alerts as they came, for its diagnoses."""

    def alerts(self, episode: str) -> tuple[tuple[datetime, Alert], ...]:
        """What is kept of it, in the order in which it came, with when that was."""

    def waiting(self) -> int:
        """Episodes that have a diagnosis due."""

    def settle(self, latest: datetime) -> None:
        """After the clock was put back: nothing has happened in the future, nor is due after `latest`."""

    def expire(self, before: datetime) -> int:
        """Closes those not heard of since `before`; returns how many."""


class RepairBook(Protocol):
    """What is recorded of repairs, within one transaction of a store."""

    def get(self, repair_id: str) -> Repair | None:
        """As it now is."""

    def alike(self, digest: str) -> tuple[Repair, ...]:
        """Those whose plan has that hash, oldest first."""

    def begun(self, since: datetime) -> tuple[Repair, ...]:
        """Those whose act has begun since, and those that are under way."""

    def save(self, repair: Repair, told: Mapping[str, object], output: str = "") -> None:
        """As it now is, with what the run printed that its last step ended; the audit chain gets an entry of kind `repair` with
        what is `told`."""

    def audit(self, told: Mapping[str, object]) -> None:
        """Such an entry alone."""

    def learn(self, runbook: str, fault: str, *, worked: bool) -> None:
        """One more try of a runbook against such a fault."""

    def forget(self, runbook: str) -> int:
        """Takes back what was learnt of a runbook, "" = of all; how many kinds of fault that was about."""


class Annotations(Protocol):
    """Marks on the dashboards of somebody else. Raises SourceError."""

    def add(self, annotation: Annotation, timeout: float) -> str:
        """A new one; its id."""

    def change(self, known: str, annotation: Annotation, timeout: float) -> bool:
        """Makes the one of that id say this instead; False where there is none any more."""

    def find(self, annotation: Annotation, timeout: float) -> str:
        """The id of one about the same diagnosis in the same time, "" = none: whether what was sent without an answer is there."""

    def ping(self, timeout: float) -> str: ...


class Silences(Protocol):
    """Raises SourceError."""

    def read(self, timeout: float) -> tuple[Silence, ...]:
        """Those that are active or will be."""

    def ping(self, timeout: float) -> str: ...


class Store(Protocol):
    """Reports, recordings, episodes, sessions, audit. Raises StoreError."""

    def save(
        self,
        report_id: str,
        report_json: bytes,
        recording: bytes,
        index: Mapping[str, str],
        alerts: Iterable[Alert] = (),
        window: TimeRange | None = None,
    ) -> None:
        """One transaction; a second save under the same id replaces.

        `index`: what lists show (verdict, summary, symptom, cause). `alerts` and `window` (default: this moment) are what
        the report is about, and what `find` finds it by.
        """

    def report(self, report_id: str) -> bytes | None: ...

    def recording(self, report_id: str) -> bytes | None: ...

    def reports(self, limit: int = 50) -> tuple[Mapping[str, str], ...]:
        """Newest first: the `index` that was saved, with `id` and `created`."""

    def find(
        self, fingerprint: str, alertname: str, window: TimeRange | None, limit: int
    ) -> tuple[Mapping[str, str], ...]:
        """Newest first: reports about an alert whose window overlaps, for the Grafana link; "" and None ask for any."""

    def fold(self, run: Callable[[Ledger], T], now: datetime) -> T:
        """What `run` answers, in one transaction: what it writes is durable, all or none, when this returns, and happened `now`.

        What `run` raises is raised, and nothing is written. Other writes wait while it works."""

    def episodes(self, ids: Collection[str]) -> Mapping[str, Episode]:
        """Under the ids asked for, their own or those of their diagnoses; where one went into another, that one."""

    def due(self, now: datetime, limit: int) -> tuple[Episode, ...]:
        """Whose diagnosis may begin: those that are open first, then those that have waited longest."""

    def expected(self, limit: int) -> tuple[tuple[Episode, tuple[Alert, ...]], ...]:
        """Those of which no diagnosis has begun, newest first, each with some of its alerts."""

    def muted(self) -> tuple[Episode, ...]:
        """Those that are open and kept quiet, oldest first."""

    def begun(self, since: datetime) -> int:
        """How many diagnoses of episodes have begun since then."""

    def figures(self) -> Mapping[str, int]:
        """How many episodes are `open`, and how many are `waiting` for their diagnosis."""

    def session(self, session_id: str) -> Mapping[str, object] | None:
        """The slots last saved; None when there are none or they have expired."""

    def save_session(self, session_id: str, slots: Mapping[str, object], expires: datetime) -> None:
        """Replaces the session's slots, and forgets the sessions that have expired."""

    def once(self, key: bytes, ends: datetime) -> bool:
        """Whether `key` was not used before; it is known until `ends`, and longer than that nobody may believe what it came with."""

    def threads(self, chat: str, now: datetime, limit: int) -> tuple[Thread, ...]:
        """In which there is something to tell by now, the longest due first: a diagnosis of an episode that was stored, the end of
        one, what `stir` said. A chat that is asked for the first time hears of what comes after that."""

    def threads_of(self, episode: str) -> tuple[Thread, ...]:
        """What each chat was told of one episode, by chat."""

    def save_thread(self, thread: Thread, again: datetime | None) -> None:
        """As it now is, due `again`; what has made it due since it was read stays."""

    def stir(self, episode: str, now: datetime) -> None:
        """Something that the threads of the episode show has changed."""

    def secret(self, name: str) -> bytes:
        """32 random bytes, the same under the same name for as long as this store lives."""

    def untold(self, since: datetime, limit: int) -> tuple[Untold, ...]:
        """Diagnoses of episodes begun since then of which not all has been annotated, oldest first: neither a report, by its
        latest version, nor that there will be none."""

    def annotated(self, diagnosis: str, annotation: str, told: int) -> None:
        """Under which id ("" = none that is known of) a diagnosis was annotated with what: the version of its report, 0 that it
        has begun, -1 that there will be no report."""

    def tell(self, feedback: Feedback) -> bool:
        """Keeps what was told about a report in the place of what was told before, and audits it, in one transaction.

        False, and nothing audited, when it says nothing new (`at` aside). It outlives its report."""

    def untell(self, report_id: str) -> bool:
        """Forgets what was told about a report, which the audit chain notes; False when there was nothing."""

    def told(self, symptom: str | None = None) -> tuple[Feedback, ...]:
        """What was told, about one symptom node or all, by time, then by report."""

    def govern(self, run: Callable[[RepairBook], T]) -> T:
        """What `run` answers, in one transaction: what it writes is durable, all or none, when this returns.

        What `run` raises is raised, and nothing is written. Other writes wait while it works."""

    def repair(self, repair_id: str) -> Repair | None:
        """As it now is."""

    def repairs(self, limit: int = 50, states: Collection[RepairState] = (), report_id: str = "") -> tuple[Repair, ...]:
        """Newest first, in any of these states and about that report; empty ones ask for any."""

    def repair_counts(self) -> Mapping[RepairState, int]:
        """How many are in each state; all states."""

    def repair_output(self, repair_id: str, digest: str) -> str | None:
        """What a run printed, by the hash in its step, which is the caller's to check; None where it is not kept."""

    def experience(self) -> tuple[Experience, ...]:
        """What repairs have taught, by runbook, then by fault."""

    def audit(self, kind: str, entry: Mapping[str, object]) -> None:
        """Appends to the hash chain, which threads and processes share; durable when it returns. DataError for no JSON."""

    def audit_entries(self, since: int = 0, until: int | None = None) -> Iterator[Mapping[str, object]]:
        """Those numbered in [since, until), oldest first, for export: number, at, kind, entry, previous, hash."""

    def audit_head(self) -> tuple[int, str]:
        """(entries, hash of the last). Noted elsewhere, it shows even a chain that was rewritten as a whole."""

    def audit_verify(self) -> tuple[int, str]:
        """(entries, "") when the chain holds, else (index of the first bad entry, what is wrong)."""

    def audit_archive(self, until: int, told: Mapping[str, object]) -> None:
        """Forgets the entries numbered below `until`, in one transaction with a checkpoint that says so and what is `told`.

        Numbers and chain go on. DataError when there is no entry `until - 1`."""

    def purge(self, before: datetime) -> int:
        """Forgets reports, recordings and notification keys older than `before`, episodes closed and sessions expired by then.

        Returns how many reports. The audit chain is left as it is.
        """

    def purge_recordings(self, before: datetime) -> int:
        """Forgets the recordings of reports older than `before`, which stay; returns how many."""

    def ping(self, timeout: float) -> str: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question for the language model: `template` is ours and has places `{{name}}`, `values` is data from outside.

    The two are kept apart to the last, so that no text of a person can become a control token of the model. A model that was
    trained for this question may use a template of its own, with any of the same places."""

    template: str
    values: Mapping[str, str]


class Pool(Protocol):
    """Processes for bulk work. Raises SourceError when it is lost."""

    def map(self, call: Callable[[A], B], items: Sequence[A]) -> Iterator[B]:
        """Answers in the order of the items; what a call raises is raised. Calls, items and answers can be pickled."""

    def features(self, series: Sequence[FloatArray], asked: Mapping[str, Any]) -> tuple[tuple[str, ...], FloatArray]:
        """(names, (S, F)) as tsfresh computes them; `asked` is its `default_fc_parameters`. The series hold no gaps."""

    def close(self) -> None: ...


class LanguageModel(Protocol):
    """Raises ModelError."""

    def complete(self, prompt: Prompt, schema: Mapping[str, object], timeout: float) -> str:
        """Text that satisfies the JSON schema."""

    def counters(self) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
        """What it counts about itself, for /metrics: (name, labels sorted by name) -> value."""

    def ping(self, timeout: float) -> str: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Button:
    """What may be pressed under a message. `value` comes back when somebody does; name: one word of ASCII letters; style: "",
    "good" or "bad"."""

    name: str
    label: str
    value: str = field(repr=False)
    style: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """What is said in a chat: lines of visible characters, the first of them the headline.

    They may quote what comes from outside: whoever sends them escapes them for its platform, so that none is a mention, a link or
    a format. `link` leads to the whole, under `link_name`; picture: a PNG, b"" = none; about: the same for programs."""

    lines: tuple[str, ...]
    link: str = ""
    link_name: str = ""
    picture: bytes = field(default=b"", repr=False)
    buttons: tuple[Button, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)


class Chat(Protocol):
    """A channel that people, or programs, read. Raises SourceError; what is `retryable` may be sent again with the same key."""

    name: str  # tells it from all others: what is kept of its posts is kept under it
    pictures: bool  # whether it shows any: one takes a second of processor time to draw

    def post(self, message: Message, timeout: float, *, key: str, thread: str = "") -> str:
        """A new post, in the `thread` of another unless that is ""; its id, as `thread` and for `edit`.

        `key` is the same for each try at one post, and of no other. A picture that can't be sent costs the picture alone."""

    def find(self, key: str, timeout: float, *, thread: str = "") -> str:
        """The id of the post that was made with `key`, asked before another try; "" where there is none, and where the platform
        can't tell or knows such a post again by itself."""

    def edit(self, post: str, message: Message, timeout: float) -> None:
        """Changes what a post says, but for its picture; does nothing where posts stay as they are."""

    def ping(self, timeout: float) -> str: ...


class ChatApp(Protocol):
    """An app of ours at a chat platform, to which people write. Raises SourceError."""

    def answer(self, address: str, message: Message, timeout: float, *, key: str) -> None:
        """To where a question came from, as the platform named it; `key` as for `Chat.post`.

        SourceRefused, and nothing sent, for an address that is not the platform's own."""

    def senders(self, timeout: float) -> tuple[str, ...]:
        """The addresses and networks (101.226.103.0/25) from which the platform calls us; none where it does not tell."""

    def ping(self, timeout: float) -> str: ...


class Replies(Protocol):
    """Answers to what came in from a chat platform. Raises SourceError."""

    def shown(self, message: Message, public: bool) -> Mapping[str, object]:
        """As the platform takes it in the answer to its own request; `public`: for all in the channel, not for who asked alone."""

    def post(self, address: str, message: Message, public: bool, timeout: float) -> None:
        """To the address that the platform gave. SourceRefused, and nothing sent, for one that is not the platform's own."""

    def channel(self, channel: str) -> Chat | None:
        """The channel of that id, to answer in; None where we have no bot there."""


class Executor(Protocol):
    """What acts outside the sandbox, by verbs that are all known. What is not allowed is an outcome (`refused`), never an exception."""

    def rehearse(self, act: Act) -> Outcome:
        """The dry run: checks everything that doing it would, tells what would be done, and does nothing."""

    def run(self, act: Act, key: str, timeout: float) -> Outcome:
        """Does it, once for each idempotency `key`; a repeat answers what the first came to.

        `unknown` when it was begun and nobody saw how it ended. StoreError before anything is done, or when what came of it
        can't be kept."""

    def door(self, verbs: tuple[str, ...], key: str) -> AbstractContextManager[str]:
        """A Unix socket through which a script may ask for these verbs: `Command.door`. Gone when the context ends."""


class Premises(Protocol):
    """What repairs need of the machine that they are governed on: two clocks, a switch that stops them all, locks, and room."""

    def now(self) -> Instant:
        """By the calendar, and by the clock that nobody can set."""

    def stopped(self) -> str:
        """Why everything is stopped, "" = it isn't. What can't be told is stopped."""

    def stop(self, why: str) -> None:
        """From now on, for every process here, until `resume`. StoreError."""

    def resume(self) -> bool:
        """False where nothing was stopped. StoreError."""

    def held(self, repair_id: str) -> AbstractContextManager[bool]:
        """Whether the repair is now ours alone, among all processes here, until the context ends or this process does."""

    def room(self) -> int:
        """Bytes that are free where repairs are kept."""


class Sandbox(Protocol):
    """Where repairs run. What can't be confined does not run: that is an outcome (`refused`), never an exception."""

    def run(self, command: Command, cancelled: Callable[[], bool] = ...) -> Outcome:
        """Runs until it ends, reaches a limit, or `cancelled` says so; when it returns nothing of it is left.

        UsageError for a command that can't be one."""

    def sweep(self) -> int:
        """Removes what services that were killed left behind; how many runs. Refused where nothing can be confined."""

    def ping(self, timeout: float) -> str:
        """Proves by a run that runs are confined; Refused, with what is missing, where they are not."""

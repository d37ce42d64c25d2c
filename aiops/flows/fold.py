"""Notifications into episodes: what is new, what is a repetition, what starts no diagnosis. Durable when it is answered.

Which alerts belong together is decided by `episodes`, which of them begin a diagnosis, and when, by `begin`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from aiops.domain import Alert, Inputs, Intent, Known, Mode, Notification, Symptom
from aiops.errors import Overloaded
from aiops.flows.episodes import OVER, Book, Folding, Near, clusters, told
from aiops.flows.mute import Muting, why
from aiops.ports import JobQueue, Ledger, Store
from aiops.rules import Entities
from aiops.schema import wire
from aiops.schema.alerting import Alerting

# Watchdog proves that alerting works and InfoInhibitor mutes others: neither says that anything is wrong.
NEVER_DIAGNOSED = frozenset({"Watchdog", "InfoInhibitor"})
ACCEPTED, DUPLICATE, SUPPRESSED = "accepted", "duplicate", "suppressed"
_Firing: TypeAlias = tuple[str, str, datetime]  # group key, fingerprint and start, whatever the status


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the alerts of one notification: `accepted + duplicates + suppressed` is how many there were.

    diagnoses: (diagnosis id, fingerprints it is about), those of accepted alerts first.
    """

    accepted: int
    duplicates: int
    suppressed: int
    diagnoses: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """By what alerts are folded. `quiet` answers what is kept quiet now, `near` who is near whom; `count` is told what happens,
    and how often."""

    entities: Entities
    alerting: Alerting
    terms: Folding
    near: Near
    quiet: Callable[[], Muting]
    count: Callable[[str, int], None] = lambda event, n: None  # noqa: ARG005
    capped: set[str] = field(default_factory=set)  # episodes that the rate holds up


@dataclass(frozen=True, slots=True)
class _Given:
    """An alert as it came, and what it leads to by itself; `why` is the reason where that is no diagnosis."""

    alert: Alert
    mode: Mode
    why: str


def symptom(alerts: Iterable[Alert], entities: Entities) -> Symptom:
    """What the alerts say hurts: the node of the earliest that names one, since the earliest of all; empty without alerts."""
    ordered = sorted(alerts, key=lambda alert: (alert.starts_at, alert.fingerprint))
    if not ordered:
        return Symptom()
    named = (entities.node("alert", alert.labels) for alert in ordered)
    return Symptom(service=next(filter(None, named), None), at=ordered[0].starts_at)


def task_id(intent: Intent, inputs: Inputs) -> str:
    """`^[a-z0-9_]{4,32}$`, the same for the same inputs."""
    return f"{intent}_{hashlib.sha256(wire.encode(inputs)).hexdigest()[:12]}"


def accept(
    notifications: Sequence[Notification], policy: Policy, store: Store, queue: JobQueue, now: datetime
) -> tuple[Receipt, ...]:
    """Takes notifications together: all durable when it returns, none taken when it raises Overloaded, StoreError, DataError.

    Each gets the receipt that it would have got alone, in this order. What is refused while too much waits, or while the queue
    can't be reached, is sent again by whoever sent it.
    """
    given = list(_given(notifications, policy))
    if not given:
        return (Receipt(0, 0, 0, ()),) * len(notifications)
    behind = queue.depth()
    tally: Counter[str] = Counter()
    alerts = [one.alert for one in given]

    def run(ledger: Ledger) -> tuple[list[str], list[str]]:
        waiting = ledger.waiting()
        known = ledger.known(alerts)
        fates = _fates(given, known)
        book = Book(ledger, policy.terms, now, policy.near, tally)
        assigned = _folded(given, known, fates, book, policy)
        for k in _over(given, fates, book, ledger):
            book.resolve(assigned[k])
        if tally["opened"] and waiting + behind + tally["opened"] > policy.terms.waiting:
            raise Overloaded(
                f"{waiting + behind} diagnoses wait for the queue or in it, of {policy.terms.waiting} that may"
            )
        book.write()
        ledger.record(alerts, assigned)
        episodes = {one: book.get(one) for one in set(assigned)}
        leads = {one: told(found, policy.terms, now) if found else one for one, found in episodes.items()}
        return fates, [leads[one] for one in assigned]

    fates, diagnoses = store.fold(run, now)
    for event, n in tally.items():
        policy.count(event, n)
    return tuple(_receipts(notifications, fates, diagnoses))


def _given(notifications: Sequence[Notification], policy: Policy) -> Iterator[_Given]:
    quiet = policy.quiet()
    for notification in notifications:
        for alert in notification.alerts:
            mode, reason = Mode.AUTO, ""
            if alert.name in NEVER_DIAGNOSED:
                mode, reason = Mode.OFF, f"{alert.name} says nothing is wrong"
            elif policy.alerting.routes and (routed := policy.alerting.mode(alert, notification.receiver)) != mode:
                mode, reason = routed, f"rules/alerts.yaml says {routed} for it"
            elif quiet and (reason := why(alert, quiet)):
                mode = Mode.MUTED
            yield _Given(alert, mode, reason)


def _fates(given: Sequence[_Given], known: Sequence[Known]) -> list[str]:
    """What becomes of each alert; the second of two that are equal is a duplicate, too."""
    met: set[tuple[_Firing, str]] = set()
    fates: list[str] = []
    for one, told_of in zip(given, known, strict=True):
        alert = one.alert
        key = _firing(alert), alert.status
        starts = alert.status == "firing" and one.mode is Mode.AUTO
        fates.append(DUPLICATE if told_of.repeated or key in met else ACCEPTED if starts else SUPPRESSED)
        met.add(key)
    return fates


def _folded(
    given: Sequence[_Given], known: Sequence[Known], fates: Sequence[str], book: Book, policy: Policy
) -> list[str]:
    """The episode of each alert."""
    new = [fate != DUPLICATE for fate in fates]
    fires = {_firing(one.alert) for one in given if one.alert.status == "firing"}
    rows = []
    for one, told_of, fresh in zip(given, known, new, strict=True):
        alert, mode, reason = one.alert, one.mode, one.why
        if not fresh or (alert.status != "firing" and (told_of.episode or _firing(alert) in fires)):
            continue
        if alert.status != "firing":
            mode, reason = Mode.OFF, OVER
        node = "" if mode is Mode.OFF else policy.entities.node("alert", alert.labels)
        rows.append((alert, mode, reason, node, policy.alerting.rank(alert)))
    made = clusters(rows)
    book.look_up({one.episode for one in known if one.episode}, made)
    joined: dict[_Firing, str] = {}
    for cluster in made:
        episode = book.join(cluster)
        joined |= {_firing(alert): episode for alert in cluster.alerts}
    assigned = [told_of.episode or joined[_firing(one.alert)] for one, told_of in zip(given, known, strict=True)]
    for one, episode, fresh in zip(given, assigned, new, strict=True):
        if not fresh:
            book.hear(episode)
        elif one.alert.status != "firing":
            book.resolve(episode)
    return assigned


def _over(given: Sequence[_Given], fates: Sequence[str], book: Book, ledger: Ledger) -> list[int]:
    """Which of those that begin have ended already, as the other of a pair told before."""
    may = [
        k
        for k, (one, fate) in enumerate(zip(given, fates, strict=True))
        if fate != DUPLICATE and one.alert.status == "firing" and book.may_be_over(one.alert.group_key)
    ]
    ends = ledger.known([replace(given[k].alert, status="resolved") for k in may]) if may else ()
    return [k for k, end in zip(may, ends, strict=True) if end.repeated]


def _firing(alert: Alert) -> _Firing:
    return alert.group_key, alert.fingerprint, alert.starts_at


def _receipts(
    notifications: Sequence[Notification], fates: Sequence[str], diagnoses: Sequence[str]
) -> Iterator[Receipt]:
    start = 0
    for notification in notifications:
        part = slice(start, start + len(notification.alerts))
        counts = Counter(fates[part])
        about: dict[str, dict[str, None]] = {}
        rows = list(zip(notification.alerts, fates[part], diagnoses[part], strict=True))
        for alert, _, diagnosis in sorted(rows, key=lambda row: row[1] != ACCEPTED):  # those that lead somewhere first
            about.setdefault(diagnosis, {})[alert.fingerprint] = None
        listed = tuple((diagnosis, tuple(fingerprints)) for diagnosis, fingerprints in about.items())
        yield Receipt(counts[ACCEPTED], counts[DUPLICATE], counts[SUPPRESSED], listed)
        start = part.stop

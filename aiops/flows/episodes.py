"""Alerts into episodes: what belongs together by group, topology and time. Decides; the ledger keeps.

An alert joins the open episode of its group; the open episode of a node near its own, while that grows; and one of its group
or node that was closed within the cool-down, which has then come back. Episodes of which none has been diagnosed are merged as
soon as an alert belongs to both, so that the order in which a storm arrives changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from aiops.domain import Alert, Episode, Mode, job_id
from aiops.ports import Joint, Ledger

GROUP, NODE, OFF = "group", "node", "off"
KEPT = 100  # alerts of an episode whose text is kept, whatever they are
MOST_KEPT = 200  # of those after them the ones that name another node
OVER = "it was resolved before it was told of"  # why an episode is `off` of which nothing else was told yet
HEARD = timedelta(minutes=1)  # how exactly it is known when an episode was last heard of
Near: TypeAlias = Callable[[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class Folding:
    """When alerts are one episode, and when its diagnoses begin.

    debounce: how long alerts gather before a diagnosis. cooldown: how long after one begins the next may, and within which a
    closed episode is taken up again. window: how long after its last new alert others join by topology, over `hops` dependencies.
    expire: when what is not heard of any more is closed. per_minute: diagnoses that begin by themselves. waiting: episodes that
    may wait for theirs before notifications are refused. route_by: labels of alerts that their workers must have."""

    debounce: timedelta = timedelta(seconds=2)
    cooldown: timedelta = timedelta(minutes=5)
    window: timedelta = timedelta(minutes=10)
    expire: timedelta = timedelta(hours=24)
    hops: int = 2
    per_minute: int = 30
    waiting: int = 10_000
    route_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cluster:
    """New alerts of one group that concern one node ("" = none known), in order of their age, and what they lead to."""

    mode: Mode
    why: str
    group: str
    node: str
    severity: int
    alerts: tuple[Alert, ...]

    @property
    def joints(self) -> tuple[Joint, ...]:
        """Where it joins, and where others will join it. An empty group is none."""
        if self.mode is Mode.OFF:
            return ((OFF, f"{self.group}\n{self.why}"),)
        pairs = (GROUP, self.group), (NODE, self.node)
        return tuple([pair for pair in pairs if pair[1]])


@dataclass(slots=True)
class Book:
    """The episodes that are concerned, as they become. `write` once, after all that happens has been told."""

    ledger: Ledger
    terms: Folding
    now: datetime
    near: Near
    tally: Counter[str]
    _known: dict[str, Episode] = field(default_factory=dict)  # under each id that leads to it
    _leads: dict[str, str] = field(default_factory=dict)
    _joints: dict[Joint, str] = field(default_factory=dict)
    _changed: dict[str, None] = field(default_factory=dict)
    _joined: dict[str, dict[Joint, None]] = field(default_factory=dict)
    _kept: dict[str, list[Alert]] = field(default_factory=dict)
    _merged: list[tuple[str, str]] = field(default_factory=list)

    def look_up(self, ids: Collection[str], clusters: Sequence[Cluster]) -> None:
        """Reads what may be concerned: episodes of alerts that are known, and what the clusters may join."""
        wanted = {joint for cluster in clusters for joint in cluster.joints}
        wanted |= {(NODE, n) for c in clusters if c.node and c.mode is not Mode.OFF for n in self.near(c.node)}
        wanted |= {_over(cluster.group) for cluster in clusters}
        self._joints = dict(self.ledger.joints(wanted))
        for asked, episode in self.ledger.episodes({*ids, *self._joints.values()}).items():
            self._leads[asked] = self._leads[episode.id] = episode.id
            self._known[episode.id] = episode

    def get(self, episode_id: str) -> Episode | None:
        """As it now is; None for an id of before there were episodes."""
        return self._known.get(self._leads.get(episode_id, ""))

    def may_be_over(self, group: str) -> bool:
        """Whether of any alert of the group its end was told before its beginning."""
        return _over(group) in self._joints

    # ------------------------------------------------------------ what happens

    def join(self, cluster: Cluster) -> str:
        """The id of the episode that the cluster is part of from now on."""
        found = self._candidates(cluster)
        if found:
            into = min(found, key=lambda e: (e.begun is None, e.opened, e.id))
            for other in found:
                if other.id != into.id and other.begun is None and Mode.OFF not in (other.mode, into.mode):
                    into = self._merge(other, into)
            self.tally["joined"] += 1
        else:
            into = self._open(cluster)
        self._grow(into, cluster)
        return into.id

    def resolve(self, episode_id: str) -> None:
        """One of its alerts is resolved."""
        episode = self.get(episode_id)
        if episode is None or (episode.mode is Mode.OFF and episode.why != OVER):
            return
        firing = max(episode.firing - 1, 0)
        if firing or episode.closed:
            self._put(replace(episode, firing=firing))
            return
        self.tally["closed"] += 1
        # What was told a first diagnosis gets it; another one of what is over is of no use.
        self._put(replace(episode, firing=0, closed=self.now, due=None if episode.rounds else episode.due))

    def hear(self, episode_id: str) -> None:
        """Somebody told of it again."""
        episode = self.get(episode_id)
        if episode is None or self.now - episode.heard < HEARD:
            return
        gone_silent = episode.closed is not None and episode.firing > 0
        self._put(replace(episode, heard=self.now, closed=None if gone_silent else episode.closed))

    def write(self) -> None:
        """Tells the ledger."""
        self.ledger.save([self._known[one] for one in self._changed])
        for episode, joints in self._joined.items():
            self.ledger.join(episode, joints)
        for episode, alerts in self._kept.items():
            self.ledger.keep(episode, alerts)
        for gone, into in self._merged:
            self.ledger.merge(gone, into)

    # ------------------------------------------------------------ how

    def _candidates(self, cluster: Cluster) -> list[Episode]:
        """The episodes that the cluster belongs to, each once."""
        found: dict[str, Episode] = {}
        for joint in cluster.joints:
            episode = self._at(joint)
            if episode and self._takes(episode, joint[0]):
                found[episode.id] = episode
        if cluster.node and cluster.mode is not Mode.OFF:
            around = self.near(cluster.node)
            for kind, name in self._joints.keys() if len(self._joints) < len(around) else ((NODE, n) for n in around):
                episode = self._at((kind, name)) if kind == NODE and name in around else None
                if episode and not episode.closed and self.now - episode.grown <= self.terms.window:
                    found[episode.id] = episode
        return list(found.values())

    def _takes(self, episode: Episode, kind: str) -> bool:
        """Whether an episode takes more of its own group or node."""
        if episode.closed:
            return self.now - episode.closed < self.terms.cooldown
        return kind != NODE or self.now - episode.grown <= self.terms.window

    def _at(self, joint: Joint) -> Episode | None:
        episode = self._joints.get(joint)
        return self.get(episode) if episode else None

    def _open(self, cluster: Cluster) -> Episode:
        first = cluster.alerts[0]
        before = next((found for joint in cluster.joints if (found := self._at(joint)) and found.closed), None)
        key = f"{cluster.group}\n{first.fingerprint}\n{first.starts_at.isoformat()}\n{self.now.isoformat()}"
        made = Episode(
            id=job_id(key),
            mode=cluster.mode,
            why=cluster.why,
            opened=self.now,
            grown=self.now,
            heard=self.now,
            recurrences=before.recurrences + 1 if before else 0,
        )
        self._leads[made.id] = made.id
        self.tally["opened"] += 1
        return made

    def _grow(self, episode: Episode, cluster: Cluster) -> None:
        new = cluster.node if cluster.node and self._leads_to((NODE, cluster.node)) != episode.id else ""
        back = episode.closed is not None
        self.tally["reopened"] += back
        kept = self._keep(episode, cluster, new)
        grown = replace(
            episode,
            grown=self.now,
            heard=self.now,
            alerts=episode.alerts + len(cluster.alerts),
            kept=episode.kept + kept,
            firing=episode.firing + len(cluster.alerts),
            severity=max(episode.severity, cluster.severity),
            closed=None,
            recurrences=episode.recurrences + back,
        )
        if cluster.mode is Mode.AUTO:
            changed = bool(new) or cluster.severity > episode.severity
            grown = self._called_for(grown, changed or episode.mode is not Mode.AUTO)
        self._put(grown)
        joints = self._joined.setdefault(grown.id, {})
        for joint in cluster.joints:
            self._joints[joint] = grown.id
            joints[joint] = None

    def _called_for(self, episode: Episode, changed: bool) -> Episode:
        """With a diagnosis due: the first after the debounce, another one only for what has changed, and after the cool-down."""
        due = self.now + self.terms.debounce
        if episode.begun is not None:
            due = max(due, episode.begun + self.terms.cooldown)
            if not changed:
                return episode
            self.tally["cooldown"] += episode.due is None and due > self.now + self.terms.debounce
        return replace(episode, mode=Mode.AUTO, why="", due=episode.due or due)

    def _keep(self, episode: Episode, cluster: Cluster, new: str) -> int:
        """How many of the cluster's alerts are kept."""
        room = max(KEPT - episode.kept, 0)
        if not room and new and episode.kept < MOST_KEPT:
            room = 1
        if room:
            self._kept.setdefault(episode.id, []).extend(cluster.alerts[:room])
        return min(room, len(cluster.alerts))

    def _merge(self, gone: Episode, into: Episode) -> Episode:
        self.tally["merged"] += 1
        merged = replace(
            into,
            opened=min(into.opened, gone.opened),
            grown=max(into.grown, gone.grown),
            heard=max(into.heard, gone.heard),
            alerts=into.alerts + gone.alerts,
            kept=into.kept + gone.kept,
            firing=into.firing + gone.firing,
            severity=max(into.severity, gone.severity),
            recurrences=max(into.recurrences, gone.recurrences),
        )
        if gone.mode is Mode.AUTO:
            merged = self._called_for(merged, changed=True)
        self._put(replace(gone, due=None))
        self._put(merged)
        for asked, leads in self._leads.items():
            if leads == gone.id:
                self._leads[asked] = into.id
        self._merged.append((gone.id, into.id))
        return merged

    def _leads_to(self, joint: Joint) -> str:
        episode = self._at(joint)
        return episode.id if episode else ""

    def _put(self, episode: Episode) -> None:
        self._known[episode.id] = episode
        self._changed[episode.id] = None


def _over(group: str) -> Joint:
    return OFF, f"{group}\n{OVER}"


def told(episode: Episode, terms: Folding, now: datetime) -> str:
    """The id of the diagnosis that an alert of the episode leads to: the next, if that comes at once, else the latest."""
    soon = episode.due is not None and episode.due <= now + terms.debounce
    return episode.diagnosis_of(episode.rounds + 1) if soon else episode.diagnosis


def clusters(alerts: Iterable[tuple[Alert, Mode, str, str, int]]) -> tuple[Cluster, ...]:
    """Of alerts with mode, reason, node and severity: in order of their oldest."""
    held: dict[tuple[Mode, str, str, str], list[tuple[Alert, int]]] = {}
    for alert, mode, why, node, severity in sorted(alerts, key=lambda row: (row[0].starts_at, row[0].fingerprint)):
        held.setdefault((mode, why, alert.group_key, node), []).append((alert, severity))
    return tuple(
        [
            Cluster(*key[:3], key[3], max(rank for _, rank in rows), tuple([alert for alert, _ in rows]))
            for key, rows in held.items()
        ]
    )

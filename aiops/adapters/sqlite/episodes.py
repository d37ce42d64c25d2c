"""Episodes on SQLite, for `StoreDB`: the notifications that were taken, and what they were folded into.

A joint is where the next alert is joined: the latest episode of a group or of a node. An episode that went into another leaves
its row, which leads there, so that whatever was told its id still finds the diagnosis.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from json.encoder import encode_basestring_ascii
from typing import TypeVar

from aiops.adapters.sqlite.database import Row, from_ms, to_ms
from aiops.domain import Alert, Episode, Known, Mode
from aiops.ports import Joint
from aiops.schema import wire

MIGRATION = (
    "ALTER TABLE notifications RENAME COLUMN diagnosis TO episode",
    """CREATE TABLE episodes (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, mode TEXT NOT NULL, why TEXT NOT NULL,
        opened INTEGER NOT NULL, grown INTEGER NOT NULL, heard INTEGER NOT NULL, alerts INTEGER NOT NULL,
        kept INTEGER NOT NULL, firing INTEGER NOT NULL, severity INTEGER NOT NULL, rounds INTEGER NOT NULL,
        begun INTEGER, due INTEGER, closed INTEGER, recurrences INTEGER NOT NULL, leads TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX episodes_due ON episodes (due) WHERE due IS NOT NULL",
    "CREATE INDEX episodes_open ON episodes (heard) WHERE closed IS NULL AND leads = ''",
    "CREATE INDEX episodes_muted ON episodes (number) WHERE mode = 'muted' AND closed IS NULL AND leads = ''",
    "CREATE INDEX episodes_expected ON episodes (number) WHERE rounds = 0 AND leads = ''",
    "CREATE INDEX episodes_led ON episodes (leads) WHERE leads <> ''",
    """CREATE TABLE joints (kind TEXT NOT NULL, name TEXT NOT NULL, episode TEXT NOT NULL, PRIMARY KEY (kind, name))
       STRICT, WITHOUT ROWID""",
    """CREATE TABLE episode_alerts (
        number INTEGER PRIMARY KEY, episode TEXT NOT NULL, fingerprint TEXT NOT NULL, arrived INTEGER NOT NULL, alert BLOB NOT NULL
    ) STRICT""",
    "CREATE INDEX episode_alerts_by_episode ON episode_alerts (episode)",
    "CREATE INDEX episode_alerts_by_fingerprint ON episode_alerts (fingerprint)",
    # Each diagnosis that was begun, for the rate of them and to find the episode of one.
    "CREATE TABLE rounds (id TEXT PRIMARY KEY, episode TEXT NOT NULL, begun INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX rounds_by_time ON rounds (begun)",
)

K = TypeVar("K", Row, str)
Ask = Callable[[str, Sequence[object]], Iterable[Row]]

FIRING = "firing"
OPEN = "closed IS NULL AND leads = ''"
SOME = 20  # alerts that stand for an episode
_KEYS = 100  # looked up by one query
_COLUMNS = (
    "id, mode, why, opened, grown, heard, alerts, kept, firing, severity, rounds, begun, due, closed, recurrences"
)
_PLACES = ", ".join("?" * 15)
_CHANGED = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", ")[1:])
_TIMES = ("opened", "grown", "heard", "begun", "due", "closed")


class LedgerDB:
    """What is recorded, within one transaction of `connection`; `now` is when it happens."""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        self._run = connection
        self._now = to_ms(now)
        self._asked: tuple[Sequence[Alert], list[Row]] = (
            (),
            [],
        )  # what is asked about is recorded next, under the same keys

    # ------------------------------------------------------------ notifications

    def known(self, alerts: Sequence[Alert]) -> tuple[Known, ...]:
        """What is recorded of each."""
        keys = [_notification(alert, alert.status) for alert in alerts]
        self._asked = alerts, keys
        firing = [key if a.status == FIRING else _notification(a, FIRING) for key, a in zip(keys, alerts, strict=True)]
        held = self._held({*keys, *firing})
        pairs = zip(keys, firing, strict=True)
        return tuple([Known(own in held, held.get(own) or held.get(first, "")) for own, first in pairs])

    def record(self, alerts: Sequence[Alert], episodes: Sequence[str]) -> None:
        """That these notifications were taken, and for which episodes; what is recorded stays."""
        asked, keys = self._asked
        if asked is not alerts:
            keys = [_notification(alert, alert.status) for alert in alerts]
        rows = [(*key, self._now, told) for key, told in zip(keys, episodes, strict=True)]
        self._run.executemany("INSERT OR IGNORE INTO notifications VALUES (?, ?, ?, ?)", rows)

    def _held(self, keys: Collection[Row]) -> dict[Row, str]:
        """The episode of each notification that is recorded."""
        held: dict[Row, str] = {}
        for part in _parts(keys):
            # CROSS JOIN: the keys lead, each searched for, whatever SQLite thinks of their number.
            found = f"""SELECT starts, digest, episode FROM (VALUES {",".join(["(?,?)"] * len(part))}) AS wanted
                        CROSS JOIN notifications ON starts = column1 AND digest = column2"""  # noqa: S608 - only question marks
            rows = self._run.execute(found, [value for key in part for value in key])
            held |= {(at, digest): told for at, digest, told in rows}
        return held

    # ------------------------------------------------------------ episodes

    def joints(self, wanted: Collection[Joint]) -> dict[Joint, str]:
        """The episode at each joint that there is."""
        digests = {(kind, _name(name)): (kind, name) for kind, name in wanted}
        held: dict[Joint, str] = {}
        for part in _parts(digests):
            found = f"""SELECT kind, name, episode FROM (VALUES {",".join(["(?,?)"] * len(part))}) AS wanted
                        CROSS JOIN joints ON kind = column1 AND name = column2"""  # noqa: S608 - only question marks
            rows = self._run.execute(found, [value for key in part for value in key])
            held |= {digests[kind, name]: episode for kind, name, episode in rows}
        return held

    def episodes(self, ids: Collection[str]) -> dict[str, Episode]:
        """Each under the id asked for; where one went into another, that one."""
        return dict(_found(self._run.execute, ids))

    def save(self, episodes: Iterable[Episode]) -> None:
        """As they now are, new ones in this order; a further diagnosis that is due can be found by its id at once."""
        saved = list(episodes)
        self._run.executemany(
            f"INSERT INTO episodes ({_COLUMNS}) VALUES ({_PLACES}) ON CONFLICT (id) DO UPDATE SET {_CHANGED}",  # noqa: S608 - constant text
            [_row(episode) for episode in saved],
        )
        promised = [(e.diagnosis_of(e.rounds + 1), e.id) for e in saved if e.due is not None and e.rounds]
        self._run.executemany("INSERT OR IGNORE INTO rounds VALUES (?, ?, 0)", promised)

    def join(self, episode: str, joints: Iterable[Joint]) -> None:
        """From now on alerts there are joined to it."""
        rows = [(kind, _name(name), episode) for kind, name in joints]
        self._run.executemany("INSERT OR REPLACE INTO joints VALUES (?, ?, ?)", rows)

    def keep(self, episode: str, alerts: Iterable[Alert]) -> None:
        """The text of alerts, for its diagnoses."""
        rows = [(episode, alert.fingerprint, self._now, wire.encode(alert)) for alert in alerts]
        kept = "INSERT INTO episode_alerts (episode, fingerprint, arrived, alert) VALUES (?, ?, ?, ?)"
        self._run.executemany(kept, rows)

    def merge(self, gone: str, into: str) -> None:
        """`gone` went into another: its alerts do, too, and its id leads there."""
        self._run.execute("UPDATE episode_alerts SET episode = ? WHERE episode = ?", (into, gone))
        self._run.execute("UPDATE episodes SET leads = ? WHERE leads = ?", (into, gone))
        self._run.execute("UPDATE episodes SET leads = ?, due = NULL WHERE id = ?", (into, gone))

    def begin(self, episode: Episode) -> None:
        """Its latest diagnosis has begun."""
        self.save([episode])
        row = (episode.diagnosis, episode.id, self._now)
        self._run.execute("INSERT OR REPLACE INTO rounds VALUES (?, ?, ?)", row)

    def alerts(self, episode: str) -> tuple[tuple[datetime, Alert], ...]:
        """What is kept of it, in the order in which it came, with when that was."""
        told = "SELECT arrived, alert FROM episode_alerts WHERE episode = ? ORDER BY number"
        return tuple([(from_ms(at), wire.decode(text, Alert)) for at, text in self._run.execute(told, (episode,))])

    def waiting(self) -> int:
        """Episodes that have a diagnosis due."""
        ((count,),) = self._run.execute("SELECT count(*) FROM episodes WHERE due IS NOT NULL").fetchall()
        return int(count)

    def settle(self, latest: datetime) -> None:
        """After the clock was put back: nothing has happened in the future, nor is due after `latest`."""
        for column in ("opened", "grown", "heard", "begun", "closed"):
            self._run.execute(f"UPDATE episodes SET {column} = ?1 WHERE {column} > ?1", (self._now,))  # noqa: S608 - constant text
        self._run.execute("UPDATE episodes SET due = ?1 WHERE due > ?1", (to_ms(latest),))
        self._run.execute("UPDATE rounds SET begun = ?1 WHERE begun > ?1", (self._now,))

    def expire(self, before: datetime) -> int:
        """Closes those not heard of since `before`; how many."""
        return self._run.execute(
            f"UPDATE episodes SET closed = ?, due = iif(rounds, NULL, due) WHERE heard < ? AND {OPEN}",  # noqa: S608 - constant text
            (self._now, to_ms(before)),
        ).rowcount


# ---------------------------------------------------------------- questions: `ask` runs a query


def find(ask: Ask, ids: Collection[str]) -> dict[str, Episode]:
    """Episodes by their own id or by that of any of their diagnoses; where one went into another, that one."""
    found = dict(_found(ask, ids))
    for part in _parts(set(ids) - found.keys()):
        marks = ",".join("?" * len(part))
        rows = list(ask(f"SELECT id, episode FROM rounds WHERE id IN ({marks})", part))  # noqa: S608 - only question marks
        episodes = dict(_found(ask, {episode for _, episode in rows}))
        found |= {asked: episodes[episode] for asked, episode in rows if episode in episodes}
    return found


def due(ask: Ask, now: datetime, limit: int) -> tuple[Episode, ...]:
    """Whose diagnosis may begin: those that are open first, then those that have waited longest."""
    return _all(
        ask,
        "due <= ? AND mode = 'auto' ORDER BY closed IS NOT NULL, due, number LIMIT ?",
        (to_ms(now), limit),
    )


def expected(ask: Ask, limit: int) -> tuple[tuple[Episode, tuple[Alert, ...]], ...]:
    """Those of which no diagnosis has begun, newest first, each with some of its alerts."""
    found = _all(ask, "rounds = 0 AND leads = '' ORDER BY number DESC LIMIT ?", (limit,))
    some = "SELECT alert FROM episode_alerts WHERE episode = ? ORDER BY number LIMIT ?"
    return tuple([(one, tuple([wire.decode(r[0], Alert) for r in ask(some, (one.id, SOME))])) for one in found])


def muted(ask: Ask) -> tuple[Episode, ...]:
    """Those that are open and kept quiet."""
    return _all(ask, f"mode = 'muted' AND {OPEN} ORDER BY number", ())


def figures(ask: Ask) -> Mapping[str, int]:
    """How many are open, and how many have a diagnosis due."""
    ((opened,),) = ask(f"SELECT count(*) FROM episodes WHERE {OPEN}", ())  # noqa: S608 - constant text
    ((waiting,),) = ask("SELECT count(*) FROM episodes WHERE due IS NOT NULL", ())
    return {"open": int(opened), "waiting": int(waiting)}


def purge(connection: sqlite3.Connection, before: int) -> None:
    """Forgets those that were closed before then, and all that leads to them."""
    connection.execute("DELETE FROM episodes WHERE closed < ? AND due IS NULL", (before,))
    gone = "NOT IN (SELECT id FROM episodes)"
    connection.execute(f"DELETE FROM episodes WHERE leads <> '' AND leads {gone}")  # noqa: S608 - constant text
    for table in ("joints", "episode_alerts", "rounds"):
        connection.execute(f"DELETE FROM {table} WHERE episode {gone}")  # noqa: S608 - constant text


def _found(ask: Ask, ids: Collection[str]) -> Iterator[tuple[str, Episode]]:
    columns = ", ".join(f"it.{name}" for name in _COLUMNS.split(", "))
    for part in _parts(ids):
        found = f"""SELECT asked.id, {columns} FROM (VALUES {",".join(["(?)"] * len(part))}) AS wanted
                    CROSS JOIN episodes AS asked ON asked.id = column1
                    JOIN episodes AS it ON it.id = iif(asked.leads = '', asked.id, asked.leads)"""  # noqa: S608 - constant text
        for row in ask(found, part):
            yield row[0], _episode(row[1:])


def _all(ask: Ask, which: str, values: Sequence[object]) -> tuple[Episode, ...]:
    rows = ask(f"SELECT {_COLUMNS} FROM episodes WHERE {which}", values)  # noqa: S608 - constant text
    return tuple([_episode(row) for row in rows])


def _parts(keys: Collection[K]) -> Iterator[list[K]]:
    """Sorted, many to a query, since a query costs as much as a few of them."""
    wanted = sorted(keys)
    for start in range(0, len(wanted), _KEYS):
        yield wanted[start : start + _KEYS]


def _row(episode: Episode) -> Row:
    values = [getattr(episode, name) for name in _COLUMNS.split(", ")]
    return tuple([to_ms(value) if isinstance(value, datetime) else value for value in values])


def _episode(row: Row) -> Episode:
    told = dict(zip(_COLUMNS.split(", "), row, strict=True))
    times = {name: None if told[name] is None else from_ms(told[name]) for name in _TIMES}
    return Episode(**(told | times | {"mode": Mode(told["mode"])}))


def _name(name: str) -> str:
    """It may be long: 96 bits tell one from the other."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _notification(alert: Alert, status: str) -> Row:
    """Start and 128 bits of SHA-256 over the notification key, whose parts are told apart by JSON."""
    group, fingerprint, starts_at, _ = alert.notification_key
    # What `json.dumps` of the list gives, at a third of its time.
    text = f"[{', '.join(map(encode_basestring_ascii, (group, fingerprint, starts_at, status)))}]"
    return to_ms(alert.starts_at), hashlib.sha256(text.encode()).digest()[:16]

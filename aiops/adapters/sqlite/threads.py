"""Threads on SQLite, for `StoreDB`: what each chat was told of each episode, and when there is more to tell.

What there is to tell follows from reports and episodes as they are stored, so that nothing waits in memory: a report whose number a
chat has not seen yet, and the end of an episode whose thread is open.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from aiops.adapters.sqlite.database import Row, from_ms, to_ms
from aiops.domain import Thread

MIGRATION = (
    # seen: the number of the newest report that was looked at for it.
    "CREATE TABLE chats (name TEXT PRIMARY KEY, seen INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE threads (
        chat TEXT NOT NULL, episode TEXT NOT NULL, latest TEXT NOT NULL, post TEXT NOT NULL DEFAULT '',
        report TEXT NOT NULL DEFAULT '', closed INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, due INTEGER,
        PRIMARY KEY (chat, episode)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX threads_due ON threads (chat, due) WHERE due IS NOT NULL",
    "CREATE INDEX threads_open ON threads (chat, episode) WHERE closed = 0 AND due IS NULL",
    "CREATE INDEX threads_by_episode ON threads (episode)",
    "CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
)
SECRET = 32  # bytes
NEWS = 86_400_000  # ms for which a report is news, as to a chat that is named again

_COLUMNS = "chat, episode, latest, post, report, closed, tries, due"
_ENDED = """FROM threads AS t JOIN episodes AS e ON e.id = t.episode
            WHERE t.chat = ? AND t.closed = 0 AND t.due IS NULL AND e.closed IS NOT NULL"""

Read: TypeAlias = Callable[[str, Sequence[object]], list[Row]]


def news(read: Read, chat: str) -> bool:
    """Whether anything has happened that `take_up` has not seen."""
    ((seen, newest),) = read(
        "SELECT (SELECT seen FROM chats WHERE name = ?), (SELECT max(number) FROM reports)", (chat,)
    )
    return seen is None or (newest or 0) > seen or bool(read(f"SELECT 1 {_ENDED} LIMIT 1", (chat,)))


def take_up(connection: sqlite3.Connection, chat: str, now: int) -> None:
    """Threads for what has happened, due now. A chat that is new is told of what comes after this."""
    connection.execute("INSERT OR IGNORE INTO chats SELECT ?, coalesce(max(number), 0) FROM reports", (chat,))
    connection.execute(
        """INSERT INTO threads (chat, episode, latest, due)
           SELECT ?1, rounds.episode, reports.id, ?2 FROM reports JOIN rounds ON rounds.id = reports.id
           WHERE reports.number > (SELECT seen FROM chats WHERE name = ?1) AND reports.created > ?3 ORDER BY reports.number
           ON CONFLICT (chat, episode) DO UPDATE SET latest = excluded.latest, due = excluded.due, tries = 0""",
        (chat, now, now - NEWS),
    )
    connection.execute(
        "UPDATE chats SET seen = max(seen, (SELECT coalesce(max(number), 0) FROM reports)) WHERE name = ?", (chat,)
    )
    connection.execute(
        f"UPDATE threads SET due = ? WHERE chat = ? AND episode IN (SELECT t.episode {_ENDED})",  # noqa: S608 - constant text
        (now, chat, chat),
    )


def due(read: Read, chat: str, now: int, limit: int) -> tuple[Thread, ...]:
    """Those in which there is something to tell by now, the longest due first."""
    found = f"SELECT {_COLUMNS} FROM threads WHERE chat = ? AND due <= ? ORDER BY due, episode LIMIT ?"  # noqa: S608 - constant text
    return tuple([_thread(row) for row in read(found, (chat, now, limit))])


def find(read: Read, episode: str) -> tuple[Thread, ...]:
    """Those of one episode, by chat."""
    found = f"SELECT {_COLUMNS} FROM threads WHERE episode = ? ORDER BY chat"  # noqa: S608 - constant text
    return tuple([_thread(row) for row in read(found, (episode,))])


def save(connection: sqlite3.Connection, thread: Thread, again: datetime | None) -> None:
    """As it now is, due `again`; unless something else has made it due since it was read, which then stays."""
    connection.execute(
        """UPDATE threads SET post = ?, report = ?, closed = ?, tries = ?, due = iif(due IS ?, ?, due)
           WHERE chat = ? AND episode = ?""",
        (
            thread.post,
            thread.report,
            int(thread.closed),
            thread.tries,
            to_ms(thread.due) if thread.due else None,
            to_ms(again) if again else None,
            thread.chat,
            thread.episode,
        ),
    )


def stir(connection: sqlite3.Connection, episode: str, now: int) -> None:
    """Something that its threads show has changed."""
    connection.execute("UPDATE threads SET due = ?, tries = 0 WHERE episode = ?", (now, episode))


def stir_for(connection: sqlite3.Connection, report: str, now: int) -> None:
    """Something has changed that the threads about a report show."""
    found = "UPDATE threads SET due = ?, tries = 0 WHERE episode IN (SELECT episode FROM rounds WHERE id = ?)"
    connection.execute(found, (now, report))


def secret(connection: sqlite3.Connection, name: str) -> bytes:
    """Random bytes under a name, made when they are first asked for."""
    connection.execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, secrets.token_bytes(SECRET)))
    ((value,),) = connection.execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchall()
    return bytes(value)


def purge(connection: sqlite3.Connection) -> None:
    """Forgets those of episodes that are gone."""
    connection.execute("DELETE FROM threads WHERE episode NOT IN (SELECT id FROM episodes)")


def _thread(row: Row) -> Thread:
    chat, episode, latest, post, report, closed, tries, moment = row
    at = None if moment is None else from_ms(moment)
    return Thread(chat, episode, latest, post, report, bool(closed), tries, at)

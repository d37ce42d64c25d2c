"""The reference of `aiops bench ingest`: the webhook as one would write it first.

FastAPI, a pydantic model, and one durable insert per alert into SQLite; alone in a process, as ours is.

    python -m aiops.bench.plainhook FILE.db FD
"""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
from datetime import datetime

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Alert(BaseModel):
    """One alert of the body."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: datetime  # noqa: N815 - as it is sent
    endsAt: datetime | None = None  # noqa: N815 - as above
    generatorURL: str = ""  # noqa: N815 - as above
    fingerprint: str


class Notification(BaseModel):
    """The body."""

    version: str
    groupKey: str  # noqa: N815 - as it is sent
    alerts: list[Alert]


class Receipt(BaseModel):
    """The answer."""

    accepted: int
    duplicates: int


def create(path: str) -> FastAPI:
    """The application around the database at `path`."""
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE alerts (key TEXT PRIMARY KEY, alert TEXT NOT NULL)")
    app = FastAPI()

    @app.post("/v1/webhooks/alertmanager", status_code=202)
    async def take(sent: Notification) -> Receipt:
        accepted = 0
        for alert in sent.alerts:
            key = json.dumps([sent.groupKey, alert.fingerprint, alert.startsAt.isoformat(), alert.status])
            row = key, alert.model_dump_json()
            accepted += database.execute("INSERT OR IGNORE INTO alerts VALUES (?, ?)", row).rowcount
        return Receipt(accepted=accepted, duplicates=len(sent.alerts) - accepted)

    return app


def main() -> None:
    """Serves on an inherited socket."""
    path, descriptor = sys.argv[1:]
    config = uvicorn.Config(create(path), log_config=None, access_log=False)
    uvicorn.Server(config).run([socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()

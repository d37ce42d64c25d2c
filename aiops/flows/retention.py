"""What is kept how long, and the taking away of the rest. The audit log is never shortened here: `aiops audit archive` is its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiops.ports import ChangeSource, JobQueue, Store


@dataclass(frozen=True, slots=True)
class Retention:
    """How long each is kept. A report goes with its recording, the notifications that led to it and its closed episode."""

    report: timedelta = timedelta(days=90)
    recording: timedelta = timedelta(days=30)
    change: timedelta = timedelta(days=90)
    job: timedelta = timedelta(days=7)


def purge(
    keep: Retention, store: Store, queue: JobQueue, changes: ChangeSource | None, now: datetime
) -> Mapping[str, int]:
    """Takes away what is older at `now`: how many of each kind. Raises StoreError, SourceError; twice does no harm."""
    return {
        "reports": store.purge(now - keep.report),
        "recordings": store.purge_recordings(now - keep.recording),
        "changes": changes.purge(now - keep.change) if changes else 0,
        "jobs": queue.purge(now - keep.job),
    }

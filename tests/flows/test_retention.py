"""What is older than it is to be kept goes; the rest, and the audit log, stay."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import aiops
from aiops.domain import Change, Job, JobState, Report
from aiops.errors import NotFound
from aiops.ops import Ops
from aiops.service.metrics import Registry
from aiops.service.upkeep import Purger

NOTHING = {"reports": 0, "recordings": 0, "changes": 0, "jobs": 0}


@pytest.fixture
def ops(demo_case: Path) -> Iterator[Ops]:
    with aiops.connect(f"case:{demo_case}", keep=False, flags={"model.url": ""}) as opened:
        yield opened


@pytest.fixture
def report(ops: Ops) -> Report:
    assert ops.sources.changes
    report = ops.diagnose()
    now = datetime.now(UTC)
    ops.sources.changes.add(Change(at=now, node="cart", kind="deployment", summary="v2"))
    ops.queue.put([Job("j1", "k1", report.task, enqueued_at=now)])
    claimed = ops.queue.claim(60, "me")
    assert claimed
    assert ops.queue.ack(claimed, JobState.DONE)
    return report


def after(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


def test_each_kind_goes_in_its_time(ops: Ops, report: Report) -> None:
    assert ops.purge(after(6)) == NOTHING
    assert ops.purge(after(8)) == NOTHING | {"jobs": 1}
    assert ops.purge(after(31)) == NOTHING | {"recordings": 1}
    assert ops.report(report.id) == report
    with pytest.raises(NotFound):
        ops.replay(report.id)
    assert ops.purge(after(31)) == NOTHING  # twice does no harm
    assert ops.purge(after(91)) == NOTHING | {"reports": 1, "changes": 1}
    with pytest.raises(NotFound):
        ops.report(report.id)


def test_what_went_is_audited_and_the_log_stays_whole(ops: Ops, report: Report) -> None:
    before, _ = ops.store.audit_head()
    ops.purge(after(1))
    assert ops.store.audit_head()[0] == before  # nothing went, nothing to tell
    ops.purge(after(365))
    entries = list(ops.store.audit_entries(before))
    assert [entry["entry"]["action"] for entry in entries] == ["purge"]  # type: ignore[index]
    assert "1 reports" in str(entries[0]["entry"])
    assert ops.store.audit_verify() == (before + 1, "")


def test_how_long_is_a_setting(demo_case: Path) -> None:
    flags = {"model.url": "", "stores.report_keep_days": "1"}
    with aiops.connect(f"case:{demo_case}", keep=False, flags=flags) as ops:
        ops.diagnose()
        assert ops.purge(after(1.5)) == NOTHING | {"reports": 1}


def test_the_server_purges_by_itself(ops: Ops, report: Report, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    purger = Purger(ops, registry, first_s=0.01, every_s=0.01)
    purger.start()
    ends = time.monotonic() + 120
    while 'aiops_purged_total{what="reports"}' not in registry.text({}):
        assert time.monotonic() < ends
        time.sleep(0.01)
    ops.store.close()  # what fails is told, and tried again
    while "nothing can be purged" not in caplog.text:
        assert time.monotonic() < ends
        time.sleep(0.01)
    purger.stop()
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


# What takes its rows away, of each table that a home holds. A new one belongs here, and in docs/operations.md.
PURGED = {
    *("reports", "bodies", "report_alerts", "notifications", "episodes", "joints", "episode_alerts", "rounds"),
    *("threads", "annotations", "repairs", "repair_outputs", "changes", "jobs"),
}
ELSEWHERE = {  # by time of its own, or bounded by what it counts
    *("sessions", "used", "results", "lanes", "workers", "nodes", "edges", "sightings", "outbox", "generation"),
    *("chats", "secrets", "experience"),
}
FOR_EVER = {"audit", "audit_begin", "audit_head", "feedback", "cuts", "cut_edges"}  # what people said and did


def test_of_each_table_it_is_known_how_long_its_rows_stay(demo_case: Path, tmp_path: Path) -> None:
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path), flags={"model.url": "", "stores.graph": "sqlite:"}):
        pass
    found = set()
    for file in tmp_path.glob("*.db"):
        with closing(sqlite3.connect(file)) as connection:
            named = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            found |= {name for (name,) in named}
    assert found == PURGED | ELSEWHERE | FOR_EVER

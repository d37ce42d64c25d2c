"""The hall: adapters by URL scheme, clear refusals, everything closed again."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

import aiops
from aiops import app, resources
from aiops.domain import Report, Verdict
from aiops.errors import AiopsError, ConfigError, DataError, NotFound, SourceGarbled
from aiops.schema import wire

DEMO = f"case:{resources.demo_incident()}"


@pytest.mark.parametrize(
    "table", ["METRICS", "LOGS", "TRACES", "CHANGES", "GRAPHS", "QUEUES", "STORES", "CHATS", "MODELS"]
)
def test_every_door_has_an_adapter(table: str) -> None:
    assert getattr(app, table)


@pytest.mark.parametrize(
    "names", [{"metrics": "carbon://x"}, {"metrics": DEMO, "logs": "syslog:x"}, {"metrics": DEMO, "traces": "zipkin:x"}]
)
def test_an_unknown_scheme_lists_the_known(names: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"known are .*case:"):
        aiops.connect(**names, home=str(tmp_path))


def test_an_error_shows_no_user_info(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        aiops.connect("carbon://hush@host", home=str(tmp_path))
    assert "hush" not in str(caught.value)


def test_no_source_says_how_to_name_one(tmp_path: Path) -> None:
    with aiops.connect(home=str(tmp_path)) as ops, pytest.raises(ConfigError, match="--metrics"):
        ops.diagnose("checkout")


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="Not a directory"):
        aiops.connect(DEMO, home=str(tmp_path / "file" / "home"))


def test_a_failed_start_closes_what_it_opened(tmp_path: Path) -> None:
    with pytest.raises(AiopsError):
        aiops.connect(DEMO, home=str(tmp_path), flags={"stores.store": "paper:"})
    for file in tmp_path.glob("*.db"):
        with sqlite3.connect(file) as db:
            db.execute("BEGIN EXCLUSIVE")


def unstamped(report: Report) -> bytes:
    return wire.encode(dataclasses.replace(report, run={}))


def test_a_diagnosis_is_stored_and_replays_to_the_same_bytes(tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(resources.demo_incident(), case)
    with aiops.connect(f"case:{case}", home=str(tmp_path / "home")) as ops:
        first = ops.diagnose()
        assert unstamped(ops.report(first.id)) == unstamped(first)
        shutil.rmtree(case)
        assert unstamped(ops.replay(first.id)) == unstamped(first)
        recorded = ops.store.recording(first.id)
        assert recorded
        assert unstamped(ops.replay(recorded)) == unstamped(first)
        with pytest.raises(NotFound):
            ops.report("absent")
        with pytest.raises(NotFound):
            ops.replay("absent")
        with pytest.raises(DataError):
            ops.replay(b"no recording")


def test_the_same_question_twice_is_the_same_report(tmp_path: Path) -> None:
    reports = []
    for home in ("one", "two"):
        with aiops.connect(DEMO, home=str(tmp_path / home)) as ops:
            reports += [unstamped(ops.diagnose()), unstamped(ops.diagnose())]
    assert len(set(reports)) == 1


def test_two_incidents_never_share_an_id(tmp_path: Path) -> None:
    cases = Path(__file__).parent / "incidents"
    ids = []
    for case in (resources.demo_incident(), cases / "sock-shop", cases / "petshop"):
        with aiops.connect(f"case:{case}", home=str(tmp_path)) as ops:
            ids.append(ops.diagnose().id)
    assert len(set(ids)) == 3


def test_what_is_cut_off_is_not_used(tmp_path: Path) -> None:
    """`until` the detection time leaves no incident row: no answer may come from what was later."""
    with aiops.connect(DEMO, home=str(tmp_path)) as ops:
        at = ops.sources.metrics.symptom().at
        assert at is not None
        report = ops.diagnose(until=at)
        recording = app.wire.decode(ops.store.report(report.id) or b"", Report)
    assert recording.id == report.id
    assert all(a.onset < at for a in report.anomalies)


def test_keep_false_writes_nothing(tmp_path: Path) -> None:
    config = app.settings.load({"sources.metrics": DEMO}, str(tmp_path / "home"))
    with app.build(config, keep=False) as ops:
        assert ops.diagnose().verdict is Verdict.FOUND
    assert not (tmp_path / "home").exists()


def test_corrupt_metrics_are_reported_as_such(tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(resources.demo_incident(), case)
    (case / "metrics.parquet").write_bytes(b"no parquet")
    with (
        aiops.connect(f"case:{case}", home=str(tmp_path / "home")) as ops,
        pytest.raises(SourceGarbled, match="metrics"),
    ):
        ops.diagnose()


@pytest.mark.parametrize(
    ("flag", "url", "extra"),
    [("stores.queue", "redis://127.0.0.1:1", "redis"), ("stores.graph", "neo4j://127.0.0.1:1", "neo4j")],
)
def test_a_missing_extra_is_named(
    flag: str, url: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (extra, "aiops.adapters.redis_queue", "aiops.adapters.neo4j_graph"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=f"needs the extra '{extra}'"):
        aiops.connect(DEMO, home=str(tmp_path), flags={flag: url})


def test_a_store_that_is_away_is_said_not_shown_as_a_traceback(tmp_path: Path) -> None:
    with (
        pytest.raises(AiopsError, match=r"redis|127"),
        aiops.connect(DEMO, home=str(tmp_path), flags={"stores.queue": "redis://127.0.0.1:1"}) as ops,
    ):
        ops.queue.depth()

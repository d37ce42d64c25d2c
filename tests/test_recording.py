"""The recorded incident: what is read is what was written, and a bad file says which and why."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops import recording, resources
from aiops.adapters.case import CaseLogs, CaseMetrics, CaseTraces
from aiops.domain import (
    NS,
    Alert,
    Call,
    Change,
    Gap,
    Inputs,
    Intent,
    Logs,
    Observation,
    Panel,
    Prior,
    Recording,
    Scope,
    Spans,
    Symptom,
    Task,
    TimeRange,
    from_ns,
)
from aiops.errors import DataError, SourceGarbled


def text(*values: str) -> np.ndarray:
    return np.array(values, np.object_)


def sample() -> Recording:
    at = from_ns(1_700_000_000 * NS)
    times = np.array([1_699_999_940 * NS + 1_000_000, 1_700_000_000 * NS], np.int64)
    labels = ({"__name__": "up", "pod": 'a"b\\c\nd'}, {"__name__": "up", "pod": "é中"})
    panel = Panel(labels, times, np.array([[1.0, np.nan], [0.1, 1e300]]), ("a", ""), np.array([False, True]))
    logs = Logs(times, text("a", "b"), text("x", "=cmd()"), text("", "t"), text("", "s"), np.array([False, True]))
    spans = Spans(
        times,
        np.array([5000, 7000], np.int64),
        text("a", "b"),
        text("get", "put"),
        text("t", "t"),
        text("1", "2"),
        text("", "1"),
        np.array([False, True]),
        np.array([False, True]),
    )
    alert = Alert("f1", "firing", {"alertname": "Slow"}, {}, at)
    scope = Scope(at, TimeRange(from_ns(times[0]), at), TimeRange(at, from_ns(times[1] + NS)), "a", "up", ("a", "b"))
    task = Task("diagnose_1", Intent.DIAGNOSE, Inputs(Symptom("a", "up", at), (alert,)))
    observation = Observation(
        panel,
        logs,
        spans,
        (Change("a", at, "deploy", "v2"),),
        (Call("b", "a", "traces", "CALLS", at, at),),
        (alert,),
        ("a",),
        (Gap("logs", "late"),),
    )
    return Recording("abc", task, scope, observation, {"rules": "1"})


def test_pack_and_unpack_are_inverse_and_deterministic() -> None:
    before = sample()
    packed = recording.pack(before)
    assert packed == recording.pack(sample())
    after = recording.unpack(packed)
    assert (after.id, after.task, after.scope, dict(after.hashes)) == (
        before.id,
        before.task,
        before.scope,
        {"rules": "1"},
    )
    assert after.observation.calls == before.observation.calls
    assert after.observation.changes == before.observation.changes
    assert after.observation.gaps == before.observation.gaps
    assert after.observation.panel.labels == before.observation.panel.labels
    assert after.observation.panel.nodes == before.observation.panel.nodes
    for kind in ("panel", "logs", "spans"):
        one, two = getattr(before.observation, kind), getattr(after.observation, kind)
        for name in one.__dataclass_fields__:
            if isinstance(getattr(one, name), np.ndarray):
                np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=f"{kind}.{name}")


def test_priors_come_back_and_a_recording_of_before_there_were_any_has_none() -> None:
    """Recordings were written without them; those must stay readable."""
    priors = (Prior("redis", 3, 5), Prior("结账", 1, 1))
    packed = recording.pack(dataclasses.replace(sample(), priors=priors))
    assert recording.unpack(packed).priors == priors
    older = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed)) as theirs, zipfile.ZipFile(older, "w") as archive:
        for name in theirs.namelist():
            data = theirs.read(name)
            if name == "case.json":
                case = json.loads(data)
                del case["aiops"]["priors"]
                data = json.dumps(case).encode()
            archive.writestr(name, data)
    assert recording.unpack(older.getvalue()).priors == ()


def test_row_order_of_a_file_does_not_matter(tmp_path: Path) -> None:
    demo = resources.demo_incident()
    rng = np.random.default_rng(7)
    for name in ("metrics", "logs", "traces"):
        table = pq.read_table(demo / f"{name}.parquet")
        pq.write_table(table.take(rng.permutation(table.num_rows)), tmp_path / f"{name}.parquet")
    for name in ("case.json", "topology.json"):
        (tmp_path / name).write_bytes((demo / name).read_bytes())
    one, two = recording.Folder(demo), recording.Folder(tmp_path)
    for read in (lambda f: recording.read_metrics(f)[0], recording.read_logs, recording.read_spans):
        first, second = read(one), read(two)
        for name in first.__dataclass_fields__:
            if isinstance(getattr(first, name), np.ndarray):
                np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_an_incident_that_is_no_recording_is_not_replayed() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("case.json", json.dumps({"detection_time": 1}))
    with pytest.raises(DataError, match="no recording to replay"):
        recording.unpack(out.getvalue())
    with pytest.raises(DataError, match="not a recording"):
        recording.unpack(b"PK nonsense")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("metrics.parquet", b"PAR1 not at all", "metrics.parquet can't be read"),
        ("logs.parquet", b"", "logs.parquet can't be read"),
        ("traces.parquet", b"\x00" * 64, "traces.parquet can't be read"),
        ("topology.json", b'{"edges": [1]}', "topology.json needs edges"),
        ("topology.json", b"{", "topology.json needs edges"),
    ],
)
def test_a_corrupt_file_is_named(tmp_path: Path, file: str, content: bytes, says: str) -> None:
    demo = resources.demo_incident()
    for path in demo.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_bytes(content)
    scope = sample().scope
    read = {
        "metrics.parquet": lambda: CaseMetrics(tmp_path).read(scope, 1),
        "logs.parquet": lambda: CaseLogs(tmp_path).read(scope, 1),
        "traces.parquet": lambda: CaseTraces(tmp_path).read(scope, 1),
        "topology.json": lambda: CaseTraces(tmp_path).calls(1),
    }[file]
    with pytest.raises(SourceGarbled, match=says):
        read()


def test_a_missing_column_and_a_text_column_are_named(tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text('{"detection_time": 60, "slo": null}')
    pq.write_table(pa.table({"phase": ["baseline"]}), tmp_path / "metrics.parquet")
    with pytest.raises(DataError, match="no column 'time'"):
        recording.read_metrics(recording.Folder(tmp_path))
    pq.write_table(pa.table({"time": [1], "phase": ["baseline"], "a__b": ["x"]}), tmp_path / "metrics.parquet")
    with pytest.raises(DataError, match="'a__b' holds no numbers"):
        recording.read_metrics(recording.Folder(tmp_path))


@pytest.mark.parametrize("case", ["[]", "{", '{"slo": null}', '{"detection_time": 1, "slo": "x"}'])
def test_a_bad_case_file_is_refused(tmp_path: Path, case: str) -> None:
    (tmp_path / "case.json").write_text(case)
    with pytest.raises(DataError, match=r"case\.json"):
        CaseMetrics(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no case"):
        CaseMetrics(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        CaseMetrics(tmp_path / "absent.zip")

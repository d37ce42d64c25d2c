"""A live source: what the first diagnosis learned narrows what the second reads, and changes nothing that it finds."""

from __future__ import annotations

import shutil
from pathlib import Path

import aiops
from aiops import recording
from aiops.domain import NS, Report, Verdict, from_ns
from aiops.ops import Ops

import servers


def diagnose(ops: Ops, case: Path, service: str) -> Report:
    files = recording.open_files(case)
    at = recording.symptom_of(recording.read_case(files), case.name).at
    times = recording.read_metrics(files)[0].times
    assert at is not None
    since, until = at - from_ns(int(times[0])), from_ns(int(times[-1]) + NS)
    return ops.diagnose(service=service, at=at, since=since, until=until)


def test_the_second_diagnosis_reads_less_and_finds_the_same(
    prometheus: servers.Server, demo_case: Path, tmp_path: Path
):
    untold = tmp_path / "case"  # its traces have to tell who calls whom
    shutil.copytree(demo_case, untold, ignore=lambda _, names: {"topology.json"} & set(names))
    told = recording.read_calls(recording.open_files(demo_case))
    entry = min({call.caller for call in told} - {call.callee for call in told})
    with aiops.connect(
        f"prometheus+{prometheus.url}",
        logs=f"case:{untold}",
        traces=f"case:{untold}",
        home=str(tmp_path / "home"),
        flags={"model.url": ""},
    ) as ops:
        first = diagnose(ops, untold, entry)
        known = ops.sources.graph.calls([entry], 5).nodes
        assert {call.source for call in ops.sources.graph.calls()} == {"traces"}
        assert ops.sources.graph.sightings(known)
        second = diagnose(ops, untold, entry)
        again = recording.unpack(ops.store.recording(second.id) or b"")
    assert set(known) <= set(again.scope.nodes)
    assert first.verdict is second.verdict is Verdict.FOUND
    assert [(c.node, c.score, c.path) for c in second.root_causes] == [
        (c.node, c.score, c.path) for c in first.root_causes
    ]
    assert not any("learned of it just now" in gap.why for gap in second.gaps)

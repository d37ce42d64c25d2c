"""Real recorded incidents through the whole corridor: the known answer, the same bytes whatever the hash seed or row order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import aiops
from aiops import resources
from aiops.domain import Report, Verdict
from aiops.schema import wire

HERE = Path(__file__).parent
EXPECTED: dict[str, str] = json.loads((HERE / "expected.json").read_text())


def case(name: str) -> Path:
    return resources.demo_incident() if name == "demo" else HERE / name


def diagnose(path: Path, home: Path) -> Report:
    with aiops.connect(f"case:{path}", home=str(home)) as ops:
        return ops.diagnose()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_known_cause_is_first(name: str, tmp_path: Path) -> None:
    report = diagnose(case(name), tmp_path)
    assert report.verdict is Verdict.FOUND
    first = report.root_causes[0]
    assert first.node == EXPECTED[name]
    assert first.evidence
    assert report.summary[0].startswith(f"Cause: {first.node}")
    for cause in report.root_causes:
        assert cause.path.nodes[0] == cause.node
        assert cause.path.nodes[-1] == report.root_causes[0].path.nodes[-1], "every path ends at the symptom"
        assert cause.path.cost == pytest.approx(sum(cause.path.costs))
    assert [c.score for c in report.root_causes] == sorted((c.score for c in report.root_causes), reverse=True)
    assert not first.why_not
    assert all(c.why_not for c in report.root_causes[1:])


def test_same_bytes_for_any_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys, hashlib, dataclasses, aiops\n"
        "from aiops.schema import wire\n"
        "for case in sys.argv[2:]:\n"
        "    with aiops.connect('case:' + case, home=sys.argv[1]) as ops:\n"
        "        report = dataclasses.replace(ops.diagnose(), run={})\n"
        "        print(hashlib.sha256(wire.encode(report)).hexdigest())\n"
    )
    cases = [str(case(n)) for n in EXPECTED]
    seen = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / str(seed)), *cases],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(5)
    }
    assert len(seen) == 1
    assert len(seen.pop().split()) == len(cases)


@pytest.mark.parametrize("name", EXPECTED)
def test_same_ranking_for_any_row_and_column_order(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    for file in case(name).iterdir():
        if file.suffix != ".parquet":
            (tmp_path / file.name).write_bytes(file.read_bytes())
            continue
        table = pq.read_table(file)
        shuffled: pa.Table = table.take(rng.permutation(table.num_rows))
        pq.write_table(shuffled.select(list(rng.permutation(table.column_names))), tmp_path / file.name)
    one, two = diagnose(case(name), tmp_path / "h1"), diagnose(tmp_path, tmp_path / "h2")
    assert wire.encode(one.root_causes) == wire.encode(two.root_causes)
    assert one.summary == two.summary


def test_the_demo_reaches_the_network_never(tmp_path: Path) -> None:
    """Every address that is looked up, connected or bound to is reported by the interpreter itself."""
    code = (
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.bind', 'socket.getaddrinfo', 'socket.sendto'):\n"
        "        sys.stderr.write(f'NETWORK {event} {args}\\n')\n"
        "sys.addaudithook(hook)\n"
        "from aiops.cli import main\n"
        "sys.argv = ['aiops', 'demo']\nmain()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AIOPS_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Cause: " in ran.stdout
    assert "NETWORK" not in ran.stderr

"""The command line: in this process for breadth (`run`), as a process of its own where that matters (`spawn`)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from aiops import cli


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a working directory of the test's own; rules only, no language model."""
    for name, value in {"AIOPS_HOME": str(tmp_path / "home"), "AIOPS_MODEL__URL": "", "NO_PROXY": "*"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(environment: None, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: object) -> Result:
        capsys.readouterr()
        code = cli.run([str(a) for a in args])
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        return Result(code, told.out, told.err)

    return call


@pytest.fixture
def spawn(environment: None) -> Run:
    def call(*args: object, stdin: str = "") -> Result:
        command = [str(Path(sys.executable).with_name("aiops")), *map(str, args)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=300, check=False)
        assert "Traceback" not in done.stdout + done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    return call

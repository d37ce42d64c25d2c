"""The wheel alone, in an empty environment, runs the demo; so its data folders travel with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
PINNED = ["--no-deps", "--require-hashes", "--build-constraints", "requirements/build.txt"]


def run(*command: str | Path, **more: str) -> str:
    """Runs in the checkout with an environment that knows nothing of it; returns stdout."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIOPS_", "PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [*map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        env=kept | more,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the locked base packages and the wheel, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    venv = folder / "venv"
    run(UV, "build", "--wheel", "--build-constraints", "requirements/build.txt", "--out-dir", folder)
    run(sys.executable, "-m", "venv", "--without-pip", venv)
    run(UV, "pip", "install", "--python", venv / "bin/python", *PINNED, "-r", "requirements/base.txt")
    (wheel,) = folder.glob("aiops-*.whl")
    run(UV, "pip", "install", "--python", venv / "bin/python", "--no-deps", wheel)
    return venv


def test_the_wheel_runs_the_demo(empty: Path, tmp_path: Path):
    out = tmp_path / "report.json"
    run(
        empty / "bin/aiops",
        "demo",
        "--format",
        "json",
        "-o",
        out,
        HOME=str(tmp_path),
        AIOPS_HOME=str(tmp_path / "home"),
    )
    report = json.loads(out.read_bytes())
    assert report["schema"] == "aiops-report/1"
    assert report["verdict"] == "found"


def test_the_wheel_carries_its_data(empty: Path, tmp_path: Path):
    code = "from aiops import resources; print(*[resources.folder(name) for name in resources.FOLDERS], sep='\\n')"
    folders = run(empty / "bin/python", "-P", "-c", code, HOME=str(tmp_path)).split()
    assert all(Path(folder).is_relative_to(empty) for folder in folders)

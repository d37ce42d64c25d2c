"""A back-up taken under load, the house killed, and another one that goes on from the back-up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from chaos.harness import ENDED, House, Nursery, alert, notification, sending, until

AIOPS = [sys.executable, "-c", "from aiops.cli import main; main()"]


def aiops(*words: object) -> str:
    env = {**os.environ, "AIOPS_MODEL__URL": "", "AIOPS_CHAT__URL": ""}
    done = subprocess.run([*AIOPS, *map(str, words)], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_house_goes_on_from_its_back_up(nursery: Nursery, demo_case: Path, tmp_path: Path) -> None:
    noticed = datetime.fromtimestamp(
        json.loads((demo_case / "case.json").read_text())["detection_time"], UTC
    ).isoformat()
    house = House(nursery, tmp_path / "home", demo_case)
    house.start()

    def bodies(first: int, count: int) -> list[bytes]:
        told = [alert(n, noticed, service=f"s-{n}") for n in range(first, first + count)]
        return [notification(f"group-{a['fingerprint']}", [a]) for a in told]

    with sending(house, [bodies(0, 3)]) as (early,):
        pass
    ids = [receipt["diagnoses"][0]["id"] for receipt in early.receipts]

    def ended(of: House) -> bool:
        return all(of.ask("GET", f"/v1/diagnoses/{one}")[1].get("status") in ENDED for one in ids)

    until(lambda: ended(house), "diagnosed")
    reports = {one: house.ask("GET", f"/reports/{one}.json") for one in ids}
    assert {status for status, _ in reports.values()} == {200}
    with sending(house, [bodies(100, 150)]):
        aiops("backup", tmp_path / "b.tar", "--home", house.home)
    house.end(signal.SIGKILL)

    other = House(nursery, tmp_path / "other", demo_case)
    assert "as it was at" in aiops("restore", tmp_path / "b.tar", "--home", other.home)
    aiops("audit", "verify", "--home", other.home)
    other.start()
    assert ended(other)
    assert {one: other.ask("GET", f"/reports/{one}.json") for one in ids} == reports
    # What was accepted before is known, what comes now is taken.
    with sending(other, [bodies(0, 3), bodies(1000, 3)]) as (known, new):
        pass
    assert sum(receipt["duplicates"] for receipt in known.receipts) == 3
    assert sum(receipt["accepted"] for receipt in new.receipts) == 3
    other.end()

"""Redis and Prometheus killed under load: what the house answers meanwhile, and that it catches up by itself.

What a killed Neo4j leads to stands in tests/integration/test_neo4j_outage.py, a dead language model in tests/adapters/llm.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chaos.harness import ENDED, House, Nursery, Sender, alert, notification, sending, until

import servers
from conftest import needed
from servers.backfill import backfill

SHORT_S, LONG_S = 3.0, 30.0  # how long a server is away, in `make test` and in `make soak`
CATCH_UP_S = 60.0
APART = "[episodes]\ndebounce_s = 0.2\nhops = 0\nper_minute = 100000\n"  # each alert is an episode


class Load:
    """Alerts, one after the other, until `done`."""

    def __init__(self, at: datetime) -> None:
        self.done, self._at = False, at.isoformat()

    def __iter__(self) -> Iterator[bytes]:
        for number in itertools.takewhile(lambda _: not self.done, itertools.count()):
            yield notification(f"group-{number}", [alert(number, self._at, f"service-{number}")])
            time.sleep(0.25)


def noticed(case: Path) -> datetime:
    return datetime.fromtimestamp(json.loads((case / "case.json").read_text())["detection_time"], UTC)


def kill(server: servers.Server) -> None:
    server.process.kill()
    server.process.wait()


def led_to(senders: list[Sender]) -> list[str]:
    return [d["id"] for sender in senders for receipt in sender.receipts for d in receipt["diagnoses"]]


def caught_up(house: House, senders: list[Sender]) -> tuple[float, list[dict[str, Any]]]:
    """(seconds until all that was accepted has ended, where each stands)."""
    began, told = time.monotonic(), led_to(senders)
    assert told
    until(
        lambda: all(house.ask("GET", f"/v1/diagnoses/{i}")[1]["status"] in ENDED for i in told),
        "the diagnoses do not end",
        300.0,
    )
    return time.monotonic() - began, [house.ask("GET", f"/v1/diagnoses/{i}")[1] for i in told]


@pytest.mark.soak
def test_redis_away(nursery: Nursery, demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    """503 for as long as it lasts, so that the senders keep what they have; nothing that was accepted is lost."""
    load = Load(noticed(demo_case))
    with needed(), servers.redis(tmp_path / "redis", durable=True) as first:
        house = House(nursery, tmp_path / "home", demo_case, "--queue", first.url, settings=APART)
        house.start()
        with sending(house, [load]) as senders:
            until(lambda: len(senders[0].receipts) > 8, "nothing is taken")
            kill(first)
            before = len(senders[0].receipts)
            until(lambda: bool(senders[0].refused), "nothing is refused without the queue")
            time.sleep(LONG_S if soaking else SHORT_S)
            assert house.ask("GET", "/healthz")[0] == 200
            ready, parts = house.ask("GET", "/readyz")
            assert (ready, [part["name"] for part in parts["parts"] if not part["ok"]]) == (503, ["queue"])
            until(lambda: "aiops_queue_up 0" in house.ask("GET", "/metrics")[1], "the queue is not told to be away")
            assert set(senders[0].refused) == {503}
            assert len(senders[0].receipts) <= before + 1
            with servers.redis(tmp_path / "redis", durable=True, port=first.port):
                until(lambda: len(senders[0].receipts) > before + 8, "nothing is taken again")
                load.done = True
                seconds, stand = caught_up(house, senders)
                assert {d["status"] for d in stand} <= {"done", "inconclusive"}
                assert all(house.ask("GET", f"/reports/{d['id']}.json")[0] == 200 for d in stand)
                until(lambda: "aiops_queue_up 1" in house.ask("GET", "/metrics")[1], "the queue is not told to be back")
                print(f"caught up {seconds:.1f} s after the load had ended")
                assert not soaking or seconds <= CATCH_UP_S
                house.end()


@pytest.mark.soak
def test_prometheus_away(nursery: Nursery, demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    """Alerts are taken all the same; their diagnoses wait for it, and are made when it is back."""
    load = Load(noticed(demo_case))
    with needed():
        backfill(demo_case, tmp_path / "data")
        with servers.prometheus(tmp_path / "data") as first:
            settings = APART + f'[sources]\nmetrics = "prometheus+{first.url}"\n'
            house = House(nursery, tmp_path / "home", None, settings=settings)
            house.start()
            with sending(house, [load]) as senders:
                until(lambda: len(senders[0].receipts) > 4, "nothing is taken")
                kill(first)
                before = len(senders[0].receipts)
                time.sleep(LONG_S if soaking else SHORT_S)
                until(lambda: len(senders[0].receipts) > before + 4, "nothing is taken without the metrics source")
                until(lambda: any(put_off(house, i) for i in led_to(senders)), "nobody says why it waits")
                assert senders[0].refused == []
                assert house.ask("GET", "/readyz")[0] == 200
                load.done = True
                with servers.prometheus(tmp_path / "data", port=first.port):
                    seconds, stand = caught_up(house, senders)
            assert {d["status"] for d in stand} <= {"done", "inconclusive"}
            print(f"caught up {seconds:.1f} s after it was back")
            assert not soaking or seconds <= CATCH_UP_S
            house.end()


def put_off(house: House, diagnosis: str) -> bool:
    told = house.ask("GET", f"/v1/diagnoses/{diagnosis}")[1]
    return told["status"] == "queued" and "refused" in (told["error"] or "")

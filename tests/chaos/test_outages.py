"""Redis, Prometheus and Neo4j killed under load: what the house answers meanwhile, and that it catches up by itself.

What each call to a killed Neo4j leads to stands in tests/integration/test_neo4j_outage.py, a dead language model in tests/adapters/llm.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from chaos.harness import ENDED, Helper, House, Nursery, Sender, alert, notification, sending, until

from aiops.adapters.neo4j_graph import Neo4jGraph
from aiops.adapters.sqlite import GraphDB
from aiops.domain import EntityKind
from aiops.errors import SourceError

import servers
from conftest import needed
from servers.backfill import backfill

SHORT_S, LONG_S = 3.0, 30.0  # how long a server is away, in `make test` and in `make soak`
CATCH_UP_S = 60.0
AGAIN_S = 30.0  # until what was away is in use again
APART = "[episodes]\ndebounce_s = 0.2\nhops = 0\nper_minute = 100000\n"  # each alert is an episode


class Load:
    """Alerts, one after the other, until `done`; none while there is no `room`."""

    def __init__(self, at: datetime, room: Callable[[], bool] = lambda: True) -> None:
        self.done, self._at, self._room = False, at.isoformat(), room

    def __iter__(self) -> Iterator[bytes]:
        for number in itertools.takewhile(lambda _: not self.done, itertools.count()):
            yield notification(f"group-{number}", [alert(number, self._at, f"service-{number}")])
            time.sleep(0.25)
            until(lambda: self.done or self._room(), "nothing is diagnosed", every_s=0.25)


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
                away = time.monotonic()
                kill(first)
                before = len(senders[0].receipts)
                time.sleep(LONG_S if soaking else SHORT_S)
                until(lambda: len(senders[0].receipts) > before + 4, "nothing is taken without the metrics source")
                until(lambda: any(put_off(house, i) for i in led_to(senders)), "nobody says why it waits")
                tried = house.log.read_text().count("is put off")
                assert tried <= time.monotonic() - away + 2, "tried again with each alert that comes in"
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


@pytest.mark.soak
def test_neo4j_away(nursery: Nursery, demo_case: Path, tmp_path: Path, soaking: bool) -> None:
    """Diagnoses are made from the copies, by a worker elsewhere too, and say so; what they wrote is there when it is back."""
    if not soaking:
        pytest.skip(
            "two starts of Neo4j more are for `make soak`; tests/integration/test_neo4j_outage.py kills one each time"
        )
    with needed(), servers.neo4j(tmp_path / "data") as first:
        url, queue = f"neo4j://127.0.0.1:{first.port}", f"sqlite:{tmp_path / 'queue.db'}"
        flags, settings = ("--queue", queue, "--graph", url), f"{APART}[service]\nworker = false\n"
        house = House(nursery, tmp_path / "home", demo_case, *flags, settings=settings)
        helper = Helper(nursery, tmp_path / "helper", demo_case, *flags[1:])
        load = Load(noticed(demo_case), lambda: ended(house, senders[0].receipts[-3:]))
        house.start()
        helper.start()
        with sending(house, [load]) as senders, contextlib.closing(Neo4jGraph(url)) as far:
            until(lambda: noted(far) != set(), "nothing is written into it", every_s=0.25)
            kill(first)
            before = len(senders[0].receipts)
            time.sleep(LONG_S)
            without = f"dependencies that {url} knows"
            until(lambda: without in gaps(house, senders[0].receipts[before:]), "no report is made without it")
            assert house.ask("GET", "/readyz")[0] == 200
            during = services(senders[0].receipts[before:])
            with servers.neo4j(tmp_path / "data", port=first.port):
                until(lambda: answers(far), "Neo4j does not come back", every_s=0.25)
                back = time.monotonic()
                until(lambda: not noted(far).isdisjoint(during), "it is not used again", every_s=0.25)
                again = time.monotonic() - back
                load.done = True
                _, stand = caught_up(house, senders)
                assert {d["status"] for d in stand} <= {"done", "inconclusive"}
                accepted = services(senders[0].receipts)
                until(lambda: noted(far) >= accepted, "what was seen meanwhile is lost", every_s=0.25)
                seconds = time.monotonic() - back
                assert senders[0].refused == []
                helper.end()
                house.end()
                compare(far, tmp_path / "home")
    print(f"in use again after {again:.1f} s, caught up {seconds:.1f} s after it was back, {len(stand)} diagnoses")
    assert again <= AGAIN_S
    assert seconds <= CATCH_UP_S


def services(receipts: list[dict[str, Any]]) -> set[str]:
    """The services that alerts were accepted of."""
    return {f"service-{int(number, 16)}" for r in receipts for d in r["diagnoses"] for number in d["fingerprints"]}


def noted(graph: Neo4jGraph) -> set[str]:
    """The services whose alerts it knows."""
    return {one.effect.service for one in graph.sightings() if one.effect.kind is EntityKind.ALERT}


def answers(graph: Neo4jGraph) -> bool:
    with contextlib.suppress(SourceError):
        return bool(graph.ping(2.0))
    return False


def ended(house: House, receipts: list[dict[str, Any]]) -> bool:
    """Whether any of these diagnoses has ended."""
    told = [d["id"] for r in receipts for d in r["diagnoses"]]
    return any(house.ask("GET", f"/v1/diagnoses/{i}")[1]["status"] in ENDED for i in told)


def gaps(house: House, receipts: list[dict[str, Any]]) -> set[str]:
    """What the reports of these alerts lack, those that there are."""
    reports = [house.ask("GET", f"/reports/{d['id']}.json") for r in receipts for d in r["diagnoses"]]
    return {gap["what"] for status, report in reports if status == 200 for gap in report["gaps"]}


def compare(far: Neo4jGraph, home: Path) -> None:
    """What the house has written is in Neo4j, edge for edge."""
    (copy,) = home.glob("graph-*.db")
    with contextlib.closing(GraphDB(copy)) as here:
        assert here.waiting() == 0
        assert set(far.calls()) == set(here.calls())
        assert set(far.sightings()) == set(here.sightings())

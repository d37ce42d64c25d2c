"""The silences of a real Alertmanager: read as it keeps them, and respected for alerts of whoever else."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from service.conftest import serving

import aiops
from aiops.adapters.alertmanager import Alertmanager
from aiops.adapters.http import Access
from aiops.errors import SourceError

import servers
from conftest import needed

CONFIG = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
LABELS = {"alertname": "Slow", "service": "web", "env": "prod"}


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with needed(), servers.alertmanager(tmp_path_factory.mktemp("alertmanager"), CONFIG) as server:
        yield server


def silence(server: servers.Server, *matchers: dict[str, Any], starts_in: int = 0) -> str:
    start = datetime.now(UTC) + timedelta(minutes=starts_in)
    body = {
        "matchers": matchers,
        "startsAt": start.isoformat(),
        "endsAt": (start + timedelta(hours=1)).isoformat(),
        "createdBy": "t",
        "comment": "c",
    }
    request = urllib.request.Request(
        f"{server.url}/api/v2/silences", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        made: str = json.load(answer)["silenceID"]
    return made


def matcher(name: str, value: str, *, regex: bool = False, equal: bool = True) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": regex, "isEqual": equal}


def end(server: servers.Server, silence_id: str) -> None:
    request = urllib.request.Request(f"{server.url}/api/v2/silence/{silence_id}", method="DELETE")
    with urllib.request.urlopen(request, timeout=30):
        pass


def source(url: str) -> Alertmanager:
    return Alertmanager(Access.to(f"alertmanager+{url}", "alertmanager", "silences source"))


def test_silences_are_read_as_they_are_kept(alertmanager: servers.Server) -> None:
    door = source(alertmanager.url)
    assert "Alertmanager" in door.ping(10)
    every = (
        matcher("a", "1"),
        matcher("b", "2", equal=False),
        matcher("c", "3|4", regex=True),
        matcher("d", "5", regex=True, equal=False),
    )
    active, pending, gone = (
        silence(alertmanager, *every),
        silence(alertmanager, matcher("a", "x"), starts_in=30),
        silence(alertmanager, matcher("a", "y")),
    )
    end(alertmanager, gone)
    read = {one.id: one for one in door.read(10)}
    assert set(read) == {active, pending}
    assert sorted(read[active].matchers) == [("a", "=", "1"), ("b", "!=", "2"), ("c", "=~", "3|4"), ("d", "!~", "5")]
    assert read[active].window.start <= datetime.now(UTC) < read[active].window.end
    assert datetime.now(UTC) < read[pending].window.start
    end(alertmanager, active)
    end(alertmanager, pending)


def test_nobody_there_is_a_failed_source() -> None:
    with pytest.raises(SourceError, match="silences"):
        source("http://127.0.0.1:9").read(2)


def test_what_is_silenced_is_not_diagnosed(alertmanager: servers.Server, tmp_path: Path, demo_case: Path) -> None:
    made = silence(alertmanager, matcher("service", "web|probe", regex=True), matcher("env", "prod|stage", regex=True))
    flags = {"model.url": "", "sources.silences": f"alertmanager+{alertmanager.url}", "episodes.debounce_s": "0.1"}
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path), flags=flags) as ops, serving(ops) as client:
        at = (ops.sources.metrics.symptom().at or datetime.now(UTC)).isoformat()

        def post(group: str, **labels: str) -> dict[str, Any]:
            alert = {"labels": {"alertname": "Slow", **labels}, "startsAt": at}
            told: dict[str, Any] = client.post(
                "/v1/webhooks/alertmanager", json={"version": "4", "groupKey": group, "alerts": [alert]}
            ).json()
            return told

        give_up = time.monotonic() + 120
        for number in itertools.count():  # until the silence has been read
            if post(f"probe {number}", service="probe", env="prod")["suppressed"]:
                break
            assert time.monotonic() < give_up
            time.sleep(0.1)
        quiet = post("quiet", service="web", env="prod")
        told = client.get(f"/v1/diagnoses/{quiet['diagnoses'][0]['id']}").json()
        assert (quiet["suppressed"], told["status"]) == (1, "suppressed")
        assert f"silence {made}" in told["error"]
        assert post("another environment", service="web", env="test")["accepted"] == 1
        assert post("another service", service="elsewhere", env="prod")["accepted"] == 1
    end(alertmanager, made)

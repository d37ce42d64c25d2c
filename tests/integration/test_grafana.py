"""Grafana told of diagnoses: every request as its API takes it, one annotation for each, whatever goes wrong between us."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from service.conftest import PATIENCE_S, figures, serving

import aiops
from aiops import app, settings
from aiops.adapters.grafana import Grafana
from aiops.adapters.http import Access
from aiops.domain import Annotation, Job, JobState, Task, Untold
from aiops.errors import ConfigError, SourceError, SourceRefused, SourceUnreachable
from aiops.ops import Ops
from aiops.ports import Annotations
from aiops.schema import grafana as schema
from aiops.service import annotating
from aiops.service.annotating import Annotator
from aiops.service.folder import Folder
from aiops.service.metrics import Registry

from render.hostile import HOSTILE
from servers.grafana import TOKEN, Board, grafana

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
EXTERNAL = "https://aiops.example/sub"
MARK = Annotation(
    "0f3c5a1be0a94d77", NOON, None, ("Slow fires",), ("aiops", "diagnosing"), f"{EXTERNAL}/diagnoses/0f3c5a1be0a94d77"
)


def until(seen: Callable[[], Any], what: str, seconds: float = 3 * PATIENCE_S) -> Any:
    ends = time.monotonic() + seconds  # in which kernels may have to be compiled first
    while time.monotonic() < ends:
        if found := seen():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def door(board: Board, token: str = TOKEN) -> Grafana:
    return Grafana(Access.to(board.url, "", "Grafana", token=token))


@pytest.fixture
def board() -> Iterator[Board]:
    with grafana() as made:
        yield made
        assert made.wrong == []


# ---------------------------------------------------------------- the adapter


def test_an_annotation_is_added_changed_and_found(board: Board) -> None:
    marks = door(board)
    assert marks.find(MARK, 5) == ""
    known = marks.add(MARK, 5)
    assert marks.find(MARK, 5) == known
    ended = Annotation(
        MARK.about, NOON, NOON + timedelta(minutes=5), ("It was checkout",), ("aiops", "found"), MARK.link
    )
    assert marks.change(known, ended, 5)
    assert marks.find(ended, 5) == known
    assert marks.find(Annotation("another", NOON, None, (), ("aiops",)), 5) == ""
    assert board.held[1] == {
        "time": 1769860800000,
        "timeEnd": 1769861100000,
        "tags": ["aiops", "found"],
        "text": f'It was checkout<br><a href="{MARK.link}">Report {MARK.about}</a>',
    }
    assert not marks.change("99", ended, 5)
    assert marks.ping(5) == f"Grafana 11.6.1 at {board.url}"


def test_it_stands_on_the_panel_that_the_alert_named(board: Board) -> None:
    door(board).add(Annotation("a", NOON, None, ("x",), ("aiops",), dashboard="checkout", panel=4), 5)
    assert (board.held[1]["dashboardUID"], board.held[1]["panelId"]) == ("checkout", 4)
    door(board).add(Annotation("b", NOON, None, ("x",), ("aiops",), dashboard="checkout"), 5)
    assert "panelId" not in board.held[2]
    # On one where the token may not write, or that an alert made up, it is found by its tags.
    door(board).add(Annotation("c", NOON, None, ("x",), ("aiops",), dashboard="secret", panel=4), 5)
    assert not {"dashboardUID", "panelId"} & board.held[3].keys()


class Elements(HTMLParser):
    """As a browser reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("attack", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_line_is_text(board: Board, attack: str) -> None:
    attack = attack.encode("utf-8", "replace").decode()[:500]
    door(board).add(Annotation(attack, NOON, None, (attack, attack), ("aiops",), f"{EXTERNAL}/{attack}"), 5)
    page = Elements()
    page.feed(board.held[1]["text"])
    page.close()
    assert [tag for tag, _ in page.seen] == ["br", "br", "a"]
    assert page.seen[-1][1] == {"href": f"{EXTERNAL}/{attack}"}
    assert page.text == f"{attack}{attack}Report {attack}"


@pytest.mark.parametrize(("status", "kind"), [(400, SourceRefused), (500, SourceUnreachable), (429, SourceUnreachable)])
def test_a_failure_says_so_and_is_sent_once(board: Board, status: int, kind: type[SourceError]) -> None:
    board.status = status
    with pytest.raises(kind, match=f"HTTP {status}"):
        door(board).add(MARK, 5)
    assert board.writes() == ["POST"]


def test_a_secret_is_in_no_message(board: Board) -> None:
    with pytest.raises(SourceRefused, match="401") as refused:
        door(board, "wrong-token").add(MARK, 5)
    assert "wrong-token" not in str(refused.value)
    with pytest.raises(SourceUnreachable):
        Grafana(Access.to("http://127.0.0.1:1", "", "Grafana", token="t")).add(MARK, 5)


def test_settings_open_it(board: Board, tmp_path: Path) -> None:
    def opened(**flags: str) -> Annotations | None:
        return app.grafana(
            settings.load({name.replace("__", "."): text for name, text in flags.items()}, str(tmp_path))
        )

    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert opened() is None
    marks = opened(grafana__url=f"{board.url}/", grafana__token_file=str(tmp_path / "token"))
    assert marks
    marks.add(MARK, 5)
    assert len(board.held) == 1
    with pytest.raises(ConfigError, match=r"grafana\.url"):
        opened(grafana__url="grafana:3000")
    with pytest.raises(ConfigError, match=r"grafana\.token_file"):
        opened(grafana__url=board.url, grafana__token_file=str(tmp_path / "none"))


# ---------------------------------------------------------------- the whole way


def notification(demo_case: Path, group: str = "g", **about: str) -> dict[str, Any]:
    """As Grafana's own alerting sends it, of the demo's incident."""
    noticed = json.loads((demo_case / "case.json").read_text())["detection_time"]
    alert = {
        "status": "firing",
        "labels": {"alertname": "HighLatency", "service": "frontend"},
        "annotations": {"summary": "frontend is slow"},
        "startsAt": datetime.fromtimestamp(noticed, UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": group,
        "generatorURL": "https://grafana.example/alerting/grafana/x/view",
        "silenceURL": "https://grafana.example/alerting/silence/new?matcher=x",
        "dashboardURL": "https://grafana.example/d/checkout?orgId=1",
        "panelURL": "https://grafana.example/d/checkout?orgId=1&viewPanel=4",
    }
    return {"version": "1", "groupKey": group, "receiver": "aiops", "status": "firing", "alerts": [alert | about]}


@contextmanager
def house(home: Path, demo_case: Path, marks: Annotations | None) -> Iterator[tuple[Ops, httpx.Client]]:
    # However busy the machine is, the diagnosis is to have its time.
    quick = {"model.url": "", "chat.url": "", "episodes.debounce_s": "0.1", "diagnosis.deadline_s": "600"}
    with (
        aiops.connect(f"case:{demo_case}", home=str(home), flags=quick) as ops,
        serving(ops, EXTERNAL, marks=marks) as client,
    ):
        yield ops, client


def ended(client: httpx.Client, diagnosis: str) -> dict[str, Any]:
    over = {"done", "inconclusive", "failed"}

    def told() -> dict[str, Any] | None:
        said: dict[str, Any] = client.get(f"/v1/diagnoses/{diagnosis}").json()
        return said if said["status"] in over else None

    return dict(until(told, "diagnosed"))


def test_onset_and_verdict_are_one_region_on_the_panel_of_the_alert(
    board: Board, demo_case: Path, tmp_path: Path
) -> None:
    with house(tmp_path, demo_case, door(board)) as (ops, client):
        sent = client.post("/v1/webhooks/grafana", json=notification(demo_case))
        assert sent.status_code == 202
        one = sent.json()["diagnoses"][0]["id"]
        assert ended(client, one)["status"] == "done"
        until(lambda: f"/reports/{one}" in "".join(held["text"] for held in board.held.values()), "told")
        report = ops.report(one)
        (held,) = board.held.values()
        assert (held["dashboardUID"], held["panelId"]) == ("checkout", 4)
        assert held["tags"] == ["aiops", "found", "frontend"]
        onset = report.root_causes[0].path.onsets[0]
        assert onset
        assert held["time"] == round(onset.timestamp() * 1000)
        # A recorded incident's present is where its data end.
        fixed = ops.sources.metrics.window()
        assert fixed
        assert held["time"] < held["timeEnd"] == round(fixed.end.timestamp() * 1000)
        page = Elements()
        page.feed(held["text"])
        assert page.seen[-1] == ("a", {"href": f"{EXTERNAL}/reports/{one}"})
        assert report.root_causes[0].node in page.text
        figures(client, 'aiops_annotations_total{outcome="added"} 1')
        # What the alert pointed to is in the report, in every form.
        links = ["Source", "Dashboard", "Panel", "Silence"]
        told = client.get(f"/reports/{one}.json").json()["links"]
        assert [link["title"] for link in told] == links
        for url in (link["url"] for link in told):
            assert url in client.get(f"/reports/{one}").text.replace("&amp;", "&")
            assert url in client.get(f"/reports/{one}.md").text


def test_a_grafana_that_is_away_costs_no_diagnosis_and_is_told_later(
    demo_case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotating, "PAUSE_S", 0.5)
    monkeypatch.setattr(annotating, "LOOK_S", 0.2)
    with grafana(status=503) as board:
        with house(tmp_path, demo_case, door(board)) as (_, client):
            one = client.post("/v1/webhooks/grafana", json=notification(demo_case)).json()["diagnoses"][0]["id"]
            assert ended(client, one)["status"] == "done"
            until(lambda: 'aiops_annotations_total{outcome="failed"}' in client.get("/metrics").text, "counted")
        assert board.held == {}
        # After a restart, and once it is back, it is told what it missed.
        board.status = 0
        with house(tmp_path, demo_case, door(board)):
            until(lambda: board.held, "told")
        assert board.wrong == []
        (held,) = board.held.values()
        assert held["tags"][:2] == ["aiops", "found"]


# ---------------------------------------------------------------- what is told when


@contextmanager
def begun(home: Path, demo_case: Path, body: dict[str, Any]) -> Iterator[Ops]:
    """A house in which nobody works, with one diagnosis begun."""
    with aiops.connect(f"case:{demo_case}", home=str(home), flags={"model.url": "", "chat.url": ""}) as made:
        folder = Folder(made, Registry(), lambda: None)
        (receipt,) = folder.accept([schema.notification(json.dumps(body).encode())])
        folder.begin(receipt.diagnoses[0][0])
        yield made


@pytest.fixture
def ops(demo_case: Path, tmp_path: Path) -> Iterator[Ops]:
    with begun(tmp_path, demo_case, notification(demo_case)) as made:
        yield made


def told(ops: Ops, board: Board) -> list[str]:
    """The outcomes that a server counts which has just started and tells all that there is to tell."""
    registry = Registry()
    with suppress(SourceError):
        Annotator(ops, registry, door(board), EXTERNAL).tell()
    return re.findall(r'^aiops_annotations_total\{outcome="(\w+)"\} 1$', registry.text({}), re.MULTILINE)


def job_of(ops: Ops) -> Job:
    (job,) = ops.queue.recent()
    return job


def test_a_beginning_is_told_once(ops: Ops, board: Board) -> None:
    assert told(ops, board) == ["added"]
    (held,) = board.held.values()
    job = job_of(ops)
    assert held["tags"] == ["aiops", "diagnosing", "frontend"]
    assert held["text"].startswith("HighLatency fires")
    assert f'href="{EXTERNAL}/diagnoses/{job.id}"' in held["text"]
    assert told(ops, board) == []
    assert board.writes() == ["POST"]
    assert ops.store.untold(NOON - timedelta(days=9000), 10) == (Untold(job.id, "1", 0),)


def test_a_diagnosis_that_failed_says_so(ops: Ops, board: Board) -> None:
    told(ops, board)
    job = ops.queue.claim(60, "me")
    assert job
    assert ops.queue.ack(job, JobState.FAILED, "no source <b>answers</b>")
    assert told(ops, board) == ["changed"]
    (held,) = board.held.values()
    assert held["tags"] == ["aiops", "failed", "frontend"]
    assert "no source &lt;b&gt;answers" in held["text"]
    assert told(ops, board) == []


def test_a_report_that_is_made_again_changes_what_there_is(ops: Ops, board: Board) -> None:
    told(ops, board)
    job = ops.queue.claim(60, "me")
    assert job
    for attempt in (1, 2):
        ops.run(job.task, job.id)
        assert told(ops, board) == ["changed"], attempt
    assert told(ops, board) == []
    assert board.writes() == ["POST", "PATCH", "PATCH"]
    assert len(board.held) == 1


def test_what_was_made_without_an_answer_is_not_made_twice(ops: Ops, board: Board) -> None:
    board.deaf = 1
    assert told(ops, board) == ["failed"]
    assert len(board.held) == 1
    assert told(ops, board) == ["changed"]
    assert board.writes() == ["POST", "PATCH"]
    assert len(board.held) == 1


def test_one_that_somebody_removed_is_made_anew(ops: Ops, board: Board) -> None:
    told(ops, board)
    board.held.clear()
    job = ops.queue.claim(60, "me")
    assert job
    ops.run(job.task, job.id)
    assert told(ops, board) == ["added"]
    assert len(board.held) == 1


def test_what_is_refused_is_not_sent_again_until_there_is_a_verdict(ops: Ops, board: Board) -> None:
    board.token = "another"
    registry = Registry()
    annotator = Annotator(ops, registry, door(board), EXTERNAL)
    for _ in range(3):
        annotator.tell()
    assert board.writes() == ["POST", "POST"]  # with the alert's dashboard and without
    assert 'aiops_annotations_total{outcome="refused"} 1' in registry.text({})
    job = ops.queue.claim(60, "me")
    assert job
    ops.run(job.task, job.id)
    board.token = TOKEN
    annotator.tell()
    assert 'aiops_annotations_total{outcome="added"} 1' in registry.text({})


def test_a_question_of_a_person_is_nobodys_mark(ops: Ops, board: Board) -> None:
    told(ops, board)
    job = job_of(ops)
    asked: Task = job.task
    ops.run(asked, "a" * 16)
    assert told(ops, board) == []
    assert len(board.held) == 1


def test_a_hostile_alert_is_told_harmlessly(demo_case: Path, tmp_path: Path, board: Board) -> None:
    text = "\n".join(HOSTILE.values()).encode("utf-8", "replace").decode()
    body = notification(demo_case)
    body["alerts"][0] |= {
        "labels": {"alertname": text, "service": text},
        "annotations": {"summary": text},
        "panelURL": f"javascript:alert(1)//{text}",
        "dashboardURL": "https://grafana.example/d/..%2f..%2fadmin?viewPanel=1;DROP",
    }
    with begun(tmp_path, demo_case, body) as ops:
        told(ops, board)
        (held,) = board.held.values()
        assert "dashboardUID" not in held
        page = Elements()
        page.feed(held["text"])
        assert {tag for tag, _ in page.seen} == {"br", "a"}
        assert not set(page.text) & {chr(code) for code in range(32)}
        assert all(len(tag) <= 100 for tag in held["tags"])

"""Executors against services of the tests' own: what is allowed is done once and looked at; what is not is refused before a byte is sent."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from aiops import app, settings
from aiops.adapters.executors import Executors, Journal, Systemd, addresses, door, web
from aiops.adapters.sandbox import Bubblewrap
from aiops.domain import Act, Command, Outcome, RunStatus
from aiops.errors import ConfigError, DataError, Refused, StoreError
from aiops.schema import targets as schema

from conftest import needed
from servers import free_port
from servers.parts import binary

HERE = Path(__file__).parent
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class Service:
    where: str
    log: Path

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@contextlib.contextmanager
def serving(where: str, log: Path) -> Iterator[Service]:
    with subprocess.Popen([sys.executable, str(HERE / "service.py"), where, str(log)]) as process:
        try:
            deadline = time.monotonic() + 60
            while not reachable(where):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield Service(where, log)
        finally:
            process.kill()


def reachable(where: str) -> bool:
    with socket.socket(socket.AF_INET if where.isdigit() else socket.AF_UNIX) as probe:
        return probe.connect_ex(("127.0.0.1", int(where)) if where.isdigit() else where) == 0


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(str(free_port()), tmp_path / "log") as found:
        yield found


@pytest.fixture
def executors(service: Service, tmp_path: Path) -> Executors:
    return made(tmp_path, scaler=web.target("scaler", f"http://127.0.0.1:{service.where}", METHODS, [".*"], LOOPBACK))


METHODS = ("GET", "POST", "PUT", "PATCH")


def made(
    tmp_path: Path, systemctl: Path | None = None, users: frozenset[int] = frozenset(), **known: web.Target
) -> Executors:
    return Executors(known, Systemd(systemctl, (r"web-[0-9]+\.service",)), Journal(tmp_path / "journal"), users)


def call(path: str, method: str = "POST", body: str = "", target: str = "scaler") -> Act:
    body_too = {"body": body} if body else {}
    return Act(verb="http.call", arguments={"target": target, "method": method, "path": path} | body_too)


# ---------------------------------------------------------------- HTTP


def test_a_call_is_made_once_for_a_key(executors: Executors, service: Service) -> None:
    act = call("/deployments/cart/replicas", "PUT", '{"replicas": 5}')
    first = executors.run(act, "key-1", 60)
    assert (first.status, first.exit_code) == (RunStatus.OK, 200)
    assert '"replicas": 5' in first.output
    assert executors.run(act, "key-1", 60) == first
    assert [one["headers"]["Idempotency-Key"] for one in service.heard()] == ["key-1"]
    assert executors.run(act, "key-2", 60).status is RunStatus.OK
    assert len(service.heard()) == 2


def test_a_dry_run_sends_nothing(executors: Executors, service: Service) -> None:
    outcome = executors.rehearse(call("/deployments/cart/replicas", "PUT", '{"replicas": 5}'))
    assert outcome.status is RunStatus.OK
    assert "would send PUT" in outcome.output
    assert service.heard() == []
    assert executors.rehearse(call("/x", "DELETE")).status is RunStatus.REFUSED


def test_a_redirect_is_not_followed(executors: Executors, service: Service) -> None:
    outcome = executors.run(call("/redirect"), "k", 60)
    assert (outcome.status, outcome.exit_code) == (RunStatus.FAILED, 307)
    assert "not followed" in outcome.why
    assert len(service.heard()) == 1


@pytest.mark.parametrize("path", ["/slow", "/drip", "/dies"])
def test_what_was_sent_and_not_answered_is_unknown_and_not_sent_again(
    path: str, executors: Executors, service: Service
) -> None:
    began = time.monotonic()
    outcome = executors.run(call(path), "k", 1.0)
    assert time.monotonic() - began < 25  # the service would go on for 30 s
    assert outcome.status is RunStatus.UNKNOWN
    assert "may have been done" in outcome.why
    assert executors.run(call(path), "k", 1.0) == outcome
    while not service.heard():  # it has the request, if not yet written it down
        assert time.monotonic() - began < 60
        time.sleep(0.02)
    assert len(service.heard()) == 1


def test_an_answer_is_bounded_and_a_refusal_is_a_failure(executors: Executors) -> None:
    assert len(executors.run(call("/huge"), "a", 60).output) <= web.MOST_BODY + 4
    outcome = executors.run(call("/no"), "b", 60)
    assert (outcome.status, outcome.exit_code, outcome.output) == (RunStatus.FAILED, 409, '409 {"error": "no"}')


def test_nobody_there_is_a_failure(tmp_path: Path) -> None:
    there = made(tmp_path, scaler=web.target("scaler", f"http://127.0.0.1:{free_port()}", METHODS, [".*"], LOOPBACK))
    assert there.run(call("/x"), "k", 5).status is RunStatus.FAILED


def test_a_token_is_sent_and_never_shown(service: Service, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-token\n")
    url = f"http://127.0.0.1:{service.where}"
    there = made(tmp_path, scaler=web.target("scaler", url, METHODS, [".*"], LOOPBACK, str(tmp_path / "token")))
    outcome = there.run(call("/echo"), "k", 60)
    assert service.heard()[0]["headers"]["Authorization"] == "Bearer s3cret-token"
    assert outcome.output == "200 Bearer ***"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        "//x",
        "/../x",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/a?b",
        "/a#b",
        "/a%2e%2e",
        "/a\\b",
        "/a\r\nX: y",
        "/a b",
        "http://x/",
        "/é",
        "/a;b",
    ],
)
def test_a_path_that_is_not_plain_is_refused(path: str, executors: Executors, service: Service) -> None:
    assert executors.run(call(path), f"k{path}", 5).status is RunStatus.REFUSED
    assert service.heard() == []


def test_only_what_a_target_lists_is_asked_of_it(service: Service, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{service.where}"
    there = made(tmp_path, scaler=web.target("scaler", url, ["PUT"], ["/deployments/[a-z]+/replicas"], LOOPBACK))
    assert there.run(call("/deployments/cart/replicas", "PUT", "{}", "other"), "a", 5).status is RunStatus.REFUSED
    assert there.run(call("/deployments/cart/replicas", "POST", "{}"), "b", 5).status is RunStatus.REFUSED
    assert there.run(call("/deployments/cart/replicas/x", "PUT", "{}"), "c", 5).status is RunStatus.REFUSED
    assert there.run(call("/deployments/cart/replicas", "PUT", "{not json"), "d", 5).status is RunStatus.REFUSED
    assert there.run(Act(verb="shell.run", arguments={"line": "id"}), "e", 5).status is RunStatus.REFUSED
    assert there.run(Act(verb="http.call", arguments={"target": "scaler"}), "f", 5).status is RunStatus.REFUSED
    assert service.heard() == []


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
        "::ffff:a00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "224.0.0.1", "ff02::1",
        "255.255.255.255", "198.18.0.1", "2001:0:4136:e378:8000:63bf:f5ff:fffe", "192.0.2.1", "240.0.0.1",
    ],
)  # fmt: skip
def test_an_address_inside_is_refused_however_it_is_written(text: str) -> None:
    with pytest.raises(Refused):
        addresses.check(text, ())


def test_listed_networks_alone_are_reached() -> None:
    addresses.check("93.184.215.14", ())
    within = [ip_network("10.1.0.0/16")]
    addresses.check("10.1.2.3", within)
    addresses.check("::ffff:10.1.2.3", within)
    for other in ("10.2.0.1", "93.184.215.14", "127.0.0.1"):
        with pytest.raises(Refused):
            addresses.check(other, within)
    for never in ("169.254.169.254", "fe80::1"):
        with pytest.raises(Refused):
            addresses.check(never, [ip_network("0.0.0.0/0"), ip_network("::/0")])


def answers(*found: str) -> Callable[..., list[Any]]:
    """A name service that answers each question with the next of these, and then with the last."""
    waiting = list(found)

    def ask(host: str, port: int, **_: Any) -> list[Any]:
        texts = (waiting.pop(0) if len(waiting) > 1 else waiting[0]).split()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    return ask


def test_a_name_that_leads_inside_is_refused(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = made(tmp_path, scaler=web.target("scaler", f"http://friendly.example:{service.where}", METHODS, [".*"]))
    for number, found in enumerate(("127.0.0.1", "::ffff:127.0.0.1", "93.184.215.14 127.0.0.1")):
        monkeypatch.setattr(addresses.socket, "getaddrinfo", answers(found))
        assert there.rehearse(call("/x")).status is RunStatus.REFUSED
        assert there.run(call("/x"), f"k{number}", 5).status is RunStatus.REFUSED
    assert service.heard() == []


def test_the_address_that_was_checked_is_the_one_that_is_used(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name service that answers differently when it is asked again gets nowhere: it is asked once."""
    url = f"http://friendly.example:{service.where}"
    there = made(tmp_path, scaler=web.target("scaler", url, METHODS, [".*"], LOOPBACK))
    monkeypatch.setattr(addresses.socket, "getaddrinfo", answers("127.0.0.1", "169.254.169.254"))
    connected: list[str] = []
    connect = socket.create_connection

    def noted(address: tuple[str, int], *more: Any) -> socket.socket:
        connected.append(address[0])
        monkeypatch.undo()  # the literal address is resolved by itself
        return connect(address, *more)

    monkeypatch.setattr(web.socket, "create_connection", noted)
    assert there.run(call("/x"), "k", 60).status is RunStatus.OK
    assert connected == ["127.0.0.1"]
    assert service.heard()[0]["headers"]["Host"] == f"friendly.example:{service.where}"


# ---------------------------------------------------------------- silence, Docker, Kubernetes


def test_a_silence_ends_by_itself(service: Service, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{service.where}"
    there = made(tmp_path, alertmanager=web.target("alertmanager", url, ["POST"], ["/api/v2/silences"], LOOPBACK))
    arguments = {"target": "alertmanager", "label": "service", "value": "cart", "for": "1h", "comment": 'a "b" {c}'}
    assert there.run(Act(verb="alertmanager.silence", arguments=arguments), "k", 60).status is RunStatus.OK
    body = json.loads(service.heard()[0]["body"])
    assert body["matchers"] == [{"name": "service", "value": "cart", "isRegex": False, "isEqual": True}]
    assert body["comment"] == 'a "b" {c}'
    assert body["endsAt"] > body["startsAt"]
    forever = Act(verb="alertmanager.silence", arguments={**arguments, "for": "forever"})
    assert there.run(forever, "l", 5).status is RunStatus.REFUSED


def test_a_container_is_restarted_and_looked_at(tmp_path: Path) -> None:
    with serving(str(tmp_path / "docker.sock"), tmp_path / "log") as service:
        docker = web.target(
            "docker", f"unix:{tmp_path}/docker.sock", ["GET", "POST"], [r"/containers/shop-[a-z]+/(restart|json)"]
        )
        there = made(tmp_path, docker=docker)
        good = there.run(Act(verb="docker.restart", arguments={"container": "shop-cart"}), "a", 60)
        assert good.status is RunStatus.OK
        bad = there.run(Act(verb="docker.restart", arguments={"container": "shop-broken"}), "b", 60)
        assert (bad.status, bad.why) == (RunStatus.FAILED, "the container does not run after it")
        assert [one["path"] for one in service.heard()][:2] == [
            "/containers/shop-cart/restart",
            "/containers/shop-cart/json",
        ]
        for other in ("db", "shop-cart/../../x", "-x"):
            assert (
                there.run(Act(verb="docker.restart", arguments={"container": other}), other, 5).status
                is RunStatus.REFUSED
            )


def test_a_deployment_is_patched(service: Service, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{service.where}"
    there = made(
        tmp_path, kubernetes=web.target("kubernetes", url, ["PATCH"], ["/apis/apps/v1/namespaces/shop/.*"], LOOPBACK)
    )
    where = {"namespace": "shop", "deployment": "cart"}
    assert there.run(Act(verb="kubernetes.restart", arguments=where), "a", 60).status is RunStatus.OK
    assert there.run(Act(verb="kubernetes.scale", arguments={**where, "replicas": "4"}), "b", 60).status is RunStatus.OK
    restart, scale = service.heard()
    assert restart["path"] == "/apis/apps/v1/namespaces/shop/deployments/cart"
    assert restart["headers"]["Content-Type"] == "application/strategic-merge-patch+json"
    assert "restartedAt" in restart["body"]
    assert (scale["path"].rpartition("/")[2], json.loads(scale["body"])) == ("scale", {"spec": {"replicas": 4}})
    for wrong in ({**where, "namespace": "kube-system"}, {**where, "deployment": "../x"}):
        assert there.run(Act(verb="kubernetes.restart", arguments=wrong), str(wrong), 5).status is RunStatus.REFUSED
    assert (
        there.run(Act(verb="kubernetes.scale", arguments={**where, "replicas": "-1"}), "c", 5).status
        is RunStatus.REFUSED
    )


# ---------------------------------------------------------------- systemd


@pytest.fixture
def systemctl(tmp_path: Path) -> Path:
    """A manager of one real process each, with the face of systemctl: this machine's own may not be there, and is not ours to touch."""
    program = tmp_path / "systemctl"
    program.write_text(
        f"""#!/bin/sh
echo "$@" >>{tmp_path}/asked
shift; case $1 in --*) shift ;; esac; act=$1; unit=$3; state={tmp_path}/$unit
case $act in
restart|start)
  case $unit in web-9.service) exit 5 ;; web-8.service) sleep 20 ;; esac
  [ -f "$state" ] && kill "$(cat "$state")"
  sleep 600 >/dev/null 2>&1 & echo $! >"$state" ;;
is-active) if [ -f "$state" ] && kill -0 "$(cat "$state")"; then echo active; else echo inactive; exit 3; fi ;;
esac
"""
    )
    program.chmod(0o755)
    return program


def test_a_unit_is_restarted_and_looked_at(tmp_path: Path, systemctl: Path) -> None:
    there = made(tmp_path, systemctl)
    act = Act(verb="systemd.restart", arguments={"unit": "web-1.service"})
    assert there.rehearse(act).output == "would restart web-1.service, which is inactive"
    state = tmp_path / "web-1.service"
    assert not state.exists()
    outcome = there.run(act, "a", 60)
    try:
        assert (outcome.status, outcome.output) == (RunStatus.OK, "web-1.service is active")
        first = state.read_text()
        assert there.run(act, "a", 60) == outcome
        assert state.read_text() == first
        assert there.run(act, "b", 60).status is RunStatus.OK
        assert state.read_text() != first
    finally:
        os.kill(int(state.read_text()), 9)
    assert there.run(Act(verb="systemd.start", arguments={"unit": "web-9.service"}), "c", 10).exit_code == 5
    assert (
        there.run(Act(verb="systemd.start", arguments={"unit": "web-8.service"}), "d", 0.5).status is RunStatus.UNKNOWN
    )


@pytest.mark.parametrize(
    "unit",
    ["sshd.service", "web-1", "--now", "-H root@x", "web-1.service extra", "../web-1.service", "web-1.service\n", ""],
)
def test_another_unit_is_refused(unit: str, tmp_path: Path, systemctl: Path) -> None:
    there = made(tmp_path, systemctl)
    for outcome in (there.rehearse, lambda act: there.run(act, "k", 5)):
        assert outcome(Act(verb="systemd.restart", arguments={"unit": unit})).status is RunStatus.REFUSED
    assert not (tmp_path / "asked").exists()


# ---------------------------------------------------------------- the door of a script

ASK = """
import json, socket, sys
def ask(line):
    with socket.socket(socket.AF_UNIX) as door:
        door.connect("/run/aiops.sock")
        door.sendall(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\\n")
        door.shutdown(socket.SHUT_WR)
        return json.loads(door.makefile().readline() or '{"status": "hung up"}')
call = {"target": "scaler", "method": "PUT", "path": "/deployments/cart/replicas", "body": '{"replicas": 4}'}
for line in (
    {"verb": "http.call", "with": call}, {"verb": "http.call", "with": {**call, "path": "/../x"}}, {"verb": "systemd.restart", "with": {"unit": "x"}},
    {"verb": "http.call", "with": {**call, "more": "1"}}, {"verb": "http.call", "with": [1]}, {"verb": "http.call", "key": "k", "with": call},
    b"not json\\n", b"\\xff\\n", b"{", b"x" * 70000 + b"\\n", b"",
):
    print(ask(line)["status"])
"""


def test_a_script_asks_only_for_what_its_runbook_lists(service: Service, tmp_path: Path) -> None:
    with needed():
        sandbox = Bubblewrap(binary("bwrap"))
    users = door.users(64642)
    url = f"http://127.0.0.1:{service.where}"
    there = made(tmp_path, users=users, scaler=web.target("scaler", url, ["PUT"], ["/deployments/.*"], LOOPBACK))
    with there.door(("http.call",), "run-7") as place:
        outcome = sandbox.run(Command(("python3", "ask.py"), files={"ask.py": ASK.encode()}, door=place))
        if os.geteuid() == 0:  # the run's user is another than this service's
            with socket.socket(socket.AF_UNIX) as other, contextlib.suppress(ConnectionError):
                other.connect(place)
                other.sendall(b'{"verb": "http.call"}\n')
                assert other.recv(100) == b""
    assert outcome.output.split("\n") == ["ok", *["refused"] * 9, "hung up", ""], outcome
    assert [one["headers"]["Idempotency-Key"] for one in service.heard()] == ["run-7/1"]
    assert not Path(place).parent.exists()


# ---------------------------------------------------------------- once


def test_what_was_begun_and_never_ended_is_unknown(executors: Executors, service: Service, tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal").begin("k") is None
    outcome = executors.run(call("/x"), "k", 5)
    assert outcome.status is RunStatus.UNKNOWN
    assert "not done again" in outcome.why
    assert service.heard() == []


def test_many_at_once_do_it_once(executors: Executors, service: Service) -> None:
    together, told = threading.Barrier(8), []

    def one() -> None:
        together.wait()
        told.append(executors.run(call("/x"), "k", 60).status)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(told) <= {RunStatus.OK, RunStatus.UNKNOWN}
    assert RunStatus.OK in told
    assert len(service.heard()) == 1


def test_without_a_journal_nothing_is_done(service: Service, tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("in the way")
    there = made(tmp_path, scaler=web.target("scaler", f"http://127.0.0.1:{service.where}", METHODS, [".*"], LOOPBACK))
    with pytest.raises(StoreError):
        there.run(call("/x"), "k", 5)
    assert service.heard() == []


def test_an_outcome_is_kept_whole(tmp_path: Path) -> None:
    journal, outcome = Journal(tmp_path), Outcome(RunStatus.FAILED, 3, "é\\x1b", why="x", artefacts={"a": b"\x00"})
    assert journal.begin("k") is None
    journal.end("k", outcome)
    assert journal.begin("k") == outcome


# ---------------------------------------------------------------- what may be reached


@pytest.mark.parametrize(
    "text",
    [
        "targets: {x: {url: 'ftp://h', methods: [GET], paths: [/]}}",
        "targets: {x: {url: 'http://u:p@h', methods: [GET], paths: [/]}}",
        "targets: {x: {url: 'http://h/path', methods: [GET], paths: [/]}}",
        "targets: {x: {url: 'http://h', methods: [], paths: [/]}}",
        "targets: {x: {url: 'http://h', methods: [TRACE], paths: [/]}}",
        "targets: {x: {url: 'http://h', methods: [GET], paths: ['(']}}",
        "targets: {x: {url: 'http://h', methods: [GET], paths: [/], networks: [all]}}",
        "targets: {x: {url: 'http://h', methods: [GET], paths: [/], token_file: /t}}",
        "targets: {-x: {url: 'http://h', methods: [GET], paths: [/]}}",
        "units: ['(']\nmore: 1",
        "[]",
    ],
)
def test_what_says_no_targets_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        schema.load(text, "targets.yaml")


def test_the_settings_make_an_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = app.executor(settings.load({}, str(tmp_path)))
    assert there.rehearse(call("/x")).status is RunStatus.REFUSED
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "targets.yaml").write_text("targets: 3")
    with pytest.raises(ConfigError, match="targets"):
        app.executor(settings.load({"folders.rules": str(tmp_path / "rules")}, str(tmp_path)))

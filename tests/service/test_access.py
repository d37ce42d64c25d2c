"""Who may do what: tokens, roles per route, cookies, and where a server may listen."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiops
from aiops.errors import ConfigError
from aiops.ops import Ops
from aiops.service import access, server
from aiops.service.access import Access, Principal, Role, Tokens

HOOK = "/v1/webhooks/alertmanager"
EMPTY = b'{"version": "4", "alerts": []}'
ROLES = tuple(Role)
TOKENS = {role: f"{role.name.lower()}-token" for role in ROLES}

# What each role may do: route -> the least role, None for anybody.
MATRIX: dict[tuple[str, str], Role | None] = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/login"): None,
    ("POST", "/login"): None,
    ("POST", "/logout"): None,
    ("GET", "/"): Role.VIEWER,
    ("GET", "/diagnoses/{diagnosis_id}"): Role.VIEWER,
    ("GET", "/anomalies"): Role.VIEWER,
    ("GET", "/graph"): Role.VIEWER,
    ("GET", "/repairs"): Role.VIEWER,
    ("GET", "/repairs/{repair_id}"): Role.VIEWER,
    ("POST", "/repairs/plan"): Role.OPERATOR,
    ("POST", "/repairs/stop"): Role.ADMIN,
    ("POST", "/repairs/resume"): Role.ADMIN,
    ("POST", "/repairs/{repair_id}/{action}"): Role.APPROVER,
    ("GET", "/ask"): Role.OPERATOR,
    ("POST", "/ask"): Role.OPERATOR,
    ("POST", "/run"): Role.OPERATOR,
    ("GET", "/sessions"): Role.ADMIN,
    ("GET", "/audit"): Role.ADMIN,
    ("GET", "/language"): None,
    ("GET", "/mcp"): Role.VIEWER,
    ("POST", "/mcp"): Role.VIEWER,
    ("GET", "/metrics"): Role.VIEWER,
    ("GET", "/openapi.json"): Role.VIEWER,
    ("GET", "/r"): Role.VIEWER,
    ("GET", "/reports/{name}"): Role.VIEWER,
    ("GET", "/v1/diagnoses"): Role.VIEWER,
    ("GET", "/v1/diagnoses/{diagnosis_id}"): Role.VIEWER,
    ("GET", "/v1/diagnoses/{diagnosis_id}/events"): Role.VIEWER,
    ("POST", "/v1/chat/slack"): None,
    ("POST", "/v1/chat/mattermost"): None,
    ("GET", "/v1/chat/wecom"): None,
    ("POST", "/v1/chat/wecom"): None,
    ("GET", "/v1/chat/wechat"): None,
    ("POST", "/v1/chat/wechat"): None,
    ("POST", "/v1/chat/feishu"): None,
    ("POST", "/v1/chat/dingtalk"): None,
    ("POST", "/v1/ask"): Role.OPERATOR,
    ("POST", "/v1/tasks"): Role.OPERATOR,
    ("POST", "/v1/changes"): Role.OPERATOR,
    ("POST", "/v1/diagnoses/{diagnosis_id}/start"): Role.OPERATOR,
    ("POST", HOOK): Role.OPERATOR,
    ("POST", "/v1/webhooks/grafana"): Role.OPERATOR,
    ("GET", "/v1/remediations"): Role.VIEWER,
    ("POST", "/v1/remediations"): Role.OPERATOR,
    ("GET", "/v1/remediations/{repair_id}"): Role.VIEWER,
    ("GET", "/v1/remediations/{repair_id}/output/{step}"): Role.VIEWER,
    ("POST", "/v1/remediations/{repair_id}/approve"): Role.APPROVER,
    ("POST", "/v1/remediations/{repair_id}/reject"): Role.APPROVER,
    ("POST", "/v1/remediations/{repair_id}/run"): Role.APPROVER,
    ("POST", "/v1/remediations/{repair_id}/undo"): Role.APPROVER,
    ("POST", "/v1/remediations/stop"): Role.ADMIN,
    ("POST", "/v1/remediations/resume"): Role.ADMIN,
    # What nobody has thought of: closed all the same.
    ("DELETE", "/v1/diagnoses/x"): Role.ADMIN,
    ("PUT", "/mcp"): Role.ADMIN,
    ("POST", "/healthz"): Role.ADMIN,
}


def line(role: Role, token: str) -> str:
    return f"{role.name.lower()} {role.name.lower()} sha256:{hashlib.sha256(token.encode()).hexdigest()}"


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text("# who\n\n" + "\n".join(line(role, token) for role, token in TOKENS.items()))
    return path


@contextmanager
def serving(ops: Ops, tokens: Tokens) -> Iterator[httpx.Client]:
    ready = threading.Event()
    opened = server.bind("127.0.0.1:0")
    running = server.server(ops, external_url="", body_limit=2**20, ready=ready.set, access=Access(tokens), terms=None)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        assert ready.wait(120)
        with httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(120)
        opened.close()


@pytest.fixture(scope="module")
def guarded(tokens_file: Path, demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    home = str(tmp_path_factory.mktemp("guarded"))
    with (
        aiops.connect(f"case:{demo_case}", home=home, flags={"model.url": ""}) as ops,
        serving(ops, Tokens(tokens_file)) as client,
    ):
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# ---------------------------------------------------------------- roles


@pytest.mark.parametrize(("method", "path"), MATRIX)
def test_each_route_asks_for_its_role(guarded: httpx.Client, method: str, path: str) -> None:
    least = MATRIX[method, path]
    url = path.format(name="none", diagnosis_id="none", repair_id="none", step=0, action="approve")
    for role in (None, *ROLES):
        headers = bearer(TOKENS[role]) if role else {}
        status = guarded.request(method, url, headers=headers, content=EMPTY).status_code
        if least is None:
            assert status not in (403, 421), (role, status)
        elif role is None:
            assert status == 401
        elif role < least:
            assert status == 403
        else:
            assert status not in (401, 403, 421), (role, status)


def test_the_matrix_has_every_route(guarded: httpx.Client) -> None:
    told = guarded.get("/openapi.json", headers=bearer(TOKENS[Role.VIEWER])).json()["paths"]
    routes = {(method.upper(), path) for path, methods in told.items() for method in methods}
    assert routes <= set(MATRIX)


@pytest.mark.parametrize("path", ["//metrics", "/healthz/../metrics", "/healthz/", "/v1", "", "/reports"])
def test_a_path_that_no_rule_names_is_for_admins(path: str) -> None:
    assert access.needed("GET", path) is Role.ADMIN


def test_a_head_request_needs_what_a_get_does(guarded: httpx.Client) -> None:
    assert guarded.head("/metrics").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        bearer("unknown"),
        {"authorization": "Bearer"},
        bearer("viewer-token2"),
        {"authorization": "Basic dmlld2VyLXRva2VuOg=="},
        {"authorization": "viewer-token"},
        {"cookie": "aiops_session=viewer-token"},
        {"cookie": "aiops_session="},
        {"cookie": ";;=;"},
    ],
)
def test_what_is_no_token_lets_nobody_in(guarded: httpx.Client, headers: dict[str, str]) -> None:
    refused = guarded.get("/v1/diagnoses", headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"


@given(st.binary(max_size=80))
def test_no_bytes_break_the_comparison(tokens_file: Path, token: bytes) -> None:
    expected = {value.encode() for value in TOKENS.values()}
    assert (Tokens(tokens_file).find(token) is not None) == (token in expected)


def test_a_stranger_is_not_told_where_things_stand(guarded: httpx.Client) -> None:
    assert {part["says"] for part in guarded.get("/readyz").json()["parts"]} == {""}
    told = guarded.get("/readyz", headers=bearer(TOKENS[Role.VIEWER])).json()
    assert "SQLite" in told["parts"][0]["says"]


def test_any_name_may_be_used_where_tokens_are_needed(guarded: httpx.Client) -> None:
    headers = bearer(TOKENS[Role.VIEWER]) | {"host": "aiops.example:8642"}
    assert guarded.get("/v1/diagnoses", headers=headers).status_code == 200


# ---------------------------------------------------------------- browsers


def test_a_browser_trades_a_token_for_a_cookie(guarded: httpx.Client) -> None:
    page = {"accept": "text/html"}
    asked = guarded.get("/?offset=1", headers=page)
    assert asked.status_code == 401
    assert 'value="/?offset=1"' in asked.text
    many = guarded.post("/login", data={f"f{n}": "x" for n in range(99)})
    assert many.status_code == 400
    wrong = guarded.post("/login", data={"token": "wrong", "next": "/"}, headers=page)
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers
    let_in = guarded.post("/login", data={"token": TOKENS[Role.VIEWER], "next": "/r?alertname=x"})
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/r?alertname=x")
    cookie = let_in.headers["set-cookie"].lower()
    assert {"httponly", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert TOKENS[Role.VIEWER] not in cookie
    assert guarded.get("/", headers=page).status_code == 200  # the client keeps the cookie
    assert guarded.post("/v1/ask", json={"text": "x"}).status_code == 403
    assert guarded.post("/logout").status_code == 303
    guarded.cookies.set("aiops_session", cookie.partition("=")[2].partition(";")[0])
    assert guarded.get("/").status_code == 401
    guarded.cookies.clear()


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nx: y", "", "x"])
def test_signing_in_leads_nowhere_else(guarded: httpx.Client, wanted: str) -> None:
    let_in = guarded.post("/login", data={"token": TOKENS[Role.VIEWER], "next": wanted})
    assert let_in.headers["location"] == "/"
    guarded.cookies.clear()


def test_a_page_elsewhere_can_not_sign_in_or_act(guarded: httpx.Client) -> None:
    headers = {"origin": "https://evil.example"}
    assert guarded.post("/login", data={"token": TOKENS[Role.ADMIN]}, headers=headers).status_code == 403


# ---------------------------------------------------------------- the file


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def test_a_changed_file_counts_and_a_broken_one_does_not(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens", Clock()
    path.write_text(line(Role.VIEWER, "one"))
    tokens = Tokens(path, clock)
    assert tokens.find(b"one") == Principal("viewer", Role.VIEWER)
    rewrite(path, line(Role.ADMIN, "two"))
    assert tokens.find(b"two") is None  # not looked yet
    clock.now += 1
    assert tokens.find(b"two") == Principal("admin", Role.ADMIN)
    assert tokens.find(b"one") is None
    for broken in ("king k sha256:00", "", line(Role.VIEWER, "x")[:-1]):
        rewrite(path, broken)
        clock.now += 1
        assert tokens.find(b"two") is not None
    path.unlink()
    clock.now += 1
    assert tokens.find(b"two") is not None


def test_a_token_taken_back_ends_its_sessions(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens", Clock()
    path.write_text(f"{line(Role.VIEWER, 'one')}\n{line(Role.ADMIN, 'two')}")
    who = Access(Tokens(path, clock), clock)
    session = who.login(b"one")
    assert session
    cookie = {b"cookie": f"a=b; aiops_session={session}".encode()}
    assert who.who(cookie) == Principal("viewer", Role.VIEWER)
    rewrite(path, line(Role.ADMIN, "two"))
    clock.now += 1
    assert who.who(cookie) is None


def test_a_session_ends_by_itself(tmp_path: Path) -> None:
    path, clock = tmp_path / "tokens", Clock()
    path.write_text(line(Role.VIEWER, "one"))
    who = Access(Tokens(path), clock)
    cookie = {b"cookie": f"aiops_session={who.login(b'one')}".encode()}
    clock.now = access.SESSION_S - 1
    assert who.who(cookie)
    clock.now += 1
    assert who.who(cookie) is None


@pytest.mark.parametrize(
    "text", ["", "# nobody", "viewer grafana plain", "viewer sha256:00", "king k sha256:" + "0" * 64]
)
def test_a_file_without_sense_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ConfigError, match="tokens"):
        Tokens(path)


def test_a_made_token_is_found(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    token, row = access.new_token("operator", "alertmanager")
    path.write_text(row)
    assert Tokens(path).find(token.encode()) == Principal("alertmanager", Role.OPERATOR)
    for name in ("two words", "", "a#b", "a\nadmin b"):
        with pytest.raises(ConfigError):
            access.new_token("operator", name)


# ---------------------------------------------------------------- where it listens


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "example.org:0"])
def test_without_tokens_only_the_loopback_is_served(listen: str) -> None:
    with pytest.raises(ConfigError, match="tokens_file"):
        server.bind(listen)


def test_with_tokens_any_address_is_served() -> None:
    with server.bind("0.0.0.0:0", anywhere=True) as opened:
        assert opened.getsockname()[0] == "0.0.0.0"

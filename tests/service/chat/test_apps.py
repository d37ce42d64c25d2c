"""WeCom, WeChat, Feishu and DingTalk over HTTP: proved, taken once, acknowledged at once, answered by the app that was asked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import aiops
from aiops import settings
from aiops.cli import check
from aiops.domain import Actor
from aiops.errors import ConfigError
from aiops.flows.turns import session_key
from aiops.ops import Ops
from aiops.service import server
from aiops.service.access import Access, Tokens, new_token
from aiops.service.chat import setup, xml
from aiops.service.chat.people import People
from aiops.service.chat.platforms import Platforms
from aiops.service.chat.pressing import Act, Press, Pressing
from aiops.service.chat.senders import Senders, network
from aiops.service.chat.signatures import Distrusted, WeCom

from servers.chats import Chats, Sent, chats

# The example of WeCom's documentation, https://developer.work.weixin.qq.com/document/path/90968.
DOCUMENTED = {
    "corp_id": "wx5823bf96d3bd56c7",
    "token": "QDG6eK",
    "key": "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
    "echo": "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==",
    "message": (
        "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUk"
        "SUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekU"
        "NXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rU"
        "PA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+"
        "qN+E7Q=="
    ),
}
TENANTS = ("acme", "other")
WHY = "why is ts-gateway-service slow?"


def key_of(name: str) -> bytes:
    """An EncodingAESKey of 43 characters."""
    return base64.b64encode(hashlib.sha256(name.encode()).digest())[:43]


@dataclass(frozen=True)
class Ask:
    """A request as a platform makes it, in parts that may each be changed."""

    method: str
    path: str
    query: dict[str, bytes]
    headers: dict[str, bytes]
    body: bytes = b""

    def send(self, client: httpx.Client) -> httpx.Response:
        query = "&".join(f"{name}={quote(value)}" for name, value in self.query.items())
        headers = [(name.encode(), value) for name, value in self.headers.items()]
        return client.request(self.method, f"{self.path}?{query}", headers=headers, content=self.body)


# ---------------------------------------------------------------- how each platform asks, by other means than the code's own


class Tencent:
    """WeCom or WeChat, for one tenant."""

    def __init__(self, platform: str, tenant: str) -> None:
        self.platform, self.tenant = platform, tenant
        self.token, self.key = f"token-{platform}-{tenant}".encode(), key_of(f"{platform}-{tenant}")
        self.receiver = f"{'ww' if platform == 'wecom' else 'wx'}-{tenant}"
        self.own = self.receiver if platform == "wecom" else f"gh_{tenant}"

    def signed(self, encrypted: bytes, name: str = "msg_signature", moment: float | None = None) -> dict[str, bytes]:
        at, nonce = str(int(moment or time.time())).encode(), secrets.token_hex(6).encode()
        due = hashlib.sha1(b"".join(sorted([self.token, at, nonce, encrypted]))).hexdigest().encode()
        return {name: due, "timestamp": at, "nonce": nonce}

    def seal(self, message: bytes, receiver: str = "") -> bytes:
        key = base64.b64decode(self.key + b"=")
        plain = (
            secrets.token_bytes(16) + len(message).to_bytes(4, "big") + message + (receiver or self.receiver).encode()
        )
        fill = 32 - len(plain) % 32
        box = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(box.update(plain + bytes([fill]) * fill) + box.finalize())

    def message(self, text: str = WHY, **other: str) -> bytes:
        fields = {
            "ToUserName": self.own,
            "FromUserName": "zhang",
            "CreateTime": "1",
            "MsgType": "text",
            "Content": text,
        }
        fields |= {"MsgId": str(secrets.randbits(60))} | ({"AgentID": "7"} if self.platform == "wecom" else {}) | other
        return "".join(
            ["<xml>", *(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items()), "</xml>"]
        ).encode()

    def ask(self, message: bytes | None = None, moment: float | None = None, receiver: str = "") -> Ask:
        encrypted = self.seal(self.message() if message is None else message, receiver)
        body = b"<xml><ToUserName>x</ToUserName><Encrypt><![CDATA[" + encrypted + b"]]></Encrypt></xml>"
        return Ask("POST", f"/v1/chat/{self.platform}", self.signed(encrypted, moment=moment), {}, body)

    def verify(self, moment: float | None = None) -> Ask:
        if self.platform == "wechat":
            query = {**self.signed(b"", "signature", moment), "echostr": b"4712"}
        else:
            sealed = self.seal(b"4712")
            query = {**self.signed(sealed, moment=moment), "echostr": sealed}
        return Ask("GET", f"/v1/chat/{self.platform}", query, {})

    def acknowledged(self, answer: httpx.Response) -> str:
        """What was said at once, opened as the platform does."""
        assert answer.status_code == 200, answer.text
        told = xml.read(answer.content)
        due = hashlib.sha1(
            "".join(sorted([self.token.decode(), told["TimeStamp"], told["Nonce"], told["Encrypt"]])).encode()
        ).hexdigest()
        assert told["MsgSignature"] == due
        inner = xml.read(WeCom(self.token, self.key, self.receiver.encode()).open(told["Encrypt"].encode()))
        assert (inner["ToUserName"], inner["FromUserName"], inner["MsgType"]) == ("zhang", self.own, "text")
        return inner["Content"]


class Feishu:
    """Feishu, for one tenant."""

    def __init__(self, tenant: str) -> None:
        self.tenant, self.key, self.token = tenant, f"key-{tenant}".encode(), f"verify-{tenant}"

    def seal(self, event: Any) -> bytes:
        plain, vector = json.dumps(event).encode(), secrets.token_bytes(16)
        fill = 16 - len(plain) % 16
        box = Cipher(algorithms.AES(hashlib.sha256(self.key).digest()), modes.CBC(vector)).encryptor()
        sealed = base64.b64encode(vector + box.update(plain + bytes([fill]) * fill) + box.finalize())
        return json.dumps({"encrypt": sealed.decode()}).encode()

    def event(self, text: str = WHY, *, header: Any = None, sender: Any = None, message: Any = None) -> Any:
        head = {"event_id": secrets.token_hex(8), "token": self.token, "event_type": "im.message.receive_v1"}
        said = {
            "message_id": "om_asked",
            "chat_id": "oc_1",
            "message_type": "text",
            "content": json.dumps({"text": f"@_user_1 {text}"}),
        }
        return {
            "schema": "2.0",
            "header": {**head, "app_id": f"cli_{self.tenant}", "tenant_key": "t1", **(header or {})},
            "event": {
                "sender": {
                    "sender_id": {"open_id": "ou_1"},
                    "sender_type": "user",
                    "tenant_key": "t1",
                    **(sender or {}),
                },
                "message": {**said, **(message or {})},
            },
        }

    def ask(self, event: Any = None, moment: float | None = None) -> Ask:
        body = self.seal(self.event() if event is None else event)
        at, nonce = str(int(moment or time.time())).encode(), secrets.token_hex(6).encode()
        due = hashlib.sha256(at + nonce + self.key + body).hexdigest().encode()
        headers = {"x-lark-request-timestamp": at, "x-lark-request-nonce": nonce, "x-lark-signature": due}
        return Ask("POST", "/v1/chat/feishu", {}, headers, body)


class DingTalk:
    """DingTalk, for one tenant."""

    def __init__(self, tenant: str, home: str) -> None:
        self.tenant, self.home, self.secret = tenant, home, f"SECRET-OF-{tenant}".encode()

    def message(self, text: str = WHY, **other: Any) -> bytes:
        known = {
            "msgId": secrets.token_hex(8),
            "msgtype": "text",
            "text": {"content": f" {text}"},
            "robotCode": f"ding-{self.tenant}",
        }
        known |= {"senderStaffId": "u1", "senderCorpId": "c1", "chatbotCorpId": "c1", "conversationId": "cid1"}
        return json.dumps(known | {"sessionWebhook": f"{self.home}/robot/sendBySession?session=1"} | other).encode()

    def ask(self, body: bytes | None = None, moment: float | None = None) -> Ask:
        at = str(int((moment or time.time()) * 1000) + next(COUNT)).encode()  # no two in one millisecond
        due = base64.b64encode(hmac.new(self.secret, at + b"\n" + self.secret, hashlib.sha256).digest())
        return Ask(
            "POST", "/v1/chat/dingtalk", {}, {"timestamp": at, "sign": due}, self.message() if body is None else body
        )


COUNT = itertools.count()


# ---------------------------------------------------------------- the house


class House:
    """A server with two tenants on each platform, the platforms that it answers to, and its store."""

    def __init__(self, client: httpx.Client, platform: Chats, ops: Ops, token: str) -> None:
        self.client, self.platform, self.ops, self.token = client, platform, ops, token
        self.others = set(threading.enumerate())  # of other tests

    def caller(self, name: str, tenant: str) -> Any:
        if name in ("wecom", "wechat"):
            return Tencent(name, tenant)
        return Feishu(tenant) if name == "feishu" else DingTalk(tenant, self.platform.url)

    def answers(self, count: int) -> list[Any]:
        return [self.platform.next() for _ in range(count)]

    def still(self) -> None:
        """Nothing is on its way any more, and nothing came."""
        deadline = time.monotonic() + 300
        while any(thread.name == "chat" for thread in threading.enumerate() if thread not in self.others):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert self.platform.came.empty()


def written(home: Path, url: str, more: str = "") -> Path:
    """The file of the apps, with the files of their secrets beside it."""
    home.mkdir(exist_ok=True)

    def held(name: str, content: str) -> str:
        (home / name).write_text(f"{content}\n")
        return name

    text = ""
    for tenant in TENANTS:
        secret = held(f"{tenant}-secret", f"SECRET-OF-{tenant}")
        for name in ("wecom", "wechat"):
            known = Tencent(name, tenant)
            files = (
                held(f"{tenant}-{name}-token", known.token.decode()),
                held(f"{tenant}-{name}-key", known.key.decode()),
            )
            ids = (
                f'corp_id = "{known.receiver}"\nagent_id = 7'
                if name == "wecom"
                else f'app_id = "{known.receiver}"\naccount = "{known.own}"'
            )
            text += f'[{name}.{tenant}]\n{ids}\ntoken_file = "{files[0]}"\nkey_file = "{files[1]}"\nsecret_file = "{secret}"\nurl = "{url}"\n'
        feishu = Feishu(tenant)
        files = (held(f"{tenant}-feishu-token", feishu.token), held(f"{tenant}-feishu-key", feishu.key.decode()))
        text += f'[feishu.{tenant}]\napp_id = "cli_{tenant}"\ntoken_file = "{files[0]}"\nkey_file = "{files[1]}"\n'
        text += f'secret_file = "{secret}"\nurl = "{url}"\n'
        text += f'[dingtalk.{tenant}]\napp_key = "ding-{tenant}"\nsecret_file = "{secret}"\nurl = "{url}"\n'
        text += f'robot_token_file = "{held("robot-token", "ROBOT")}"\nrobot_secret_file = "{held("robot-secret", "SEC-OF-robot")}"\n'
    text = text.replace("agent_id = 7", f'agent_id = 7\nrobot_file = "{held("robot", "KEY")}"', 1)
    (home / "apps.toml").write_text(text + more)
    return home / "apps.toml"


@contextmanager
def serving(ops: Ops, platforms: Platforms, tokens: Path) -> Iterator[httpx.Client]:
    ready, opened = threading.Event(), server.bind("127.0.0.1:0")
    running = server.server(
        ops,
        external_url="https://aiops.example",
        body_limit=2**20,
        ready=ready.set,
        access=Access(Tokens(tokens)),
        platforms=platforms,
    )
    thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        assert ready.wait(300)
        with httpx.Client(base_url=server.url(opened), timeout=300, trust_env=False) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(300)
        opened.close()


@pytest.fixture(scope="module")
def house(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("apps")
    token, line = new_token("admin", "root")
    (home / "tokens").write_text(line)
    with chats() as platform:
        flags = {"chat.apps_file": str(written(home / "chat", platform.url)), "model.url": ""}
        config = settings.load(flags, str(home))
        flags |= {"chat.url": "wecom:acme/@all feishu:acme/oc_1 dingtalk:acme wecom:acme", "episodes.debounce_s": "0.1"}
        with (
            aiops.connect(f"case:{demo_case}", home=str(home), flags=flags) as ops,
            serving(ops, Platforms(apps=setup.apps(config)), home / "tokens") as client,
        ):
            yield House(client, platform, ops, token)


PLATFORMS = ("wecom", "wechat", "feishu", "dingtalk")
# How many messages an answer is: Feishu says at once in the thread that it looks into it, the others in their acknowledgement.
SAID = {"wecom": 1, "wechat": 1, "feishu": 2, "dingtalk": 1}


# ---------------------------------------------------------------- asking


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("name", PLATFORMS)
def test_a_question_is_acknowledged_and_answered_by_the_app_that_was_asked(
    house: House, name: str, tenant: str
) -> None:
    caller = house.caller(name, tenant)
    taken = caller.ask().send(house.client)
    assert taken.status_code == 200, taken.text
    if isinstance(caller, Tencent):
        assert caller.acknowledged(taken) == "Looking into it."
    elif name == "dingtalk":
        assert taken.json() == {"msgtype": "text", "text": {"content": "Looking into it."}}
    sent = house.answers(SAID[name])
    verdict = json.dumps([one.body for one in sent])
    assert "ts-" in verdict
    assert "https://aiops.example/reports/" in verdict
    assert {one.app for one in sent} == {
        tenant if name != "dingtalk" else ""
    }  # the session's address is all that it needs
    assert all("om_asked/reply" in one.path for one in sent) or name != "feishu"
    assert all(one.body.get("touser") == "zhang" for one in sent) or not isinstance(caller, Tencent)
    entries: list[Any] = [entry["entry"] for entry in house.ops.store.audit_entries() if entry["kind"] == "turn"]
    user, talk = {"feishu": ("ou_1", "oc_1"), "dingtalk": ("u1", "cid1")}.get(name, ("zhang", "zhang"))
    assert (name, f"{tenant}.{user}", "submit") in {(one["channel"], one["actor"], one["action"]) for one in entries}
    actor, elsewhere = Actor(name, f"{tenant}.{user}"), "other" if tenant == "acme" else "acme"
    assert house.ops.store.session(session_key(actor, f"{tenant}.{talk}"))  # a follow-up here is understood,
    assert not house.ops.store.session(session_key(actor, f"{elsewhere}.{talk}"))  # and nowhere else
    house.still()


@pytest.mark.parametrize("name", PLATFORMS)
def test_what_a_platform_sends_again_is_answered_once(house: House, name: str) -> None:
    caller = house.caller(name, "acme")
    again = {"feishu": lambda: caller.event("")}.get(name, lambda: caller.message(""))()
    first = caller.ask(again).send(house.client)
    assert first.status_code == 200, first.text
    for _ in range(3):  # the same message, sealed and signed anew
        repeated = caller.ask(again).send(house.client)
        assert repeated.status_code == 200, repeated.text
        assert repeated.content in (b"", b"success", b"{}", b'{"msgtype":"empty"}')
    house.answers(1 if name == "feishu" else 0)
    house.still()
    other = house.caller(name, "other")  # whose messages have numbers of their own
    if name == "feishu":
        again["header"] |= {"app_id": "cli_other", "token": "verify-other"}
    elif name == "dingtalk":
        again = again.replace(b"ding-acme", b"ding-other")
    else:
        again = again.replace(caller.own.encode(), other.own.encode())
    assert other.ask(again).send(house.client).content != repeated.content or name == "feishu"
    house.answers(1 if name == "feishu" else 0)
    house.still()


def test_an_event_is_known_by_who_when_and_what(house: House) -> None:
    caller = Tencent("wecom", "acme")
    event = re.sub(rb"<MsgId>.*?</MsgId>", b"", caller.message("", MsgType="event", Event="enter_agent"))
    for _ in range(2):
        assert caller.ask(event).send(house.client).content == b""
    assert (
        Tencent("wecom", "acme").ask(caller.message(MsgType="image", Content="")).send(house.client).status_code == 200
    )
    house.still()


# ---------------------------------------------------------------- buttons


@pytest.fixture(scope="module")
def report(house: House) -> str:
    """The id of a report that somebody asked for."""
    caller = Tencent("wecom", "acme")
    assert caller.ask().send(house.client).status_code == 200
    (sent,) = house.answers(1)
    found = re.search("/reports/([0-9a-f]+)", json.dumps(sent.body))
    assert found
    house.still()
    return found[1]


def button(house: House, report: str, chat: str, act: Act = Act.WRONG) -> str:
    return Pressing(house.ops.store, People(), "en").close(Press(act, report, chat, ends=int(time.time()) + 3600))


def pressed(caller: Feishu, value: str, chat: str = "oc_1", tenant: str = "t1") -> Ask:
    told = caller.event(header={"event_type": "card.action.trigger"})
    action = {"tag": "button", "value": {"press": value}}
    told["event"] = {
        "operator": {"open_id": "ou_1", "tenant_key": tenant},
        "action": action,
        "context": {"open_chat_id": chat, "open_message_id": "om_1"},
    }
    return caller.ask(told)


def test_a_press_in_feishu_is_done_and_told_to_who_pressed(house: House, report: str) -> None:
    acme, value = Feishu("acme"), button(house, report, "feishu:acme/oc_1")
    done = pressed(acme, value).send(house.client)
    assert (done.status_code, done.json()["toast"]["type"]) == (200, "info")
    assert "Thank you" in done.json()["toast"]["content"]
    (told,) = house.ops.store.told()
    assert (told.report_id, told.wrong) == (report, True)
    assert house.ops.store.untell(report)
    for refused in (
        pressed(acme, value, "oc_2"),  # another group
        pressed(Feishu("other"), value),  # another tenant
        pressed(acme, value[:-1]),
        pressed(acme, ""),
        pressed(acme, button(house, report, "wecom:acme/@all")),
    ):
        assert "button" in refused.send(house.client).json()["toast"]["content"]
    assert pressed(acme, value, tenant="t2").send(house.client).json() == {}  # a guest of a shared group
    approve = pressed(acme, button(house, report, "feishu:acme/oc_1", Act.APPROVE)).send(house.client)
    assert "Only approvers" in approve.json()["toast"]["content"]
    assert not house.ops.store.told()
    house.still()


def test_a_press_in_wecom_is_done_and_told_to_who_pressed(house: House, report: str) -> None:
    def told(tenant: str, value: str) -> str:
        caller = Tencent("wecom", tenant)
        event = caller.message(
            "",
            MsgType="event",
            Event="template_card_event",
            EventKey=value,
            TaskId="t",
            CreateTime=secrets.token_hex(4),
        )
        answer = caller.ask(re.sub(rb"<MsgId>.*?</MsgId>", b"", event)).send(house.client)
        assert (answer.status_code, answer.content) == (200, b"")
        (sent,) = house.answers(1)
        assert (sent.app, sent.body["touser"]) == (tenant, "zhang")
        return str(sent.body["text"]["content"])

    value = button(house, report, "wecom:acme/@all")
    assert "Thank you" in told("acme", value)
    assert house.ops.store.untell(report)
    for tenant, other in (("other", value), ("acme", value[:-1]), ("acme", button(house, report, "feishu:acme/oc_1"))):
        assert "button" in told(tenant, other)
    assert not house.ops.store.told()
    house.still()


# ---------------------------------------------------------------- whose address it is


@pytest.mark.parametrize("name", ["wecom", "wechat"])
def test_the_address_is_proved_to_be_ours(house: House, name: str) -> None:
    for tenant in TENANTS:
        ask = Tencent(name, tenant).verify()
        answer = ask.send(house.client)
        assert (answer.status_code, answer.text) == (200, "4712")
        assert answer.headers["content-type"].startswith("text/plain")
        assert ask.send(house.client).status_code == 401  # a second time it proves nothing


def test_the_example_of_wecom_is_answered(demo_case: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(new_token("admin", "root")[1])
    with chats() as platform, aiops.connect(f"case:{demo_case}", home=str(tmp_path), flags={"model.url": ""}) as ops:
        for name in ("token", "key"):
            (tmp_path / name).write_text(DOCUMENTED[name])
        (tmp_path / "secret").write_text("SECRET-OF-docs")
        (tmp_path / "apps.toml").write_text(
            f'[wecom.docs]\ncorp_id = "{DOCUMENTED["corp_id"]}"\nagent_id = 218\nurl = "{platform.url}"\n'
            'token_file = "token"\nkey_file = "key"\nsecret_file = "secret"\ncheck_address = true\n'
        )
        apps = setup.apps(settings.load({"chat.apps_file": str(tmp_path / "apps.toml")}, str(tmp_path)))
        (docs,) = apps.wecom
        apps = replace(apps, wecom=(replace(docs, clock=lambda: 1409659813.0),))
        with serving(ops, Platforms(apps=apps), tmp_path / "tokens") as client:
            ask = Ask("GET", "/v1/chat/wecom", {
                "msg_signature": b"5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", "timestamp": b"1409659589", "nonce": b"263014780",
                "echostr": DOCUMENTED["echo"].encode(),
            }, {})  # fmt: skip
            deadline = time.monotonic() + 300
            while (answer := ask.send(client)).status_code == 403 and time.monotonic() < deadline:
                time.sleep(0.02)  # the list of addresses is read beside the start
            assert answer.text == "1616140317555161061"
            body = f"<xml><ToUserName><![CDATA[x]]></ToUserName><Encrypt><![CDATA[{DOCUMENTED['message']}]]></Encrypt></xml>"
            query = {
                "msg_signature": b"477715d11cdb4164915debcba66cb864d751f3e6",
                "timestamp": b"1409659813",
                "nonce": b"1372623149",
            }
            assert Ask("POST", "/v1/chat/wecom", query, {}, body.encode()).send(client).status_code == 200
            asked = platform.next()
            assert (asked.app, asked.body["touser"], asked.body["agentid"]) == ("docs", "mycreate", 218)


def test_feishu_asks_whose_the_address_is(house: House) -> None:
    for tenant in TENANTS:
        caller = Feishu(tenant)
        asked = {"type": "url_verification", "challenge": f"c-{tenant}", "token": caller.token}
        body = caller.seal(asked)
        answer = house.client.post("/v1/chat/feishu", content=body)  # it comes without a signature
        assert (answer.status_code, answer.json()) == (200, {"challenge": f"c-{tenant}"})
        assert house.client.post("/v1/chat/feishu", content=body).status_code == 401
        wrong = caller.seal({**asked, "challenge": "x", "token": "verify-nobody"})
        assert house.client.post("/v1/chat/feishu", content=wrong).status_code == 401


# ---------------------------------------------------------------- who is not believed


@pytest.mark.soak
@pytest.mark.parametrize("name", PLATFORMS)
def test_no_changed_request_is_believed(
    house: House, name: str, caplog: pytest.LogCaptureFixture, pytestconfig: pytest.Config
) -> None:
    """10,000 of each platform under --soak: bits, cuts, other bytes, other times, and the request itself once more."""
    rng, caller = random.Random(name), house.caller(name, "acme")
    empty = caller.event("") if name == "feishu" else caller.message("")
    good = caller.ask(empty)
    assert good.send(house.client).status_code == 200
    kinds = [good, caller.verify()] if isinstance(caller, Tencent) else [good]
    for other in kinds[1:]:
        assert other.send(house.client).status_code == 200
    for _ in range(10_000 if pytestconfig.getoption("soak") else 120):
        refused = _changed(rng.choice(kinds), rng).send(house.client)
        assert refused.status_code in (401, 403), (refused.status_code, refused.text)
        assert "Traceback" not in refused.text
    house.answers(1 if name == "feishu" else 0)
    house.still()
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def _changed(ask: Ask, rng: random.Random) -> Ask:
    parts: list[tuple[str, str]] = [("query", name) for name in ask.query] + [("headers", name) for name in ask.headers]
    if ask.body:
        parts += [("body", "")] * 4
    where, name = rng.choice(parts)
    text = ask.body if where == "body" else getattr(ask, where)[name]
    at = rng.randrange(len(text))
    match rng.randrange(6):
        case 0:
            text = text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1 :]
        case 1:
            text = text[:at]
        case 2:
            text = rng.randbytes(rng.randrange(1, 200))
        case 3:
            text = text[:at] + "ü\u202e".encode() + text[at:]
        case 4:
            text = rng.choice([b"-1", b"9" * 30, b"1", b"1e9", b"<!DOCTYPE x>", b"[" * 5000])
        case _:
            pass  # as it was: it came before
    if where == "body":
        return replace(ask, body=text)
    if where == "headers":  # which can't hold these bytes
        text = bytes(byte for byte in text if byte in range(0x21, 0x7F) or byte >= 0x80) or b"x"
    return replace(ask, **{where: {**getattr(ask, where), name: text}})


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.parametrize("off", [-301, 900, -86_400])  # what is ahead comes nearer until it is read
def test_another_time_is_not_believed(house: House, name: str, off: float) -> None:
    caller = house.caller(name, "acme")
    asks = [caller.ask(moment=time.time() + off)]
    if isinstance(caller, Tencent):
        asks.append(caller.verify(moment=time.time() + off))
    for ask in asks:
        refused = ask.send(house.client)
        assert refused.status_code == 401
        assert "300 s" in refused.json()["detail"]
    house.still()


def test_a_message_for_somebody_else_is_not_believed(house: House) -> None:
    for name in ("wecom", "wechat"):
        acme, other = (Tencent(name, tenant) for tenant in TENANTS)
        swapped = acme.ask(other.message())  # sealed for acme, and inside for another
        assert swapped.send(house.client).status_code == 401
        assert acme.ask(receiver=other.receiver).send(house.client).status_code == 401
        mixed = acme.ask()
        encrypted = other.seal(other.message())  # signed by acme, sealed by another
        body = b"<xml><Encrypt>" + encrypted + b"</Encrypt></xml>"
        assert replace(mixed, query=acme.signed(encrypted), body=body).send(house.client).status_code == 401
    assert (
        Tencent("wecom", "acme").ask(Tencent("wecom", "acme").message(AgentID="8")).send(house.client).status_code
        == 401
    )
    acme_, feishu = Feishu("acme"), house.client
    for header in ({"app_id": "cli_other"}, {"token": "verify-other"}, {"token": ""}):
        assert acme_.ask(acme_.event(header=header)).send(feishu).status_code == 401
    ding = DingTalk("acme", house.platform.url)
    assert ding.ask(ding.message(robotCode="ding-other")).send(house.client).status_code == 401
    house.still()


def test_who_may_not_ask_is_not_answered(house: House) -> None:
    feishu, ding = Feishu("acme"), DingTalk("acme", house.platform.url)
    for event in (
        feishu.event(sender={"sender_type": "app"}),
        feishu.event(sender={"tenant_key": "t2"}),
        feishu.event(header={"event_type": "im.chat.updated_v1"}),
    ):
        assert feishu.ask(event).send(house.client).json() == {}
    assert ding.ask(ding.message(senderCorpId="c2")).send(house.client).json() == {"msgtype": "empty"}
    house.still()


def test_an_address_elsewhere_is_told_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    ding = DingTalk("acme", house.platform.url)
    assert (
        ding.ask(ding.message(sessionWebhook="https://evil.example/robot/sendBySession")).send(house.client).status_code
        == 200
    )
    house.still()
    assert "elsewhere" in caplog.text


def test_what_is_not_sealed_or_signed_is_refused(house: House) -> None:
    for name in PLATFORMS:
        for body in (b"", b"{}", b"[]", b"<xml/>", b"text=x", json.dumps(Feishu("acme").event()).encode()):
            refused = house.client.post(f"/v1/chat/{name}", content=body)
            assert refused.status_code == 401, (name, body, refused.text)
    house.still()


def test_where_no_app_is_set_up_nobody_is_heard(ops: Ops, serve: Callable[..., httpx.Client]) -> None:
    client = serve(ops)
    for name in PLATFORMS:
        assert client.post(f"/v1/chat/{name}", content=b"x").status_code == 404
    for name in ("wecom", "wechat"):
        assert client.get(f"/v1/chat/{name}").status_code == 404


# ---------------------------------------------------------------- XML


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>'
FILE = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Encrypt>&a;</Encrypt></xml>'


@pytest.mark.parametrize(
    "body",
    [BOMB, FILE, b"<!DOCTYPE xml><xml/>", b"<xml><a>1</a><a>2</a></xml>", b"<xml>&undefined;</xml>", b"\xff\xfe<\x00x", b"<xml>",
     b"<a>" * 50 + b"</a>" * 50, b"<xml>" + b"x" * 300_000 + b"</xml>", b"", b"<xml><a>\x00</a></xml>"],
)  # fmt: skip
def test_xml_that_is_not_a_list_of_fields_is_refused(house: House, body: bytes) -> None:
    with pytest.raises(Distrusted):
        xml.read(body)
    assert house.client.post("/v1/chat/wecom", content=body).status_code == 401


def test_xml_is_read_as_it_was_written() -> None:
    fields = {"A": "]]> & <b>", "B": "长", "C": ""}
    assert xml.read(xml.write(fields).encode()) == fields
    assert xml.read(b"<xml><A>1</A><B><C>2</C></B></xml>") == {"A": "1", "B": ""}


# ---------------------------------------------------------------- addresses


def test_only_the_addresses_of_the_platform_are_let_in_and_the_last_list_stays() -> None:
    lists: list[list[str] | Exception] = [["101.226.103.0/25", "10.1.2.*", "2001:db8::1", "what?"], []]
    senders = Senders("wecom.acme", lambda _: lists.pop(0))  # type: ignore[arg-type, return-value]
    assert not senders.holds("101.226.103.1")  # while nothing is known
    assert senders.refresh()
    for host in ("101.226.103.127", "10.1.2.200", "2001:db8::1", "::ffff:10.1.2.3"):
        assert senders.holds(host), host
    for host in ("101.226.103.128", "10.1.3.1", "127.0.0.1", "", "testclient", "2001:db8::2"):
        assert not senders.holds(host), host
    assert not senders.refresh()
    assert senders.holds("10.1.2.200")
    assert network("1.2.3.4") == network("1.2.3.4/32")


def test_an_address_elsewhere_is_refused_though_it_signs(house: House, tmp_path: Path) -> None:
    file = written(tmp_path / "chat", house.platform.url)
    file.write_text(file.read_text().replace("agent_id = 7", "agent_id = 7\ncheck_address = true", 1))
    apps = setup.apps(settings.load({"chat.apps_file": str(file)}, str(tmp_path)))
    assert [one.senders is not None for one in apps.wecom] == [True, False]
    (senders,) = apps.senders()
    house.platform.addresses = ["101.226.103.0/25"]
    try:
        assert senders.refresh()
    finally:
        house.platform.addresses = ["127.0.0.1"]
    assert not senders.holds("127.0.0.1")
    (tmp_path / "tokens").write_text(new_token("admin", "root")[1])
    acme, other = (Tencent("wecom", tenant) for tenant in TENANTS)
    quiet = replace(apps, wecom=(replace(apps.wecom[0], senders=_Fixed("x", lambda _: ())), apps.wecom[1]))
    with serving(house.ops, Platforms(apps=quiet), tmp_path / "tokens") as client:
        assert acme.ask(acme.message("")).send(client).status_code == 403
        assert acme.verify().send(client).status_code == 403
        assert other.ask(other.message("")).send(client).status_code == 200
    house.still()


class _Fixed(Senders):
    """Knows nobody, and asks nobody."""

    def start(self) -> None:
        pass


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[wecom.a]\ncorp_id = 'w'\n", "agent_id, secret_file must be set"),
        ("[wecom.a]\n", "robot_file must be set"),
        ("[wecom.a]\ncorp_id = 'w'\nagent_id = 1\nsecret_file = 'one'\ntoken_file = 'one'\n", "go together"),
        ("[wecom.a]\ncorp_id = 'w'\nagent_id = 1\nsecret_file = 'one'\ntoken_file = 'one'\nkey_file = 'one'\n", "43"),
        ("[feishu.a]\napp_id = 'c'\nsecret_file = 'none'\ntoken_file = 'one'\nkey_file = 'one'\n", "can't read"),
        ("[feishu.a]\napp_id = 'c'\nsecret_file = 'empty'\ntoken_file = 'one'\nkey_file = 'one'\n", "is empty"),
        ("[dingtalk.a]\napp_key = 'c'\nsecret_file = 'one'\n[dingtalk.b]\napp_key = 'd'\nsecret_file = 'one'\n", "each needs its own"),
        ("[slack.a]\n", "slack"),
        ("[wecom.A-B.c]\n", "wecom"),
        ("[feishu.a]\napp_id = 'c'\nsecret_file = 'one'\nsecret = 'x'\n", "secret"),
        ("[[", "apps.toml"),
    ],
)  # fmt: skip
def test_a_file_of_apps_that_is_wrong_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "one").write_text("held")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "apps.toml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(said)) as wrong:
        setup.apps(settings.load({"chat.apps_file": str(tmp_path / "apps.toml")}, str(tmp_path)))
    assert "held" not in str(wrong.value)


@pytest.mark.parametrize("url", ["feishu:acme", "wecom:other", "dingtalk:nobody", "feishu:nobody/oc_1"])
def test_where_verdicts_go_is_a_group_of_an_app(demo_case: Path, tmp_path: Path, url: str) -> None:
    file = written(tmp_path / "chat", "http://127.0.0.1:9")
    flags = {"chat.apps_file": str(file), "chat.url": url, "model.url": ""}
    with pytest.raises(ConfigError, match=r"names no group|no robot|known are"):
        aiops.connect(f"case:{demo_case}", home=str(tmp_path), flags=flags, keep=False)


def test_the_doctor_asks_each_app(house: House, tmp_path: Path) -> None:
    file = written(tmp_path / "chat", house.platform.url)

    def told() -> dict[str, check.Part]:
        flags = {"chat.apps_file": str(file), "model.url": ""}
        return {part.name: part for part in check.parts(lambda: settings.load(flags, str(tmp_path)), live=False)}

    names = [f"{platform}.{tenant}" for platform in PLATFORMS for tenant in TENANTS]
    parts = told()
    assert {name: parts[name].state for name in names} == dict.fromkeys(names, "ok")
    (tmp_path / "chat" / "acme-secret").write_text("wrong")
    parts = told()
    assert {parts[f"{platform}.acme"].state for platform in PLATFORMS} == {"missing"}
    assert "wrong" not in "".join(part.says for part in parts.values())
    file.write_text("[[")
    assert (told()["chat"].state, told()["chat"].exit_code) == ("failed", 2)


# ---------------------------------------------------------------- verdicts of alerts


def test_a_verdict_is_posted_pressed_and_closed_everywhere(house: House) -> None:
    """The last test here: what is told of an episode comes in its own time."""
    at = house.ops.sources.metrics.symptom().at
    assert at

    def alert(status: str) -> None:
        alerts = [{"status": status, "labels": {"alertname": "Slow"}, "startsAt": at.isoformat()}]
        body = {"version": "4", "groupKey": "verdicts", "receiver": "r", "alerts": alerts}
        answer = house.client.post(
            "/v1/webhooks/alertmanager", json=body, headers={"authorization": f"Bearer {house.token}"}
        )
        assert answer.status_code == 202, answer.text

    seen: list[Sent] = []

    def until(*wanted: Callable[[Sent], bool]) -> list[Sent]:
        while not all(any(fits(one) for one in seen) for fits in wanted):
            seen.append(house.platform.next())
        return [next(one for one in seen if fits(one)) for fits in wanted]

    alert("firing")
    card, wecom, robot, _ = until(
        lambda one: one.path == "POST /open-apis/im/v1/messages" and one.body["receive_id"] == "oc_1",
        lambda one: (
            one.path == "/cgi-bin/message/send" and "template_card" in one.body and one.body["touser"] == "@all"
        ),
        lambda one: one.path == "/robot/send" and one.params["access_token"] == "ROBOT",
        lambda one: one.path == "/cgi-bin/webhook/send" and one.params["key"] == "KEY",
    )
    assert "https://aiops.example/reports/" in robot.body["actionCard"]["singleURL"]
    assert any("image" in one.body for one in seen if one.path == "/cgi-bin/message/send")
    shown = [one for element in card.body["content"]["elements"] for one in element.get("actions", ())]
    right = next(one["value"]["press"] for one in shown if one["text"]["content"] == "Right")
    assert "Thank you" in pressed(Feishu("acme"), right).send(house.client).json()["toast"]["content"]
    assert {one["text"] for one in wecom.body["template_card"]["button_list"]} >= {"Right", "Wrong"}
    alert("resolved")
    until(
        lambda one: one.path.startswith("PATCH ") and "Resolved" in json.dumps(one.body),
        lambda one: one.path.endswith("/reply") and "Resolved" in json.dumps(one.body),
        lambda one: one.path == "/cgi-bin/message/update_template_card",
    )

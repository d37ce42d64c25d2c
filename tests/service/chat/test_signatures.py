"""Who may speak: the vectors of each platform's documentation, and whatever is not exactly what was signed."""

from __future__ import annotations

import ast
import base64
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.service import chat
from aiops.service.chat import signatures
from aiops.service.chat.signatures import Distrusted, Proof, WeCom

WECOM = WeCom(b"QDG6eK", b"jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", b"wx5823bf96d3bd56c7")
ECHO = b"P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
MESSAGE = b"".join(
    (
        b"RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUk",
        b"SUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekU",
        b"NXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rU",
        b"PA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+",
        b"qN+E7Q==",
    )
)


@dataclass(frozen=True)
class Request:
    """What a platform sends, as parts that may each be changed."""

    headers: dict[bytes, bytes]
    body: bytes
    now: float


@dataclass(frozen=True)
class Platform:
    good: Request
    check: Callable[[Request], Proof]


def slack(request: Request) -> Proof:
    return signatures.slack(b"8f742231b10e8888abcd99yyyzzz85a5", request.headers, request.body, request.now)


def wecom(request: Request) -> Proof:
    query = request.headers
    return WECOM.check(query[b"msg_signature"], query[b"timestamp"], query[b"nonce"], request.body, request.now)


def feishu(request: Request) -> Proof:
    return signatures.feishu(b"test key", request.headers, request.body, request.now)


def dingtalk(request: Request) -> Proof:
    return signatures.dingtalk(b"SECc0ffee", request.headers, request.body, request.now)


def webhook(request: Request) -> Proof:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    return signatures.webhook(secret, request.headers, request.body, request.now)


# Slack's, WeCom's and Standard Webhooks' own examples; for the two others what an independent reading of theirs gives.
PLATFORMS = {
    "slack": Platform(
        Request(
            {
                b"x-slack-request-timestamp": b"1531420618",
                b"x-slack-signature": b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            },
            b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
            b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
            b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
            b"803a0bc887a14d10d2c447fce8b6703c",
            1531420618,
        ),
        slack,
    ),
    "wecom": Platform(
        Request(
            {
                b"msg_signature": b"477715d11cdb4164915debcba66cb864d751f3e6",
                b"timestamp": b"1409659813",
                b"nonce": b"1372623149",
            },
            MESSAGE,
            1409659813,
        ),
        wecom,
    ),
    "feishu": Platform(
        Request(
            {
                b"x-lark-request-timestamp": b"1609073151",
                b"x-lark-request-nonce": b"a1b2c3",
                b"x-lark-signature": b"",
            },
            b'{"encrypt":"P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk="}',
            1609073151,
        ),
        feishu,
    ),
    "dingtalk": Platform(
        Request({b"timestamp": b"1577262236757", b"sign": b""}, b'{"msgId":"1"}', 1577262236.757), dingtalk
    ),
    "webhook": Platform(
        Request(
            {
                b"webhook-id": b"msg_p5jXN8AQM9LWM0D4loKWxJek",
                b"webhook-timestamp": b"1614265330",
                b"webhook-signature": b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            },
            b'{"test": 2432232314}',
            1614265330,
        ),
        webhook,
    ),
}


def signed(name: str) -> Request:
    """The request with its signature; for the two without a published one, made here by other means than the code's."""
    import hashlib

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.hmac import HMAC

    good = PLATFORMS[name].good
    if name == "feishu":
        text = (
            good.headers[b"x-lark-request-timestamp"] + good.headers[b"x-lark-request-nonce"] + b"test key" + good.body
        )
        return replace(
            good, headers=good.headers | {b"x-lark-signature": hashlib.sha256(text).hexdigest().encode("ascii")}
        )
    if name == "dingtalk":
        mac = HMAC(b"SECc0ffee", hashes.SHA256())
        mac.update(b"1577262236757\nSECc0ffee")
        return replace(good, headers=good.headers | {b"sign": base64.b64encode(mac.finalize())})
    return good


UNSIGNED = {"dingtalk": {"body"}}  # what a platform's signature leaves out


@pytest.mark.parametrize("name", PLATFORMS)
def test_what_the_platform_signed_is_believed(name: str) -> None:
    proof = PLATFORMS[name].check(signed(name))
    assert len(proof.once) == 32
    assert proof == PLATFORMS[name].check(signed(name))  # so that a second one is known


def test_the_documented_messages_are_opened() -> None:
    assert WECOM.check(b"5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", b"1409659589", b"263014780", ECHO, 1409659589)
    assert WECOM.open(ECHO) == b"1616140317555161061"
    opened = WECOM.open(MESSAGE)
    assert b"<Content><![CDATA[hello]]></Content>" in opened
    assert signatures.feishu_open(b"test key", b"P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=") == b"hello world"


@pytest.mark.parametrize("name", PLATFORMS)
def test_one_bit_less_or_more_is_not_believed(name: str) -> None:
    platform, good = PLATFORMS[name], signed(name)
    for where in (*good.headers, b"body"):
        if where.decode() in UNSIGNED.get(name, ()):
            continue
        text = good.body if where == b"body" else good.headers[where]
        for bit in range(len(text) * 8):
            changed = bytearray(text)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(Distrusted):
                platform.check(_with(good, where, bytes(changed)))


@pytest.mark.parametrize("name", PLATFORMS)
@pytest.mark.parametrize("off", [-301, 301, -86_400, 10**9])
def test_another_time_is_not_believed(name: str, off: float) -> None:
    good = signed(name)
    with pytest.raises(Distrusted, match="300 s"):
        PLATFORMS[name].check(replace(good, now=good.now + off))
    PLATFORMS[name].check(replace(good, now=good.now + (299 if off > 0 else -299)))


@pytest.mark.parametrize("name", PLATFORMS)
def test_ten_thousand_forgeries_are_refused_in_words(name: str) -> None:
    rng, platform, good = random.Random(name), PLATFORMS[name], signed(name)
    places = [p for p in (*good.headers, b"body") if p.decode() not in UNSIGNED.get(name, ())]
    for _ in range(10_000):
        where = rng.choice(places)
        text = good.body if where == b"body" else good.headers[where]
        changed = _mutated(text, rng)
        if changed != text:
            with pytest.raises(Distrusted):
                platform.check(_with(good, where, changed))


@pytest.mark.parametrize("name", PLATFORMS)
def test_what_is_missing_is_not_believed(name: str) -> None:
    good = signed(name)
    for where in good.headers:
        with pytest.raises(Distrusted):
            PLATFORMS[name].check(_with(good, where, b""))


def _with(request: Request, where: bytes, text: bytes) -> Request:
    if where == b"body":
        return replace(request, body=text)
    return replace(request, headers=request.headers | {where: text})


def _mutated(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    match rng.randrange(5):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + rng.randbytes(rng.randrange(1, 9)) + text[at:]
        case 2:
            return text[:at] + "ü\x00é".encode() + text[at + 1 :]
        case 3:
            return rng.randbytes(len(text))
        case _:
            return text[at:] + text[:at]


# ---------------------------------------------------------------- Mattermost, whose token binds nothing


def test_a_token_of_mattermost_is_believed_with_a_trigger() -> None:
    assert signatures.mattermost(b"gr8token", b"gr8token", b"trigger", 0) != signatures.mattermost(
        b"gr8token", b"gr8token", b"another", 0
    )
    assert signatures.mattermost(b"gr8token", b"gr8token", b"trigger", 0).ends > 86_400  # no time of its own ends it
    for given_token, trigger in ((b"gr8toke", b"t"), (b"", b"t"), ("gr8tokén".encode(), b"t"), (b"gr8token", b"")):
        with pytest.raises(Distrusted):
            signatures.mattermost(b"gr8token", given_token, trigger, 0)
    with pytest.raises(Distrusted):
        signatures.mattermost(b"", b"", b"t", 0)  # where no token is set, none fits


# ---------------------------------------------------------------- what is encrypted


@given(st.binary(max_size=300), st.binary(min_size=16, max_size=16))
def test_what_is_sealed_opens_for_its_receiver_alone(message: bytes, noise: bytes) -> None:
    sealed = WECOM.seal(message, noise)
    assert WECOM.open(sealed) == message
    for other in (b"wx5823bf96d3bd56c8", b"", b"x" + WECOM.receiver):
        with pytest.raises(Distrusted):
            replace(WECOM, receiver=other).open(sealed)


@given(st.binary(max_size=200))
def test_no_bytes_break_what_opens(noise: bytes) -> None:
    for sealed in (noise, base64.b64encode(noise), base64.b64encode(noise * 16)):
        for opening in (WECOM.open, lambda one: signatures.feishu_open(b"test key", one)):
            try:
                opening(sealed)
            except Distrusted:
                continue


def test_a_request_whose_parts_are_cut_otherwise_is_the_same_request() -> None:
    """WeCom signs its parts without anything between them: a nought may go from the nonce to the time."""
    first, again = ((b"1409659589", b"000"), (b"01409659589", b"00"))
    given = WECOM.sign(*first, ECHO)
    assert given == WECOM.sign(*again, ECHO)
    assert WECOM.check(given, *first, ECHO, 1409659589).once == WECOM.check(given, *again, ECHO, 1409659589).once


def test_a_key_of_another_length_opens_nothing() -> None:
    for key in (b"", b"short", b"\xff" * 43, WECOM.key + b"A"):
        with pytest.raises(Distrusted):
            replace(WECOM, key=key).open(ECHO)


# ---------------------------------------------------------------- how secrets are compared


def test_secrets_are_compared_in_constant_time_alone() -> None:
    """No `==` and no `in` between bytes in the module: numbers and lengths alone are compared so."""
    tree = ast.parse(Path(signatures.__file__).read_text(encoding="utf-8"))
    called = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "compare_digest"]
    assert called
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(
            isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn | ast.Is) for op in node.ops
        ):
            assert ast.unparse(node) in {
                "len(key) != 32",
                "len(vector) != AES_BLOCK",
                "plain[-fill:] != bytes([fill]) * fill",  # padding, behind the signature
            }, ast.unparse(node)


def test_no_part_of_chat_compares_a_secret_by_itself() -> None:
    """What the other modules of chat are given as a secret goes to `signatures`, never into a comparison."""
    for path in Path(chat.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                words = ast.unparse(node).lower()
                assert not any(word in words for word in ("secret", "token", "signature", "password", "mark")), (
                    f"{path.name}:{node.lineno}"
                )

"""What no route ever sees: foreign hosts and origins, bodies too large, badly packed, or cut off."""

from __future__ import annotations

import gzip
import json
import socket

import httpx
import pytest

from aiops.service import server

HOOK = "/v1/webhooks/alertmanager"
EMPTY = json.dumps({"version": "4", "alerts": []}).encode()
LIMIT = 2 * 2**20  # conftest.BODY_LIMIT


def test_a_packed_body_is_read(shared: httpx.Client) -> None:
    packed = shared.post(HOOK, content=gzip.compress(EMPTY), headers={"content-encoding": "gzip"})
    assert packed.status_code == 202
    assert packed.json() == {"accepted": 0, "duplicates": 0, "suppressed": 0, "diagnoses": []}


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        (b" " * (LIMIT + 1), "identity", 413),
        (gzip.compress(b" " * (100 * LIMIT)), "gzip", 413),
        (gzip.compress(EMPTY)[:-3], "gzip", 400),
        (b"plain", "gzip", 400),
        (b"", "gzip", 400),
        (EMPTY, "br", 415),
        (EMPTY, "gzip, gzip", 415),
    ],
)
def test_bodies_that_are_too_large_or_badly_packed(
    shared: httpx.Client, content: bytes, encoding: str, status: int
) -> None:
    refused = shared.post(HOOK, content=content, headers={"content-encoding": encoding})
    assert refused.status_code == status
    assert refused.json()["detail"]


def test_a_body_without_a_length_is_limited_too(shared: httpx.Client) -> None:
    refused = shared.post(HOOK, content=(b" " * 65536 for _ in range(64)))
    assert refused.status_code == 413


def test_the_largest_body_passes(shared: httpx.Client) -> None:
    assert shared.post(HOOK, content=EMPTY + b" " * (LIMIT - len(EMPTY))).status_code == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"])
def test_another_host_is_not_answered(shared: httpx.Client, host: str) -> None:
    assert shared.get("/healthz", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:1", "[::1]:80"])
def test_our_own_names_are_answered(shared: httpx.Client, host: str) -> None:
    assert shared.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://["])
def test_a_page_of_another_origin_can_start_nothing(shared: httpx.Client, origin: str) -> None:
    assert shared.post(HOOK, content=EMPTY, headers={"origin": origin}).status_code == 403


def test_every_answer_forbids_sniffing_and_framing(shared: httpx.Client) -> None:
    for path in ("/", "/healthz", "/no-such-page", "/v1/diagnoses", "/reports/none"):
        headers = shared.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_a_client_that_goes_away_harms_nobody(shared: httpx.Client) -> None:
    for sent in (
        b"POST " + HOOK.encode() + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
        b"\x16\x03\x01\x00",
    ):
        with socket.create_connection((shared.base_url.host, shared.base_url.port or 0)) as raw:
            raw.sendall(sent)
    assert shared.get("/healthz").status_code == 200


def test_answers_are_not_held_back_by_nagle() -> None:
    with server.bind("127.0.0.1:0") as opened:
        assert opened.proto == socket.IPPROTO_TCP  # what makes asyncio set TCP_NODELAY on every connection

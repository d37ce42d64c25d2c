"""The door to HTTP sources: what is tried again, what is refused, who may open it; against real servers on this machine."""

from __future__ import annotations

import gzip
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aiops.adapters import gate, http
from aiops.adapters.gate import Gate, Shut
from aiops.adapters.http import Access
from aiops.errors import ConfigError, SourceBusy, SourceGarbled, SourceUnreachable

from servers.listening import listening

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def web(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[BaseHTTPRequestHandler]]]:
    """A server that gives the answers one after the other, then the last again and again; (its address, who asked)."""
    asked: list[BaseHTTPRequestHandler] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(self)
            answers[min(len(asked), len(answers)) - 1](self)

        do_GET = do_POST  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler, tls) as url:
        yield url, asked


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def chunks(*parts: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b"")))

    return answer


def ask(access: Access | str, seconds: float = 10) -> bytes:
    access = Access(access) if isinstance(access, str) else access
    with access.session("something", seconds) as session:
        return session.ask("POST", access.url, {"a": "b"})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_PAUSE_S", 0.01)


# ---------------------------------------------------------------- trying again


@pytest.mark.parametrize("first", [says(502), says(503), says(504), hangs_up, says(429, Retry_After="0")])
def test_what_another_try_may_mend_is_tried_again(first: Answer) -> None:
    with web(first, first, says(200, b"here")) as (url, asked):
        assert ask(url) == b"here"
    assert len(asked) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500])
def test_what_none_can_mend_is_not(status: int) -> None:
    with web(says(status), says(200)) as (url, asked), pytest.raises(http.SourceError, match=f"HTTP {status}"):
        ask(url)
    assert len(asked) == 1


def test_a_pause_that_is_longer_than_the_time_left_is_not_made() -> None:
    with web(says(429, b"too many", Retry_After="60")) as (url, asked), pytest.raises(SourceBusy, match="too many"):
        ask(url)
    assert len(asked) == 1


def test_the_date_of_retry_after_is_understood() -> None:
    past = (datetime.now(UTC) - timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    with web(says(429, Retry_After=past), says(200, b"here")) as (url, _):
        assert ask(url) == b"here"


def test_a_connection_that_the_server_closed_meanwhile_is_made_again() -> None:
    with web(says(200, b"1", Connection="close"), says(200, b"2")) as (url, _):
        access = Access(url)
        with access.session("something", 10) as session:
            assert [session.ask("GET", url), session.ask("GET", url)] == [b"1", b"2"]


# ---------------------------------------------------------------- the breaker


def test_a_source_that_is_down_is_left_in_peace_and_asked_again() -> None:
    now = [0.0]
    one = Gate(lambda: now[0])
    for _ in range(gate.FAILURES):
        with one.turn(1):
            one.failed("refused")
        now[0] += 1
    with pytest.raises(Shut, match=r"5 requests since [\d:]+Z failed, the last with: refused; tried again in 9 s"):
        one.turn(1).__enter__()
    now[0] += gate.PAUSE_S
    with one.turn(1):  # one is let through
        with pytest.raises(Shut):
            one.turn(1).__enter__()
        one.failed("refused again")
    now[0] += gate.PAUSE_S
    with pytest.raises(Shut, match="refused again"):  # the pause is twice as long
        one.turn(1).__enter__()
    now[0] += gate.PAUSE_S
    for _ in range(5):
        with one.turn(1):
            one.failed("still")
        now[0] += gate.LONGEST_PAUSE_S  # one that comes back is not left alone for longer
    with one.turn(1):
        one.answered()
    with one.turn(1):
        pass


def test_the_breaker_speaks_through_the_door() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        access = Access(f"http://127.0.0.1:{probe.getsockname()[1]}")
    for _ in range(gate.FAILURES):
        with pytest.raises(SourceUnreachable, match="refused"):
            ask(access)
    with pytest.raises(SourceUnreachable, match=r"not asked: 5 requests since .* tried again in"):
        ask(access)


def test_no_more_than_a_few_requests_are_under_way() -> None:
    one = Gate()
    turns = [one.turn(1) for _ in range(gate.REQUESTS)]
    for turn in turns:
        turn.__enter__()
    with pytest.raises(Shut, match="under way"):
        one.turn(0.01).__enter__()
    turns[0].__exit__(None, None, None)
    with one.turn(0.01):
        pass


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("size", [0, 1, 5_000, 8_192, 9_000, 300_000])
def test_a_body_in_chunks_on_a_connection_that_stays_open(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    parts = [part for part in (body[: size // 3], body[size // 3 : size // 2], body[size // 2 :]) if part]
    with web(chunks(*parts)) as (url, _):
        access = Access(url)
        with access.session("something", 5) as session:
            assert session.ask("GET", url) == body
            assert session.ask("GET", url) == body


def test_a_compressed_body_is_unpacked() -> None:
    body = json.dumps(list(range(100_000))).encode()
    with web(says(200, gzip.compress(body), Content_Encoding="gzip")) as (url, _):
        assert ask(url) == body


def test_a_gzip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    assert len(bomb) < 1 << 20
    with (
        web(says(200, bomb, Content_Encoding="gzip")) as (url, _),
        pytest.raises(SourceGarbled, match="a decompression bomb"),
    ):
        ask(url)


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 10_000)[:-9]])
def test_a_broken_compressed_body_is_an_error(body: bytes) -> None:
    with (
        web(says(200, body, Content_Encoding="gzip")) as (url, _),
        pytest.raises(http.SourceError, match=r"cut|unpacked"),
    ):
        ask(url)


@pytest.mark.parametrize("packed", [False, True])
def test_too_large_a_body_is_refused(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1 << 20)
    body = bytes(range(256)) * 8192
    answer = says(200, gzip.compress(body), Content_Encoding="gzip") if packed else says(200, body)
    with web(answer) as (url, _), pytest.raises(SourceGarbled, match="more than 1 MiB"):
        ask(url)


# ---------------------------------------------------------------- who is there


def certificate(
    folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Writes name.pem and name.key; without an issuer it is an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return built, key


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    authority = certificate(folder, "authority")
    certificate(folder, "server", authority)
    certificate(folder, "client", authority)
    certificate(folder, "stranger")
    return folder


@pytest.fixture
def guarded(papers: Path) -> Iterator[str]:
    """A server that answers those whom the authority knows."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(papers / "server.pem", papers / "server.key")
    tls.load_verify_locations(papers / "authority.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    with web(says(200, b"come in"), tls=tls) as (url, _):
        yield url


def to(url: str, papers: Path, **files: str) -> Access:
    return Access.to(url, "prometheus", "metrics source", **{k: str(papers / v) for k, v in files.items()})


def test_a_client_certificate_opens_the_door(guarded: str, papers: Path) -> None:
    access = to(guarded, papers, ca_file="authority.pem", cert_file="client.pem", key_file="client.key")
    assert ask(access) == b"come in"


def test_without_one_or_with_a_strangers_it_stays_shut(guarded: str, papers: Path) -> None:
    with pytest.raises(SourceUnreachable):
        ask(to(guarded, papers, ca_file="authority.pem"))
    with pytest.raises(SourceUnreachable):
        ask(to(guarded, papers, ca_file="authority.pem", cert_file="stranger.pem", key_file="stranger.key"))


def test_a_server_that_no_authority_knows_is_not_believed(guarded: str, papers: Path) -> None:
    with pytest.raises(SourceUnreachable, match="its certificate is not trusted"):
        ask(to(guarded, papers))
    with pytest.raises(SourceUnreachable, match="its certificate is not trusted"):
        ask(to(guarded, papers, ca_file="stranger.pem"))


@pytest.mark.parametrize(
    ("url", "files"),
    [
        ("https://host", {"ca_file": "absent.pem"}),
        ("https://host", {"ca_file": "client.key"}),
        ("https://host", {"cert_file": "client.pem", "key_file": "server.key"}),
        ("https://host", {"key_file": "client.key"}),
        ("http://host", {"cert_file": "client.pem", "key_file": "client.key"}),
    ],
)
def test_papers_that_are_none_are_named_at_once(url: str, files: dict[str, str], papers: Path) -> None:
    with pytest.raises(ConfigError, match="metrics source"):
        to(url, papers, **files)


def test_the_tenant_and_the_token_are_sent() -> None:
    with web(says(200)) as (url, asked):
        ask(Access(url, token="s3cret", tenant="team-a"))
        ask(Access(url, user="me", password="s3cret"))
    assert asked[0].headers["X-Scope-OrgID"] == "team-a"
    assert asked[0].headers["Authorization"] == "Bearer s3cret"
    assert asked[1].headers["Authorization"].startswith("Basic ")


@pytest.mark.parametrize("off", [0, 3600, -3600])
def test_how_far_a_server_s_clock_is_off(off: int) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(404)  # whatever it says, it dates it
        handler.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(seconds=off), usegmt=True))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with web(answer) as (url, _):
        found = http.skew_s(Access(url), 60)
    assert found is not None
    # Less by as long as the answer took.
    assert off - 60 < found <= off if off > 0 else off <= found < off + 60


def test_a_server_that_dates_nothing_tells_no_clock() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(204)
        handler.end_headers()

    with web(answer) as (url, _):
        assert http.skew_s(Access(url), 60) is None

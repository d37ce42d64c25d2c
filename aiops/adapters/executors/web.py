"""HTTP to named targets: method, path and address must be what the target allows; a redirect is a failure, and no proxy is asked."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from aiops.adapters.executors import addresses
from aiops.domain import Outcome, RunStatus, Usage
from aiops.errors import DataError, Refused
from aiops.schema import fill

MOST_BODY = 1 << 20
_PATH = re.compile(r"(/[A-Za-z0-9._~:@+,=-]*)+")


@dataclass(frozen=True, slots=True)
class Target:
    """A service that may be called: where it is, what may be asked of it, and the token that opens it.

    paths: patterns of RE2, one of which must fit wholly. networks: where its name may lead, () = the public internet."""

    name: str
    url: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    networks: tuple[addresses.Network, ...] = ()
    token: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, compare=False)
    socket: str = ""  # a Unix socket instead of an address


def target(
    name: str,
    url: str,
    methods: Sequence[str],
    paths: Sequence[str],
    networks: Sequence[str] = (),
    token_file: str = "",
    ca_file: str = "",
) -> Target:
    """A target with the content of its files. OSError when one can't be read."""
    within = tuple(ipaddress.ip_network(network) for network in networks)
    token = Path(token_file).read_text(encoding="utf-8").strip() if token_file else ""
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    place = url.removeprefix("unix:") if url.startswith("unix:") else ""
    base = "http://localhost" if place else url
    return Target(name, base, tuple(methods), tuple(paths), within, token, tls, place)


@dataclass(frozen=True, slots=True)
class Request:
    """One call, checked."""

    target: Target
    method: str
    path: str
    body: bytes
    kind: str = "application/json"


def request(
    targets: Mapping[str, Target], name: str, method: str, path: str, body: str = "", kind: str = "application/json"
) -> Request:
    """Refused for what the target doesn't allow; DataError for a body that is no JSON."""
    target = targets.get(name)
    if target is None:
        raise Refused(f"no target {name!r}; there are {', '.join(sorted(targets)) or 'none'} (rules/targets.yaml)")
    if method not in target.methods:
        raise Refused(f"{name} allows no {method}; it allows {', '.join(target.methods)}")
    plain = _PATH.fullmatch(path) is not None and not {"..", ".", ""} & set(path[1:].split("/"))
    if not plain or not any(fill.fits(pattern, path) for pattern in target.paths):
        raise Refused(f"{name} allows no path {path!r}")
    if body:
        try:
            msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise DataError(f"{body[:100]!r} is no JSON: {error}") from error
    return Request(target, method, path, body.encode(), kind)


def silence(targets: Mapping[str, Target], arguments: Mapping[str, str], now: datetime | None = None) -> Request:
    """A silence of Alertmanager that ends by itself."""
    begins = now or datetime.now(UTC)
    ends = begins + timedelta(seconds=fill.seconds(arguments["for"]))
    matcher = {"name": arguments["label"], "value": arguments["value"], "isRegex": False, "isEqual": True}
    told = {
        "matchers": [matcher],
        "startsAt": begins.isoformat(),
        "endsAt": ends.isoformat(),
        "createdBy": "aiops",
        "comment": arguments["comment"],
    }
    return request(targets, arguments["target"], "POST", "/api/v2/silences", msgspec.json.encode(told).decode())


def rehearse(one: Request) -> Outcome:
    """What would be sent, and whether the target's name leads where it may; nothing is sent."""
    try:
        where = one.target.socket or _address(one.target)
    except Refused as error:
        return Outcome(RunStatus.REFUSED, why=str(error))
    except OSError as error:
        return Outcome(RunStatus.FAILED, why=f"{one.target.name}: {error}")
    return Outcome(
        RunStatus.OK, output=f"would send {one.method} {one.target.url}{one.path} to {where}: {one.body.decode()}"
    )


def send(one: Request, key: str, timeout: float) -> Outcome:
    """Sends it once, under one deadline. What was sent and not answered is `unknown`: it may have been done."""
    began = time.monotonic()
    try:
        connection = _connect(one.target, timeout)
    except Refused as error:
        return Outcome(RunStatus.REFUSED, why=str(error))
    except OSError as error:
        return Outcome(RunStatus.FAILED, why=f"{one.target.name}: {error}")
    cut = threading.Timer(max(0.0, timeout - (time.monotonic() - began)), _hang_up, [connection])
    cut.daemon = True
    cut.start()
    try:
        return _answered(one, connection, key, began)
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = time.monotonic() - began >= timeout
        why = f"no answer within {timeout:g} s" if late else f"{type(error).__name__}: {error}"
        return Outcome(RunStatus.UNKNOWN, usage=_usage(began), why=f"{one.target.name}: {why}; it may have been done")
    finally:
        cut.cancel()
        connection.close()


def _answered(one: Request, connection: http.client.HTTPConnection, key: str, began: float) -> Outcome:
    headers = {"Idempotency-Key": key, "User-Agent": "aiops", "Accept-Encoding": "identity"}
    headers |= {"Content-Type": one.kind} if one.body else {}
    headers |= {"Authorization": f"Bearer {one.target.token}"} if one.target.token else {}
    connection.request(one.method, one.path, one.body or None, headers)
    answer = connection.getresponse()
    said = answer.read(MOST_BODY + 1)[:MOST_BODY].decode("utf-8", "replace")
    if one.target.token:
        said = said.replace(one.target.token, "***")
    output, usage = f"{answer.status} {said}", _usage(began)
    if 200 <= answer.status < 300:
        return Outcome(RunStatus.OK, answer.status, output, usage)
    why = f"{one.target.name} answered {answer.status}"
    if 300 <= answer.status < 400:
        why += ", a redirect, which is not followed"
    return Outcome(RunStatus.FAILED, answer.status, output, usage, why)


def _usage(began: float) -> Usage:
    return Usage(wall_ms=(time.monotonic() - began) * 1e3)


def _address(target: Target) -> str:
    parts = urlsplit(target.url)
    return addresses.resolve(parts.hostname or "", parts.port or _port(target), target.networks)


def _port(target: Target) -> int:
    return 443 if target.url.startswith("https:") else 80


def _connect(target: Target, timeout: float) -> http.client.HTTPConnection:
    """A connection to the address that was checked; the name is what the certificate must be for."""
    parts = urlsplit(target.url)
    host, port = parts.hostname or "", parts.port or _port(target)
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    if target.socket:
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(timeout)
        try:
            link.connect(target.socket)
        except OSError:
            link.close()
            raise
        connection.sock = link
        return connection
    link = socket.create_connection((_address(target), port), timeout)
    if target.url.startswith("https:"):
        try:
            link = (target.tls or ssl.create_default_context()).wrap_socket(link, server_hostname=host)
        except OSError:
            link.close()
            raise
    connection.sock = link
    return connection


def _hang_up(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        try:
            connection.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

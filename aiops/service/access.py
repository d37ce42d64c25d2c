"""Who may do what: bearer tokens from a file, roles, and the cookie that a browser gets for a token.

A line of the file is `ROLE NAME sha256:HEX`, `#` begins a comment. Only hashes are kept, so that who reads the file can't
come in; a changed file counts within a second, and one that can't be read or understood changes nothing. Without a file
everybody is trusted, and the server listens on the loopback alone.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from aiops.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how long a changed file may go unnoticed
SESSION_S = 12 * 3600
SESSIONS = 1000
COOKIE = "aiops_session"


class Role(IntEnum):
    """Each may do what those before it may."""

    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks."""

    name: str
    role: Role


LOCAL = Principal("local", Role.ADMIN)  # everybody, where there are no tokens

# The first that fits counts: methods, how the path begins (a `$` at its end: is all of it), who may. None: no token needed.
RULES: tuple[tuple[str, str, Role | None], ...] = (
    ("GET", "/healthz$", None),
    ("GET", "/readyz$", None),
    ("GET POST", "/login$", None),
    ("POST", "/logout$", None),
    ("POST", "/v1/webhooks/", Role.OPERATOR),
    ("POST", "/v1/chat/slack$", None),  # signed by the platform
    ("POST", "/v1/chat/mattermost$", None),
    ("GET POST", "/v1/chat/wecom$", None),
    ("GET POST", "/v1/chat/wechat$", None),
    ("POST", "/v1/chat/feishu$", None),
    ("POST", "/v1/chat/dingtalk$", None),
    ("POST", "/v1/ask$", Role.OPERATOR),
    ("POST", "/v1/tasks$", Role.OPERATOR),
    ("POST", "/v1/changes$", Role.OPERATOR),
    ("POST", "/v1/diagnoses/", Role.OPERATOR),
    ("POST", "/v1/remediations$", Role.OPERATOR),
    ("POST", "/v1/remediations/stop$", Role.ADMIN),
    ("POST", "/v1/remediations/resume$", Role.ADMIN),
    ("POST", "/v1/remediations/", Role.APPROVER),
    ("GET", "/v1/remediations", Role.VIEWER),
    ("GET", "/v1/diagnoses", Role.VIEWER),
    ("GET", "/reports/", Role.VIEWER),
    ("GET", "/r$", Role.VIEWER),
    ("GET", "/$", Role.VIEWER),
    ("GET", "/diagnoses/", Role.VIEWER),
    ("GET", "/anomalies$", Role.VIEWER),
    ("GET", "/graph$", Role.VIEWER),
    ("GET", "/repairs$", Role.VIEWER),
    ("GET", "/repairs/", Role.VIEWER),
    ("POST", "/repairs/plan$", Role.OPERATOR),
    ("POST", "/repairs/stop$", Role.ADMIN),
    ("POST", "/repairs/resume$", Role.ADMIN),
    ("POST", "/repairs/", Role.APPROVER),
    ("GET", "/language$", None),
    ("GET POST", "/ask$", Role.OPERATOR),
    ("POST", "/run$", Role.OPERATOR),
    ("GET", "/sessions$", Role.ADMIN),
    ("GET", "/audit$", Role.ADMIN),
    ("GET POST DELETE", "/mcp$", Role.VIEWER),  # each tool asks for its own
    ("GET", "/metrics$", Role.VIEWER),
    ("GET", "/openapi.json$", Role.VIEWER),
)


_LINE = re.compile(rf"({'|'.join(role.name.lower() for role in Role)}) (\S+) sha256:([0-9a-f]{{64}})")


def needed(method: str, path: str) -> Role | None:
    """The least role for a request; what no rule names is for admins."""
    method = "GET" if method == "HEAD" else method
    for methods, beginning, role in RULES:
        whole = beginning.endswith("$")
        fits = path == beginning[:-1] if whole else path.startswith(beginning)
        if fits and method in methods.split():
            return role
    return Role.ADMIN


def parse(text: str, name: str) -> dict[bytes, Principal]:
    """SHA-256 of a token -> whose it is. ConfigError names the line that is none."""
    found: dict[bytes, Principal] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not (words := line.partition("#")[0].split()):
            continue
        told = _LINE.fullmatch(" ".join(words))
        if told is None:
            known = ", ".join(each.name.lower() for each in Role)
            raise ConfigError(f"{name}, line {number}: not `ROLE NAME sha256:HEX` with a role of {known}")
        role, who, digest = told.groups()
        found[bytes.fromhex(digest)] = Principal(who, Role[role.upper()])
    if not found:
        raise ConfigError(f"{name}: holds no token; `aiops config token ROLE NAME` makes one")
    return found


def new_token(role: str, name: str) -> tuple[str, str]:
    """(a token that nobody can guess, the line of the file that lets it in). ConfigError for a name that no line can hold."""
    token = secrets.token_urlsafe(32)
    line = f"{role} {name} sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    if not _LINE.fullmatch(line) or "#" in name:
        raise ConfigError(f"{name!r} is no name for a token: it must be one word without #")
    return token, line


class Tokens:
    """The tokens of a file, read again when it changes. Thread-safe. Raises ConfigError when it can't be read at first."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._state = self._stat()
        self._known: Mapping[bytes, Principal] = self._read()

    def find(self, token: bytes) -> Principal | None:
        """Whose token it is. Takes the same time for whatever is not known."""
        return self.of(hashlib.sha256(token).digest())

    def of(self, digest: bytes) -> Principal | None:
        """Whose token has this SHA-256."""
        self._refresh()
        found = None
        for key, principal in self._known.items():
            if hmac.compare_digest(key, digest):
                found = principal
        return found

    def _refresh(self) -> None:
        with self._lock:
            now = self._clock()
            if now - self._looked < LOOK_S:
                return
            self._looked = now
            state = self._stat()
            if state == self._state:
                return
            self._state = state
            try:
                self._known = self._read()
                log.info("%s: %d tokens", self._path, len(self._known))
            except ConfigError as error:
                log.warning("the tokens stay as they were: %s", error)

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - as cheap as it gets: asked once a second
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> Mapping[bytes, Principal]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"service.tokens_file: can't read {self._path}: {error}") from error
        return parse(text, str(self._path))


class Access:
    """Tells who asks. `tokens` None: everybody is `LOCAL`."""

    def __init__(self, tokens: Tokens | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens, self._clock = tokens, clock
        # SHA-256 of a session's id -> (SHA-256 of its token, when it ends), oldest first; the event loop alone uses it.
        self._sessions: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()

    @property
    def open(self) -> bool:
        """Whether nobody needs a token."""
        return self._tokens is None

    def who(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        """By the bearer token, else by the session of the cookie."""
        if self._tokens is None:
            return LOCAL
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            return self._tokens.find(token.strip())
        return self._of_session(_cookie(headers.get(b"cookie", b"")))

    def login(self, token: bytes) -> str | None:
        """The id of a session for the token; None when it is not known."""
        if self._tokens is None or self._tokens.find(token) is None:
            return None
        session = secrets.token_urlsafe(32)
        self._sessions[_digest(session.encode())] = hashlib.sha256(token).digest(), self._clock() + SESSION_S
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def logout(self, headers: Mapping[bytes, bytes]) -> None:
        self._sessions.pop(_digest(_cookie(headers.get(b"cookie", b""))), None)

    def _of_session(self, session: bytes) -> Principal | None:
        held = self._sessions.get(_digest(session)) if session else None
        if held is None or self._tokens is None:
            return None
        token, ends = held
        # A token that was taken out of the file ends its sessions, too.
        return self._tokens.of(token) if self._clock() < ends else None


def _digest(session: bytes) -> bytes:
    return hashlib.sha256(session).digest()


def _cookie(header: bytes) -> bytes:
    for part in header.split(b";"):
        name, _, value = part.strip().partition(b"=")
        if name == COOKIE.encode():
            return value
    return b""

"""Grafana's side of annotations, for tests: takes what its API reference says that it takes, and nothing else.

Every request is checked against tests/data/grafana/annotations.yaml; what is wrong with one stands in `wrong`, so that a client that
swallows the 400 is found out all the same.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import yaml

from servers.listening import listening

CONTRACT = yaml.safe_load((Path(__file__).parents[1] / "data/grafana/annotations.yaml").read_text())["paths"]
TOKEN = "glsa_of_a_test"


@dataclass
class Board:
    """What a Grafana holds, and how it behaves."""

    dashboards: tuple[str, ...] = ("checkout",)  # on which the token may write; any other is forbidden
    token: str = TOKEN
    status: int = 0  # answers all with that, unless 0
    deaf: int = 0  # so many more writes are done and never answered
    made: int = 0
    held: dict[int, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)  # method, path, body or query
    wrong: list[str] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def writes(self) -> list[str]:
        return [method for method, _, _ in self.asked if method != "GET"]


@contextmanager
def grafana(**how: Any) -> Iterator[Board]:
    board = Board(**how)
    with listening(_handler(board)) as url:
        board.url = url
        yield board


def _handler(board: Board) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with board.lock:
                status, told = _answer(board, self.command, self.path, self.headers.get("Authorization", ""), body)
                if board.deaf and self.command != "GET" and status == 200:
                    board.deaf -= 1
                    self.close_connection = True
                    self.connection.close()
                    return
            data = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.do_GET
            raise AttributeError(name)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _answer(board: Board, method: str, address: str, authorization: str, body: bytes) -> tuple[int, Any]:
    parts = urlsplit(address)
    known = f"{parts.path.rsplit('/', 1)[0]}/{{annotation_id}}" if parts.path[-1:].isdigit() else parts.path
    operation = CONTRACT.get(known, {}).get(method.lower())
    sent: Any = json.loads(body) if body else dict(parse_qsl(parts.query, keep_blank_values=True))
    board.asked.append((method, parts.path, sent))
    if problem := "no such operation" if operation is None else _problem(operation, parts.query, body):
        board.wrong.append(f"{method} {address}: {problem}")
        return 400, {"message": "bad request data"}
    if board.status:
        return board.status, {"message": "as the test says"}
    if known == "/api/health":
        return 200, {"database": "ok", "version": "11.6.1", "commit": "ae23ead4d9"}
    if authorization != f"Bearer {board.token}":
        return 401, {"message": "Invalid API key"}
    if method == "GET":
        return 200, _found(board, sent)
    return _added(board, sent) if method == "POST" else _patched(board, int(parts.path.rsplit("/", 1)[1]), sent)


def _added(board: Board, sent: dict[str, Any]) -> tuple[int, Any]:
    if sent.get("dashboardUID") not in (None, *board.dashboards):
        return 403, {"message": "Access denied to save the annotation"}
    board.made += 1
    board.held[board.made] = {"timeEnd": sent.get("time")} | sent
    return 200, {"id": board.made, "message": "Annotation added"}


def _patched(board: Board, number: int, sent: dict[str, Any]) -> tuple[int, Any]:
    if number not in board.held:
        return 404, {"message": "Could not find annotation to update"}
    board.held[number] |= sent
    return 200, {"message": "Annotation patched"}


def _problem(operation: dict[str, Any], query: str, body: bytes) -> str:
    """What does not fit the contract; "" when all does."""
    schemas = {one["name"]: one["schema"] for one in operation.get("parameters", ())}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in schemas:
            return f"{name} is no parameter"
        value: Any = int(text) if schemas[name].get("type") == "integer" and text.isdecimal() else text
        if not jsonschema.Draft202012Validator(schemas[name]).is_valid(value):
            return f"{name}={text}"
    if "body" in operation:
        errors = jsonschema.Draft202012Validator(operation["body"]).iter_errors(json.loads(body or b"null"))
        return "; ".join(error.message for error in errors)
    return "a body" if body else ""


def _found(board: Board, asked: dict[str, str]) -> list[dict[str, Any]]:
    """By tag and time, as Grafana does: what overlaps, newest first."""
    first, last = int(asked.get("from", 0)), int(asked.get("to", 1 << 62))
    rows = [
        {"id": number, "alertId": 0, "dashboardUID": "", "panelId": 0} | one
        for number, one in board.held.items()
        if one["timeEnd"] >= first and one["time"] <= last and asked.get("tags", one["tags"][0]) in one["tags"]
    ]
    return sorted(rows, key=lambda row: -row["timeEnd"])[: int(asked.get("limit", 100))]

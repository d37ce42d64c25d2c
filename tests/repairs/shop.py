"""A shop to be repaired, as a process: keeps replicas, tells figures to a Prometheus, and writes down whoever asks it for what.

shop.py PORT LOG
"""

from __future__ import annotations

import json
import string
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPLICAS: dict[str, int] = dict.fromkeys(("cart", "search", *string.ascii_lowercase), 1)
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        lines = [f'shop_replicas{{service="{name}"}} {count}' for name, count in REPLICAS.items()]
        lines += [f'shop_latency_seconds{{service="{name}"}} {2 / count}' for name, count in REPLICAS.items()]
        self.say("\n".join(lines) + "\n")

    def act(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = {"path": self.path, "key": self.headers.get("Idempotency-Key"), "body": body.decode()}
        with LOCK, Path(sys.argv[2]).open("a", encoding="utf-8") as log:
            log.write(json.dumps(told) + "\n")
        service, _, what = self.path[1:].partition("/")
        if what == "replicas":
            REPLICAS[service] = json.loads(body)["replicas"]
        self.say("password=hunter2hunter2 \x1b[31mdone\n")

    do_POST = do_PUT = act  # noqa: N815 - the names that the base class looks for

    def say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class Shop(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Whoever asked was killed."""


if __name__ == "__main__":
    Shop(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

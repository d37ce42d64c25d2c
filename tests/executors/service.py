"""A service of the tests' own, as a process: keeps replicas and containers, and behaves badly where it is asked to.

service.py PORT|PATH-OF-SOCKET LOG
"""

from __future__ import annotations

import json
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STATE: dict[str, Any] = {"replicas": 3, "running": False}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def act(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        told = {"method": self.command, "path": self.path, "body": body, "headers": dict(self.headers)}
        with Path(sys.argv[2]).open("a") as log:
            log.write(json.dumps(told) + "\n")
        self.behave(body)

    do_GET = do_POST = do_PUT = do_PATCH = act  # noqa: N815 - the names that the base class looks for

    def behave(self, body: str) -> None:
        last = self.path.rpartition("/")[2]
        if last == "replicas" and body:
            STATE["replicas"] = json.loads(body)["replicas"]
        if last == "restart":
            STATE["running"] = "broken" not in self.path
        match last:
            case "redirect":
                self.say(307, "", Location="http://169.254.169.254/latest/meta-data")
            case "slow":
                time.sleep(30)
            case "drip":
                self.drip()
            case "dies":
                self.close_connection = True
                self.connection.close()
            case "huge":
                self.say(200, "x" * (3 << 20))
            case "no":
                self.say(409, '{"error": "no"}')
            case "echo":
                self.say(200, self.headers.get("Authorization", ""))
            case _:
                self.say(200, json.dumps({"State": {"Running": STATE["running"]}, "replicas": STATE["replicas"]}))

    def drip(self) -> None:
        for _ in range(300):
            self.wfile.write(b"H")
            time.sleep(0.1)

    def say(self, status: int, text: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())


class Local(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    where = sys.argv[1]
    server = ThreadingHTTPServer(("127.0.0.1", int(where)), Handler) if where.isdigit() else Local(where, Handler)
    server.serve_forever()

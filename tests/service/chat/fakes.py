"""Servers that stand where chat platforms are: they take what the platforms' documentation says, refuse what it does not, and can be
told to have trouble."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

PNG = b"\x89PNG\r\n\x1a\n"
_TEXT = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {
        "type": {"enum": ["plain_text", "mrkdwn"]},
        "text": {"type": "string", "minLength": 1, "maxLength": 3000},
        "emoji": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_LABEL = {
    **_TEXT,
    "properties": {**_TEXT["properties"], "type": {"const": "plain_text"}, "text": {"type": "string", "maxLength": 75}},  # type: ignore[dict-item]
}
_BUTTON = {
    "type": "object",
    "required": ["type", "text", "action_id", "value"],
    "properties": {
        "type": {"const": "button"},
        "text": _LABEL,
        "action_id": {"type": "string", "maxLength": 255},
        "value": {"type": "string", "maxLength": 2000},
        "style": {"enum": ["primary", "danger"]},
    },
    "additionalProperties": False,
}
_BLOCK = {
    "oneOf": [
        {
            "type": "object",
            "required": ["type", "text"],
            "properties": {"type": {"const": "section"}, "text": _TEXT},
            "additionalProperties": False,
        },
        {
            "type": "object",
            "required": ["type", "elements"],
            "properties": {
                "type": {"const": "actions"},
                "elements": {"type": "array", "items": _BUTTON, "maxItems": 25},
            },
            "additionalProperties": False,
        },
    ]
}
_SAID = {
    "text": {"type": "string", "minLength": 1, "maxLength": 4000},
    "blocks": {"type": "array", "maxItems": 50, "items": _BLOCK},
}
_CHANNEL = {"type": "string", "pattern": "^C[A-Z0-9]+$"}
_TS = {"type": "string", "pattern": r"^\d{10}\.\d{6}$"}
SLACK: dict[str, Any] = {
    "reply": {
        "type": "object",
        "required": ["response_type", "text", "blocks"],
        "properties": {
            "response_type": {"enum": ["in_channel", "ephemeral"]},
            "replace_original": {"const": False},
            **_SAID,
        },
        "additionalProperties": False,
    },
    "chat.postMessage": {
        "type": "object",
        "required": ["channel", "text", "blocks"],
        "properties": {
            "channel": _CHANNEL,
            "thread_ts": _TS,
            "unfurl_links": {"type": "boolean"},
            "unfurl_media": {"type": "boolean"},
            "metadata": {
                "type": "object",
                "required": ["event_type", "event_payload"],
                "properties": {"event_type": {"type": "string"}, "event_payload": {"type": "object"}},
                "additionalProperties": False,
            },
            **_SAID,
        },
        "additionalProperties": False,
    },
    "chat.update": {
        "type": "object",
        "required": ["channel", "ts", "text", "blocks"],
        "properties": {"channel": _CHANNEL, "ts": _TS, **_SAID},
        "additionalProperties": False,
    },
}
_ID = {"type": "string", "pattern": "^[a-z0-9]{26}$"}
_PROPS = {
    "type": "object",
    "properties": {
        "aiops_key": {"type": "string"},
        "attachments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "actions": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["id", "name", "type", "integration"],
                            "properties": {
                                "id": {"type": "string", "pattern": "^[A-Za-z0-9]+$"},
                                "name": {"type": "string", "minLength": 1},
                                "type": {"const": "button"},
                                "style": {"enum": ["good", "danger", "default", "primary", "success", "warning"]},
                                "integration": {
                                    "type": "object",
                                    "required": ["url", "context"],
                                    "properties": {
                                        "url": {"type": "string", "pattern": "^https?://"},
                                        "context": {"type": "object"},
                                    },
                                    "additionalProperties": False,
                                },
                            },
                            "additionalProperties": False,
                        },
                    }
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
_POST = {"type": "string", "minLength": 1, "maxLength": 16_383}
MATTERMOST: dict[str, Any] = {
    "reply": {
        "type": "object",
        "required": ["response_type", "text"],
        "properties": {"response_type": {"enum": ["in_channel", "ephemeral"]}, "text": _POST},
        "additionalProperties": False,
    },
    "post": {
        "type": "object",
        "required": ["channel_id", "message"],
        "properties": {
            "channel_id": _ID,
            "message": _POST,
            "root_id": _ID,
            "file_ids": {"type": "array", "items": _ID, "maxItems": 10},
            "props": _PROPS,
        },
        "additionalProperties": False,
    },
    "patch": {
        "type": "object",
        "required": ["message"],
        "properties": {"message": _POST, "props": _PROPS},
        "additionalProperties": False,
    },
}


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"].startswith("application/json"), self.headers
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        assert self.headers["content-type"].startswith("application/x-www-form-urlencoded"), self.headers
        return {name: values[0] for name, values in parse_qs(self.body.decode(), strict_parsing=True).items()}


@dataclass
class Server:
    """trouble: for each of the next requests that make or change something what goes wrong with it: a status (503), "cut" (it is done,
    and the answer is lost), "" (nothing). wrong: what was asked for that the platform does not take."""

    trouble: deque[str] = field(default_factory=deque)
    wrong: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                outer.take(self, Asked(self.command, url.path, query, headers, body))

            do_GET = do_PUT = do_POST  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._lock = threading.RLock()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)
            trouble = self.trouble.popleft() if self.trouble and self.changes(asked) else ""
            status, answer = (int(trouble), {}) if trouble.isdigit() else self._answer(asked)
        if trouble == "cut":
            handler.close_connection = True
            handler.connection.close()
            return
        body = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        try:
            return self.answer(asked)
        except (AssertionError, jsonschema.ValidationError, KeyError, ValueError) as error:
            self.wrong.append(f"{asked.method} {asked.path}: {type(error).__name__} {error}")
            return 400, {"error": "wrong"}

    def changes(self, asked: Asked) -> bool:
        return asked.method != "GET"

    def answer(self, asked: Asked) -> tuple[int, Any]:
        raise NotImplementedError

    def until(self, holds: Callable[[], Any], what: str = "") -> Any:
        """Waits until something holds, and answers it."""
        give_up = time.monotonic() + 120
        while not (found := holds()):
            assert time.monotonic() < give_up, (what, self.wrong, [(a.method, a.path) for a in self.asked][-20:])
            time.sleep(0.05)
        assert not self.wrong, self.wrong
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Slack(Server):
    """Slack's Web API, as far as it is used, and the address of answers to commands."""

    token: str = "xoxb-test"
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by ts
    edits: list[dict[str, Any]] = field(default_factory=list)
    files: list[tuple[str, str, bytes]] = field(default_factory=list)  # channel, thread, content
    replies: list[tuple[str, Any]] = field(default_factory=list)
    refuse: str = ""  # the error that posts are answered with

    def changes(self, asked: Asked) -> bool:
        return asked.path.endswith(("chat.postMessage", "chat.update"))

    def heads(self) -> list[dict[str, Any]]:
        return [post for post in self.posts.values() if "thread_ts" not in post]

    def thread(self, ts: str) -> list[dict[str, Any]]:
        return [post for post in self.posts.values() if post.get("thread_ts") == ts]

    def answer(self, asked: Asked) -> tuple[int, Any]:
        if asked.path.startswith("/reply/"):
            jsonschema.validate(asked.json(), SLACK["reply"])
            self.replies.append((asked.path, asked.json()))
            return 200, {"ok": True}
        if asked.path.startswith("/upload/"):
            assert "authorization" not in asked.headers
            assert asked.body.startswith(PNG)
            self._uploaded = asked.body
            return 200, {}
        assert asked.headers["authorization"] == f"Bearer {self.token}"
        method = asked.path.removeprefix("/api/")
        return 200, {"ok": True, **getattr(self, f"_{method.replace('.', '_')}")(asked)}

    def _auth_test(self, asked: Asked) -> dict[str, Any]:
        return {"team": "T", "user": "aiops"}

    def _chat_postMessage(self, asked: Asked) -> dict[str, Any]:  # noqa: N802 - Slack's name
        said = asked.json()
        jsonschema.validate(said, SLACK["chat.postMessage"])
        if self.refuse:
            return {"ok": False, "error": self.refuse}
        if "thread_ts" in said:
            assert "thread_ts" not in self.posts[said["thread_ts"]], "a reply is no thread"
        self._made = getattr(self, "_made", 0) + 1
        ts = f"17{self._made:08}.000100"
        self.posts[ts] = said
        return {"ts": ts, "channel": said["channel"]}

    def _chat_update(self, asked: Asked) -> dict[str, Any]:
        said = asked.json()
        jsonschema.validate(said, SLACK["chat.update"])
        self.posts[said["ts"]] |= said
        self.edits.append(said)
        return {"ts": said["ts"]}

    def _conversations_history(self, asked: Asked) -> dict[str, Any]:
        assert asked.form()["include_all_metadata"] == "true"
        return {"messages": [{"ts": ts, **post} for ts, post in self.posts.items() if "thread_ts" not in post]}

    def _conversations_replies(self, asked: Asked) -> dict[str, Any]:
        thread = asked.form()["ts"]
        return {
            "messages": [{"ts": ts, **post} for ts, post in self.posts.items() if thread in (ts, post.get("thread_ts"))]
        }

    def _files_getUploadURLExternal(self, asked: Asked) -> dict[str, Any]:  # noqa: N802 - as above
        form = asked.form()
        assert form["filename"].endswith(".png")
        self._length = int(form["length"])
        return {"upload_url": f"{self.url}/upload/v1/ABC", "file_id": "F123"}

    def _files_completeUploadExternal(self, asked: Asked) -> dict[str, Any]:  # noqa: N802 - as above
        form = asked.form()
        assert [one["id"] for one in json.loads(form["files"])] == ["F123"]
        assert len(self._uploaded) == self._length
        assert form["thread_ts"] in self.posts
        self.files.append((form["channel_id"], form["thread_ts"], self._uploaded))
        return {"files": [{"id": "F123"}]}


@dataclass
class Mattermost(Server):
    """Mattermost's API, as far as it is used, and the address of answers to commands."""

    token: str = "bottoken"
    posts: dict[str, dict[str, Any]] = field(default_factory=dict)
    edits: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    replies: list[tuple[str, Any]] = field(default_factory=list)

    def changes(self, asked: Asked) -> bool:
        return asked.method != "GET" and "/files" not in asked.path

    def heads(self) -> list[dict[str, Any]]:
        return [post for post in self.posts.values() if "root_id" not in post]

    def thread(self, root: str) -> list[dict[str, Any]]:
        return [post for post in self.posts.values() if post.get("root_id") == root]

    def answer(self, asked: Asked) -> tuple[int, Any]:  # noqa: PLR0911 - one for each of its routes
        if asked.path.startswith("/hooks/"):
            jsonschema.validate(asked.json(), MATTERMOST["reply"])
            self.replies.append((asked.path, asked.json()))
            return 200, {}
        assert asked.headers["authorization"] == f"Bearer {self.token}"
        match asked.method, asked.path.removeprefix("/api/v4/").split("/"):
            case "GET", ["users", "me"]:
                return 200, {"id": _id(0), "username": "aiops"}
            case "POST", ["files"]:
                assert asked.query["filename"].endswith(".png")
                assert asked.body.startswith(PNG)
                self.files[_id(100 + len(self.files))] = asked.body
                return 201, {"file_infos": [{"id": list(self.files)[-1]}], "client_ids": []}
            case "POST", ["posts"]:
                return self._post(asked.json())
            case "PUT", ["posts", name, "patch"]:
                jsonschema.validate(asked.json(), MATTERMOST["patch"])
                self.posts[name] |= asked.json()
                self.edits.append(asked.json())
                return 200, {"id": name}
            case "GET", ["posts", root, "thread"]:
                found = {n: p for n, p in self.posts.items() if root in (n, p.get("root_id"))}
                return 200, {"order": list(found), "posts": found}
            case "GET", ["channels", channel, "posts"]:
                found = {n: p for n, p in self.posts.items() if p["channel_id"] == channel}
                return 200, {"order": list(found), "posts": found}
            case _:
                return 404, {}

    def _post(self, said: dict[str, Any]) -> tuple[int, Any]:
        jsonschema.validate(said, MATTERMOST["post"])
        assert all(one in self.files for one in said.get("file_ids", []))
        if "root_id" in said:
            assert "root_id" not in self.posts[said["root_id"]], "a reply is no root"
        name = _id(len(self.posts) + 1)
        self.posts[name] = said
        return 201, {"id": name, **said}


@dataclass
class Hook(Server):
    """Whoever takes signed events."""

    events: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        self.events.append((asked.headers, asked.body))
        return 200, {}


def _id(number: int) -> str:
    return f"{number:026d}"

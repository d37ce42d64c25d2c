"""A server with Slack, Mattermost, a webhook and the console as its chats, and how each of them would speak to it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from service.chat.fakes import Hook, Mattermost, Slack

import aiops
from aiops import settings
from aiops.domain import Episode, Mode, Report, Thread
from aiops.ops import Ops
from aiops.schema import wire
from aiops.service import server
from aiops.service.access import Access, Tokens, new_token
from aiops.service.chat import setup

SECRET, TOKEN = b"8f742231b10e8888abcd99yyyzzz85a5", b"gr8token"
WEBHOOK = base64.b64encode(b"a secret of thirty-two bytes, or")
CHANNEL, TOWN = "C0123", "town" + "0" * 22
EXTERNAL = "https://aiops.example"
PATIENCE_S = 120.0


class House:
    """The server, its chats, and what they are asked. `restart` begins again over the same home."""

    def __init__(self, folder: Path, case: Path) -> None:
        self.folder, self.case = folder, case
        self.slack, self.mattermost, self.hook = Slack(), Mattermost(), Hook()
        self.token, line = new_token("admin", "root")
        files = {"tokens": line, "people": "approver alice slack:T1.UALICE\nviewer bob slack:T1.UBOB\n"}
        files |= {
            "slack": SECRET.decode(),
            "bot": self.slack.token,
            "mm": TOKEN.decode(),
            "mmbot": self.mattermost.token,
        }
        files |= {"hook": f"whsec_{WEBHOOK.decode()}"}
        for name, text in files.items():
            (folder / name).write_text(text)
        self.flags = {
            "model.url": "",
            "service.external_url": EXTERNAL,
            "service.tokens_file": str(folder / "tokens"),
            "episodes.debounce_s": "0.1",
            "chat.url": f"console: slack:{CHANNEL} mattermost:{TOWN} webhook+{self.hook.url}/events",
            "chat.people_file": str(folder / "people"),
            "chat.slack_secret_file": str(folder / "slack"),
            "chat.slack_bot_file": str(folder / "bot"),
            "chat.slack_api": f"{self.slack.url}/api",
            "chat.slack_url": self.slack.url,
            "chat.mattermost_token_file": str(folder / "mm"),
            "chat.mattermost_bot_file": str(folder / "mmbot"),
            "chat.mattermost_url": self.mattermost.url,
            "chat.webhook_secret_file": str(folder / "hook"),
        }
        self._running, self._base = ExitStack(), ""
        self.restart()

    def restart(self) -> None:
        self._running.close()
        home = str(self.folder / "home")
        config = settings.load(self.flags, home)
        self.ops: Ops = self._running.enter_context(aiops.connect(f"case:{self.case}", home=home, flags=self.flags))
        ready, opened = threading.Event(), server.bind("127.0.0.1:0")
        running = server.server(
            self.ops,
            external_url=EXTERNAL,
            body_limit=2**20,
            ready=ready.set,
            access=Access(Tokens(self.folder / "tokens")),
            platforms=setup.platforms(config),
        )
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})

        def stop() -> None:
            running.should_exit = True
            thread.join(PATIENCE_S)
            opened.close()
            assert not thread.is_alive()

        thread.start()
        self._running.callback(stop)
        assert ready.wait(PATIENCE_S)
        self.client = self._running.enter_context(
            httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False)
        )

    def close(self) -> None:
        self._running.close()
        for chat in (self.slack, self.mattermost, self.hook):
            chat.close()

    # ------------------------------------------------------------ alerts

    def alert(self, group: str, status: str = "firing", **labels: str) -> str:
        """Sends one alert of a group about a service of the same name; the id of its diagnosis."""
        at = self.ops.sources.metrics.symptom().at
        assert at
        told = {"alertname": "Slow", "service": group, **labels}
        alerts = [{"status": status, "labels": told, "startsAt": (at + timedelta(seconds=len(labels))).isoformat()}]
        body = {"version": "4", "groupKey": group, "receiver": "r", "alerts": alerts}
        answer = self.client.post("/v1/webhooks/alertmanager", json=body, headers=self.bearer)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["diagnoses"][0]["id"])

    def plant(self, name: str) -> str:
        """An episode whose diagnosis has just been stored, without one being made; its id, which is the report's, too."""
        report = replace(self._report(), id=f"{hashlib.sha256(name.encode()).hexdigest()[:16]}")
        now = datetime.now(UTC)
        episode = Episode(report.id, Mode.AUTO, now, now, now, alerts=2, firing=2, rounds=1, begun=now)
        self.ops.store.fold(lambda ledger: ledger.begin(episode), now)
        recording = self.ops.store.recording(self._base) or b""
        self.ops.store.save(report.id, wire.encode(report), recording, wire.index(report))
        return report.id

    def resolve(self, episode: str) -> None:
        """Ends a planted episode."""
        known, now = self.ops.store.episodes([episode])[episode], datetime.now(UTC)
        self.ops.store.fold(lambda ledger: ledger.save([replace(known, firing=0, closed=now)]), now)

    def diagnosed(self, episode: str, number: int) -> str:
        """A further diagnosis of a planted episode, stored; its id."""
        known, now = self.ops.store.episodes([episode])[episode], datetime.now(UTC)
        grown = replace(known, rounds=number, begun=now)
        report = replace(self._report(), id=grown.diagnosis)
        self.ops.store.fold(lambda ledger: ledger.begin(grown), now)
        self.ops.store.save(report.id, wire.encode(report), b"", wire.index(report))
        return report.id

    def _report(self) -> Report:
        if not self._base:
            self._base = self.ops.run(self.ops.task()).id
        return self.ops.report(self._base)

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def threads(self, episode: str) -> dict[str, Thread]:
        """What each chat was told, by platform."""
        return {one.chat.partition(":")[0]: one for one in self.ops.store.threads_of(episode)}

    def told(self, episode: str, report: str, *, closed: bool = False) -> dict[str, Thread]:
        """Waits until all four chats were told of a report, and, where it is `closed`, of the end."""

        def up_to_date() -> dict[str, Thread]:
            known = self.threads(episode)
            done = [one.report == report and one.closed == closed and one.due is None for one in known.values()]
            return known if len(done) == 4 and all(done) else {}

        found: dict[str, Thread] = self.slack.until(up_to_date, f"{episode} {report}")
        assert not self.mattermost.wrong, self.mattermost.wrong
        return found

    # ------------------------------------------------------------ what people write

    def ask(self, platform: str, text: str, **other: str) -> httpx.Response:
        if platform == "slack":
            return self.send_slack(urlencode(self.form(text, f"{self.slack.url}/reply/1", **other)).encode())
        form = {"token": TOKEN.decode()} | self.form(text, f"{self.mattermost.url}/hooks/1", **other)
        return self.client.post("/v1/chat/mattermost", data=form)

    def form(self, text: str, address: str, **other: str) -> dict[str, str]:
        known = {"team_id": "T1", "user_id": "U1", "channel_id": "C1", "command": "/aiops", "text": text}
        return known | {"response_url": address, "trigger_id": random.randbytes(8).hex()} | other

    def send_slack(
        self, body: bytes, kind: str = "application/x-www-form-urlencoded", now: float | None = None
    ) -> httpx.Response:
        return self.client.post("/v1/chat/slack", **signed(body, kind, now))

    def event(self, name: str, ago: float = 0, **event: Any) -> httpx.Response:
        """An event, signed so many seconds ago."""
        known = {"type": "app_mention", "user": "U1", "channel": CHANNEL, "ts": "1700000000.000001", "team": "T1"}
        told = {"type": "event_callback", "team_id": "T1", "event_id": name, "event": known | event}
        return self.send_slack(json.dumps(told).encode(), "application/json", time.time() - ago)

    def press_slack(self, value: str, user: str = "U1", channel: str = CHANNEL) -> str:
        """Presses a button; the words that who pressed is shown."""
        address = f"{self.slack.url}/reply/{random.randbytes(4).hex()}"
        told = {
            "type": "block_actions",
            "user": {"id": user, "team_id": "T1"},
            "team": {"id": "T1"},
            "channel": {"id": channel},
            "actions": [{"type": "button", "action_id": "x", "value": value}],
            "response_url": address,
        }
        answer = self.send_slack(urlencode({"payload": json.dumps(told)}).encode())
        assert answer.status_code == 200, answer.text
        assert answer.content == b""
        path = address.removeprefix(self.slack.url)
        shown = self.slack.until(lambda: [said for where, said in self.slack.replies if where == path], "an answer")
        assert shown[0]["response_type"] == "ephemeral"
        return str(shown[0]["text"])

    def press_mattermost(self, context: Any, user: str = "u1", channel: str = TOWN, **more: Any) -> httpx.Response:
        told = {"user_id": user, "channel_id": channel, "post_id": "p", "trigger_id": random.randbytes(8).hex()}
        return self.client.post("/v1/chat/mattermost", json=told | {"type": "button", "context": context} | more)


def signed(body: bytes, kind: str = "application/x-www-form-urlencoded", now: float | None = None) -> dict[str, Any]:
    """A request of Slack."""
    moment = str(int(now or time.time()))
    due = hmac.new(SECRET, f"v0:{moment}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": moment, "x-slack-signature": f"v0={due}", "content-type": kind}
    return {"content": body, "headers": headers}


def buttons(post: dict[str, Any]) -> dict[str, str]:
    """What may be pressed under a post of Slack or Mattermost: name -> value."""
    if "blocks" in post:
        elements = [e for block in post["blocks"] if block["type"] == "actions" for e in block["elements"]]
        return {one["action_id"]: one["value"] for one in elements}
    attached = post.get("props", {}).get("attachments", [])
    return {one["id"]: one["integration"]["context"]["value"] for part in attached for one in part["actions"]}


def words(post: dict[str, Any]) -> str:
    """What a post of Slack or Mattermost says."""
    if "blocks" in post:
        return "\n".join(block["text"]["text"] for block in post["blocks"] if block["type"] == "section")
    return str(post["message"])

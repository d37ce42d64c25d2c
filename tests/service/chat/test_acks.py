"""How soon Slack and Mattermost are answered while alerts pour in and the language model hangs. In `make soak` alone: it is a
measurement, on a server in a process of its own, as people start it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from service.chat.fakes import Mattermost, Slack
from service.chat.house import CHANNEL, SECRET, TOKEN, TOWN, buttons, signed

LIMIT_S = 3.0  # what both platforms give
SECONDS = 60.0
COMMANDS_S = 8.0  # requests of chats in a second
PRESSES = 0.1  # of them
QUESTIONS = ("why is it slow?", "what on earth happened to the thing over there", "why is ts-gateway-service slow?")


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """A language model that takes every question and answers none."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        held: list[socket.socket] = []

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(opened.accept()[0])

        threading.Thread(target=run, daemon=True).start()
        yield f"openai+http://127.0.0.1:{opened.getsockname()[1]}/v1"
        for one in held:
            one.close()


@contextlib.contextmanager
def serving(home: Path, case: Path, slack: Slack, mattermost: Mattermost, model: str) -> Iterator[str]:
    """`aiops serve` with both chats; its address."""
    secrets = {"slack": SECRET.decode(), "bot": slack.token, "mm": TOKEN.decode(), "mmbot": mattermost.token}
    for name, text in secrets.items():
        (home / name).write_text(text)
    chat = {
        "url": f"slack:{CHANNEL} mattermost:{TOWN}",
        "slack_secret_file": str(home / "slack"),
        "slack_bot_file": str(home / "bot"),
        "slack_api": f"{slack.url}/api",
        "slack_url": slack.url,
        "mattermost_token_file": str(home / "mm"),
        "mattermost_bot_file": str(home / "mmbot"),
        "mattermost_url": mattermost.url,
    }
    lines = ["[chat]", *(f"{name} = {json.dumps(value)}" for name, value in chat.items())]
    lines += ["[model]", f'url = "{model}"', "[service]", 'external_url = "http://127.0.0.1"', f"queue_limit = {10**9}"]
    (home / "config.toml").write_text("\n".join(lines))
    command = [sys.executable, "-c", "from aiops.cli import main; main()", "serve", "--home", str(home)]
    command += ["--listen", "127.0.0.1:0", "--metrics", f"case:{case}"]
    log = home / "log"
    with log.open("wb") as told, subprocess.Popen(command, stderr=told) as process:
        try:
            give_up = time.monotonic() + 120
            while not (found := re.search(r"aiops listens on (\S+)", log.read_text())):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up, log.read_text()
                time.sleep(0.1)
            yield found[1]
        finally:
            process.terminate()
            process.wait(60)


def alert(number: int) -> dict[str, Any]:
    labels = {"alertname": "Slow", "service": "ts-gateway-service", "n": str(number)}
    one = {"status": "firing", "labels": labels, "startsAt": "2023-01-30T12:17:00Z"}
    return {"version": "4", "groupKey": "acks", "receiver": "r", "alerts": [one]}


def requests(slack: Slack, mattermost: Mattermost) -> dict[str, Any]:
    """What each kind of request is made by: the keywords of `httpx.Client.post`."""
    slack_press, mattermost_press = buttons(slack.heads()[0])["right"], buttons(mattermost.heads()[0])["right"]

    def form(address: str) -> dict[str, str]:
        who = {"team_id": "T1", "user_id": f"U{random.randrange(50)}", "channel_id": "C1"}
        return who | {
            "text": random.choice(QUESTIONS),
            "response_url": address,
            "trigger_id": random.randbytes(8).hex(),
        }

    def event() -> dict[str, Any]:
        told = {
            "type": "app_mention",
            "user": "U1",
            "channel": CHANNEL,
            "ts": "1700000000.000001",
            "text": QUESTIONS[0],
        }
        body = {"type": "event_callback", "team_id": "T1", "event_id": random.randbytes(8).hex(), "event": told}
        return signed(json.dumps(body).encode(), "application/json")

    def press() -> dict[str, Any]:
        told = {"type": "block_actions", "user": {"id": "U1"}, "team": {"id": "T1"}, "channel": {"id": CHANNEL}}
        told |= {"actions": [{"value": slack_press}], "response_url": f"{slack.url}/reply/{random.randbytes(8).hex()}"}
        return signed(urlencode({"payload": json.dumps(told)}).encode())

    pressed = {"user_id": "u", "channel_id": TOWN, "context": {"value": mattermost_press}}
    return {
        "slack command": lambda: signed(urlencode(form(f"{slack.url}/reply/1")).encode()),
        "slack event": event,
        "slack press": press,
        "mattermost command": lambda: {"data": {"token": TOKEN.decode(), **form(f"{mattermost.url}/hooks/1")}},
        "mattermost press": lambda: {"json": pressed | {"trigger_id": random.randbytes(8).hex()}},
    }


@pytest.mark.soak
def test_chats_are_acknowledged_in_time_under_load(
    tmp_path: Path, demo_case: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    if not pytestconfig.getoption("soak"):
        pytest.skip("a measurement of a minute: make soak")
    seconds = float(os.environ.get("ACKS_SECONDS", SECONDS))
    slack, mattermost = Slack(), Mattermost()
    took: dict[str, list[float]] = defaultdict(list)
    with (
        hanging() as model,
        serving(tmp_path, demo_case, slack, mattermost, model) as url,
        httpx.Client(base_url=url, timeout=120, trust_env=False) as client,
    ):
        assert client.post("/v1/webhooks/alertmanager", json=alert(0)).status_code == 202
        slack.until(lambda: slack.heads() and mattermost.heads(), "a thread")
        kinds = requests(slack, mattermost)
        load = [sys.executable, "-m", "aiops.bench.load", f"{url}/v1/webhooks/alertmanager", "--alerts", "1"]
        load += ["--connections", "64", "--seconds", str(seconds), "--rate", os.environ.get("ACKS_RATE", "300")]
        with subprocess.Popen(load, stdout=subprocess.PIPE) as storm:
            while storm.poll() is None:
                press = random.random() < PRESSES
                name = random.choice([one for one in kinds if one.endswith("press") is press])
                sent = kinds[name]()
                began = time.monotonic()
                answer = client.post(f"/v1/chat/{name.partition(' ')[0]}", **sent)
                took[name].append(time.monotonic() - began)
                assert answer.status_code == 200, (name, answer.text)
                time.sleep(random.uniform(0, 2 / COMMANDS_S))
            assert storm.stdout
            told = json.loads(storm.stdout.read())
    assert set(told["statuses"]) == {"202"}
    with capsys.disabled():
        print(f"\ningest: {told['requests'] / told['seconds']:.0f} requests/s, p99 {told['p99_ms']:.0f} ms")
        for name, times in sorted(took.items()):
            p99 = statistics.quantiles(times, n=100)[98]
            print(f"{name}: {len(times)} of them, p50 {statistics.median(times) * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms")
    assert all(statistics.quantiles(times, n=100)[98] < LIMIT_S for times in took.values())

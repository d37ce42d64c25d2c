"""The tools of agents, through the official SDK's own client, over both transports, against the recorded incident."""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

import aiops
from aiops.ops import Ops
from aiops.service import server
from aiops.service.access import Access, Tokens, new_token

TOOLS = {
    "parse_task",
    "start_diagnosis",
    "get_diagnosis",
    "list_diagnoses",
    "explain_path",
    "forecast_metric",
    "propose_remediation",
}
Story = Callable[[Client], Awaitable[None]]


class Served:
    """A server with a token for each of two roles, and stories told over it."""

    def __init__(self, ops: Ops, url: str, tokens: dict[str, str]) -> None:
        self.ops, self.url, self.tokens = ops, url, tokens

    def tell(self, story: Story, role: str = "operator", mode: str = "auto") -> None:
        async def telling() -> None:
            headers = {"authorization": f"Bearer {self.tokens[role]}"} if role else {}
            async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as web:
                transport = streamable_http_client(f"{self.url}/mcp", http_client=web)
                async with Client(transport, mode=mode) as client:
                    await story(client)

        anyio.run(telling)


@pytest.fixture(scope="module")
def served(demo_case: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("agents")
    made = {role: new_token(role, f"{role}-agent") for role in ("viewer", "operator")}
    file = home / "tokens"
    file.write_text("\n".join(line for _, line in made.values()), encoding="utf-8")
    with aiops.connect(f"case:{demo_case}", home=str(home), flags={"model.url": ""}) as ops:
        ready, opened = threading.Event(), server.bind("127.0.0.1:0")
        running = server.server(ops, external_url="", body_limit=2**20, ready=ready.set, access=Access(Tokens(file)))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            assert ready.wait(120)
            yield Served(ops, server.url(opened), {role: token for role, (token, _) in made.items()})
        finally:
            running.should_exit = True
            thread.join(120)
            opened.close()
            assert not thread.is_alive()


async def call(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, given)
    assert not answer.is_error, answer.content
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content


async def refused(client: Client, tool: str, **given: Any) -> str:
    answer = await client.call_tool(tool, given)
    assert answer.is_error
    return " ".join(getattr(part, "text", "") for part in answer.content)


async def investigate(client: Client) -> None:
    """From the first question to the proposed repair."""
    listed = (await client.list_tools()).tools
    assert {tool.name for tool in listed} == TOOLS
    assert all(tool.annotations and tool.annotations.destructive_hint is False for tool in listed)
    started = await call(client, "start_diagnosis")
    for _ in range(4):  # it waits for half a minute at most
        done = await call(client, "get_diagnosis", diagnosis_id=started["id"], wait_s=30)
        if done["status"] not in ("queued", "running"):
            break
    assert done["status"] == "done"
    report = done["report"]
    assert report["verdict"] == "found"
    assert len(report["summary"]) == 3
    cause = report["root_causes"][0]
    assert cause["evidence"]
    path = await call(client, "explain_path", diagnosis_id=started["id"])
    assert path["node"] == cause["node"]
    assert [set(step) >= {"from", "to", "strength", "lag_s", "onset", "source"} for step in path["path"]]
    repair = await call(client, "propose_remediation", diagnosis_id=started["id"])
    assert repair["executed"] is False
    listing = await call(client, "list_diagnoses", limit=100)
    assert started["id"] in {one["id"] for one in listing["diagnoses"]}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_investigates_over_http(served: Served, mode: str) -> None:
    served.tell(investigate, mode=mode)
    entries = [dict(e["entry"]) for e in served.ops.store.audit_entries() if e["kind"] == "turn"]  # type: ignore[call-overload]
    assert ("mcp", "operator-agent", "submit") in {(e["channel"], e["actor"], e["action"]) for e in entries}


def test_an_agent_investigates_over_standard_input_and_output(demo_case: Path, tmp_path: Path) -> None:
    begun = StdioServerParameters(
        command=str(Path(sys.executable).with_name("aiops")),
        args=["mcp", "--metrics", f"case:{demo_case}", "--home", str(tmp_path)],
        env={"AIOPS_MODEL__URL": ""},
    )

    async def telling() -> None:
        async with Client(stdio_client(begun)) as client:
            await investigate(client)

    anyio.run(telling)


def test_words_become_a_task_and_nothing_runs(served: Served) -> None:
    before = {job.id for job in served.ops.queue.recent(100)}

    async def story(client: Client) -> None:
        told = await call(client, "parse_task", text="why is ts-gateway-service slow?")
        assert told["intent"] == "diagnose"
        assert "ts-gateway-service" in told["yaml"]
        assert (await call(client, "parse_task", text="drop all tables"))["intent"] == "reject"

    served.tell(story)
    assert {job.id for job in served.ops.queue.recent(100)} == before


def test_a_metric_is_forecast(served: Served) -> None:
    labels = served.ops.sources.metrics.catalog(5)[0]
    query = f'{labels["__name__"]}{{service="{labels["service"]}"}}'

    async def story(client: Client) -> None:
        told = await call(client, "forecast_metric", query=query, horizon="10m")
        assert len(told["forecasts"]) == 1
        assert "selectors only" in await refused(client, "forecast_metric", query="sum(UP)")

    served.tell(story)


def test_what_goes_wrong_is_told_in_words(served: Served) -> None:
    async def story(client: Client) -> None:
        assert "no report" in await refused(client, "get_diagnosis", diagnosis_id="none")
        assert "no report" in await refused(client, "explain_path", diagnosis_id="none")
        assert await refused(client, "start_diagnosis", text="delete the production database")
        assert "either text" in await refused(client, "start_diagnosis", text="why?", service="frontend")
        assert await refused(client, "forecast_metric", query="x", horizon="soon")
        assert await refused(client, "list_diagnoses", limit=0)

    served.tell(story)


def test_a_viewer_reads_and_starts_nothing(served: Served) -> None:
    async def story(client: Client) -> None:
        await call(client, "list_diagnoses")
        for tool, given in (
            ("start_diagnosis", {}),
            ("parse_task", {"text": "x"}),
            ("forecast_metric", {"query": "x"}),
        ):
            assert "operator" in await refused(client, tool, **given)

    served.tell(story, role="viewer")


def test_nobody_comes_in_without_a_token(served: Served) -> None:
    with httpx2.Client(trust_env=False, timeout=60) as web:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert web.post(f"{served.url}/mcp", json=body).status_code == 401
        origin = {"origin": "https://elsewhere.example", "authorization": f"Bearer {served.tokens['operator']}"}
        assert web.post(f"{served.url}/mcp", json=body, headers=origin).status_code == 403

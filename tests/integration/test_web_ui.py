"""The web UI in a real browser, as people use it: from the alert to the report, from the question to the report.

What was seen is kept in `.cache/pictures/web-*.png`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from service.conftest import serving

import aiops
from aiops import recording
from aiops.domain import Actor
from aiops.ops import Ops
from aiops.service.access import Access, Tokens
from aiops.service.pages import PLACES

from servers.browsing import barriers, watched

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURES = CHECKOUT / ".cache" / "pictures"
ASKED = "why is ts-basic-service slow?"
SOON_MS = 120_000  # the first diagnosis of all compiles its kernels
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "narrow": {"viewport": PHONE},
    "chinese": {"viewport": PHONE, "locale": "zh-CN", "color_scheme": "dark"},
}


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[Ops]:
    home = str(tmp_path_factory.mktemp("web"))
    flags = {"model.url": "", "approvals.self": "true"}  # one person drives the browser
    with aiops.connect(f"case:{demo_case}", home=home, flags=flags) as opened:
        opened.sources.graph.upsert(recording.read_calls(recording.open_files(demo_case)))
        yield opened


@pytest.fixture(scope="module")
def site(ops: Ops) -> Iterator[str]:
    with serving(ops) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[str]:
    """Where a diagnosis is that nobody begins."""
    home = str(tmp_path_factory.mktemp("waiting"))
    with (
        aiops.connect(f"case:{demo_case}", home=home, flags={"model.url": ""}) as opened,
        serving(opened, terms=None) as client,
    ):
        started = client.post("/v1/ask", json={"text": ASKED}).json()["diagnosis"]
        yield f"{str(client.base_url).rstrip('/')}/diagnoses/{started['id']}"


@pytest.fixture(scope="module")
def report(ops: Ops, site: str) -> str:
    """Where a report of the demo is."""
    return f"{site}/reports/{ops.diagnose().id}"


@pytest.fixture(scope="module")
def repair(ops: Ops, site: str, report: str) -> str:
    """Where a repair waits for approval."""
    asked = ops.by(Actor("http", "ada")).repairs.plan(report.rpartition("/")[2])
    return f"{site}/repairs/{asked.id}"


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"web-{name}.png", full_page=True)


def notification(demo_case: Path, **labels: str) -> dict[str, Any]:
    files = recording.open_files(demo_case)
    at: datetime | None = recording.symptom_of(recording.read_case(files), str(demo_case)).at
    assert at
    alert = {"status": "firing", "labels": labels, "startsAt": at.isoformat(), "endsAt": "0001-01-01T00:00:00Z"}
    return {"version": "4", "groupKey": f"{{}}:{labels}", "status": "firing", "alerts": [alert]}


# ---------------------------------------------------------------- what people do


def test_from_the_alert_by_the_list_and_the_report_to_the_approval(
    chromium: Browser, site: str, demo_case: Path
) -> None:
    sent = httpx.post(f"{site}/v1/webhooks/alertmanager", json=notification(demo_case, alertname="Slow"))
    assert sent.status_code == 202
    with watched(chromium, viewport=DESK) as seen:
        page = seen.page
        page.goto(site)
        row = page.locator(".list > li").first
        expect(row.locator(".status")).to_have_text("Cause found", timeout=SOON_MS)
        picture(page, "list-after-an-alert")
        row.get_by_role("link").click()
        expect(page.locator("h1")).to_contain_text("Cause:")
        picture(page, "report-after-an-alert")
        page.get_by_role("link", name="Plan it, approve it").click()
        page.get_by_role("button", name="Plan it").click()
        expect(page.locator(".status")).to_have_text("Waits for approval")
        expect(page.locator("pre.argv")).to_contain_text("alertmanager.silence")
        page.get_by_label("Note").fill("the network people know")
        picture(page, "repair-to-approve")
        page.get_by_role("button", name="Approve exactly this").click()
        expect(page.locator(".status")).to_have_text("Approved")
        expect(page.locator("[data-until]")).to_have_text(re.compile(r"\(1[45]:\d\d\)$"))
        expect(page.locator(".facts-row")).to_contain_text("the network people know")
        picture(page, "repair-approved")
        assert seen.errors == []
        assert {urlsplit(url).netloc for url in seen.asked} == {urlsplit(site).netloc}


def test_from_the_question_by_the_task_to_the_report(chromium: Browser, site: str) -> None:
    with watched(chromium, viewport=DESK) as seen:
        page = seen.page
        page.goto(site)
        page.get_by_role("link", name="Ask").click()
        page.get_by_label("What do you want to know?").fill(ASKED)
        page.get_by_role("button", name="Show the task").click()
        task = page.locator("textarea.yaml")
        expect(task).to_contain_text("service: ts-basic-service")
        picture(page, "ask")
        task.fill(task.input_value().replace("ts-basic-service", "ts-order-service"))
        page.get_by_role("button", name="Run it").click()
        page.wait_for_url("**/reports/*", timeout=SOON_MS)
        expect(page.locator(".facts-row")).to_contain_text("ts-order-service")
        assert seen.errors == []


def test_a_mistake_in_the_task_is_told_where_it_can_be_mended(chromium: Browser, site: str) -> None:
    with watched(chromium) as seen:
        page = seen.page
        page.goto(f"{site}/ask")
        page.get_by_label("What do you want to know?").fill(ASKED)
        page.get_by_role("button", name="Show the task").click()
        page.locator("textarea.yaml").fill("intent: dance")
        page.get_by_role("button", name="Run it").click()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("textarea.yaml")).to_have_value("intent: dance")


def test_it_works_without_a_script(chromium: Browser, site: str) -> None:
    with watched(chromium, java_script_enabled=False) as seen:
        page = seen.page
        page.goto(f"{site}/ask?text=why+is+ts-travel-service+slow%3F")
        page.get_by_role("button", name="Show the task").click()
        page.get_by_role("button", name="Run it").click()
        page.wait_for_url("**/reports/*", timeout=SOON_MS)
        assert "ts-travel-service" in page.content()


def test_a_link_opened_before_signing_in_leads_there_after_it(
    chromium: Browser, report: str, tmp_path: Path, demo_case: Path
) -> None:
    token = "a-token-of-some-length"
    (tmp_path / "tokens").write_text(f"viewer ada sha256:{hashlib.sha256(token.encode()).hexdigest()}\n")
    with ExitStack() as stack:
        opened = stack.enter_context(
            aiops.connect(f"case:{demo_case}", home=str(tmp_path / "home"), flags={"model.url": ""})
        )
        wanted = f"/reports/{opened.diagnose().id}?zone=Asia/Shanghai"
        client = stack.enter_context(serving(opened, access=Access(Tokens(tmp_path / "tokens"))))
        seen = stack.enter_context(watched(chromium))
        page = seen.page
        page.goto(f"{str(client.base_url).rstrip('/')}{wanted}")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("This token is not known.")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"**{wanted}")
        expect(page.locator("h1")).to_contain_text("CST")
        page.goto(str(client.base_url))
        expect(page.get_by_role("link", name="Audit")).to_have_count(0)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Token")).to_be_visible()


# ---------------------------------------------------------------- how it looks, and to whom


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_can_be_used_by_everybody(
    chromium: Browser, site: str, report: str, repair: str, waiting: str, look: str
) -> None:
    """No grave barrier, nothing wider than the window, nothing that the policy forbids."""
    places = [(path.strip("/") or "list", f"{site}{path}") for path, _, _ in PLACES]
    places += [
        ("report", report),
        ("graph-of", f"{site}/graph?service=ts-basic-service&hops=2"),
        ("login", f"{site}/login"),
        ("repair", repair),
        ("diagnosis-under-way", waiting),
        ("not-found", f"{site}/reports/none"),
    ]
    found: list[str] = []
    with watched(chromium, **LOOKS[look]) as seen:
        for name, address in places:
            seen.page.goto(address)
            picture(seen.page, f"{name}-{look}")
            found += [f"{name}: {barrier}" for barrier in barriers(seen.page)]
            if seen.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{name}: wider than the window")
        assert found == []
        assert [told for told in seen.errors if "404" not in told] == []  # one page is of what is not there


def test_the_keyboard_reaches_everything_in_order(chromium: Browser, site: str) -> None:
    with watched(chromium, viewport=DESK) as seen:
        page = seen.page
        page.goto(f"{site}/ask")
        page.locator("body").click(position={"x": 2, "y": 2})
        reached = []
        for _ in range(14):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.name || ''"))
        assert reached[0] == "Skip to the content"
        order = [words for words in reached if words in {"Diagnoses", "Ask", "Graph", "text", "Show the task"}]
        assert order == ["Diagnoses", "Ask", "Graph", "text", "Show the task"]


def test_a_chart_is_read_with_the_pointer_and_with_the_keys(chromium: Browser, report: str) -> None:
    """And without either from the table below it."""
    with watched(chromium, viewport=DESK) as seen:
        page = seen.page
        page.goto(report)
        figure = page.locator("figure").first
        chart, told = figure.locator("svg.chart"), figure.locator(".readout")
        expect(told).to_be_hidden()
        chart.hover()
        expect(told).to_be_visible()
        expect(told).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC .+Expected range: "))
        picture(page, "report-pointed-at")
        chart.press("End")
        rows = figure.locator("tbody tr")
        assert rows.last.locator("th").text_content() in (told.text_content() or "")
        chart.press("ArrowLeft")
        assert rows.nth(-2).locator("td").first.text_content() in (told.text_content() or "")
        chart.press("Escape")
        expect(told).to_be_hidden()
        figure.locator("summary").click()
        expect(rows.first).to_be_visible()
        assert barriers(page) == []
        assert seen.errors == []


def test_a_report_is_small_and_asks_for_nothing_more(chromium: Browser, report: str) -> None:
    with watched(chromium) as seen:
        answer = seen.page.goto(report)
        assert answer
        assert len(answer.body()) <= 400_000
        assert seen.asked == [report]

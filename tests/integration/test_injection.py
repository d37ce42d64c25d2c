"""Text from outside that tries to be more than text, in a real browser: no dialog, no request, no element that is not ours.

`tests/render/test_forms.py` looks at the source of each form; here is what a browser, a Markdown reader and a spreadsheet make of it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import Browser
from service.conftest import serving

import aiops
from aiops import recording
from aiops.domain import Report
from aiops.render import html, markdown, svg
from aiops.service import pages

from render import sample
from render.hostile import HOSTILE
from servers.browsing import Watched, watched


def names(text: str) -> set[str]:
    return set(text.split())


# What our pages are made of. Not among them: img, iframe, object, embed, base; in a report no link or form either, and of
# scripts the one that is ours.
OURS = names(
    """html head meta title style body main header section h1 h2 h3 p span strong b a ol ul li dl dt dd div br wbr svg rect desc
    path text circle g figure figcaption pre code details summary table thead tbody tr th td time script"""
)
OF_THE_UI = OURS | names("link nav form label input select option button textarea datalist noscript progress")
OF_MARKDOWN = names("html head body meta h2 h3 p strong ol ul li code table thead tbody tr th td a em")
OF_A_PICTURE = names("svg title style rect text path g circle desc")
FORMULA = re.compile(r"^[=@]|^[-+](?![\d.,]|\s|$)")
ALL = "\n".join(HOSTILE[name] for name in HOSTILE if name not in {"long", "empty"})


def elements(seen: Watched) -> set[str]:
    found: list[str] = seen.page.evaluate("[...document.querySelectorAll('*')].map(e => e.localName)")
    return set(found)


def harmless(seen: Watched, allowed: set[str]) -> None:
    assert seen.dialogs == []
    assert elements(seen) - allowed == set()
    scripts: list[str] = seen.page.evaluate("[...document.scripts].map(e => e.src + e.textContent)")
    assert set(scripts) <= {html.script(), pages.script()}
    handlers = "[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).map(a => a.name).filter(n => /^on/.test(n))"
    assert seen.page.evaluate(handlers) == []
    links: list[str] = seen.page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.protocol)")
    assert set(links) <= {"http:", "https:", "file:"}


@pytest.fixture(scope="module", params=["found", "foreseen", "inconclusive"])
def plain(request: pytest.FixtureRequest) -> Report:
    made: Report = getattr(sample, request.param)()
    return made


def test_a_hostile_report_is_a_report(chromium: Browser, plain: Report, tmp_path: Path) -> None:
    """Every text of the report is the attack; the page is the same elements as ever."""
    file = tmp_path / "report.html"
    with watched(chromium) as seen:
        for name, attack in HOSTILE.items():
            for language in ("en", "zh") if name == "html" else ("en",):
                file.write_text(html.html(sample.filled(plain, attack), language=language), "utf-8", "replace")
                seen.page.goto(file.as_uri())
                harmless(seen, OURS)
                assert {url for url in seen.asked if not url.startswith("file:")} == set(), name
                cells: list[str] = seen.page.evaluate(
                    "[...document.querySelectorAll('td, th')].map(e => e.textContent.trim())"
                )
                assert [cell for cell in cells if FORMULA.search(cell)] == [], name
                shown: str = seen.page.evaluate("document.body.textContent")
                assert {unicodedata.category(c) for c in shown if c not in "\n\u200c\u200d"}.isdisjoint(
                    {"Cc", "Cs", "Co"}
                )
                assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f\u061c"), name


def test_a_hostile_picture_is_a_picture(chromium: Browser, plain: Report, tmp_path: Path) -> None:
    file = tmp_path / "report.svg"
    with watched(chromium) as seen:
        for attack in HOSTILE.values():
            file.write_text(svg.svg(sample.filled(plain, attack)), "utf-8", "replace")
            seen.page.goto(file.as_uri())
            harmless(seen, OF_A_PICTURE)


def test_a_hostile_report_in_markdown_is_text(chromium: Browser, plain: Report, tmp_path: Path) -> None:
    """As a reader shows it that lets HTML through and makes links of what looks like one."""
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    file = tmp_path / "report.html"
    with watched(chromium) as seen:
        for name, attack in HOSTILE.items():
            page = reader.render(markdown.markdown(sample.filled(plain, attack)))
            file.write_text(f"<!doctype html><meta charset=utf-8>{page}", "utf-8", "replace")
            seen.page.goto(file.as_uri())
            harmless(seen, OF_MARKDOWN)
            assert {url for url in seen.asked if not url.startswith("file:")} == set(), name


# ---------------------------------------------------------------- an alert, by the front door


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, demo_case: Path) -> Iterator[httpx.Client]:
    home = str(tmp_path_factory.mktemp("hostile"))
    with aiops.connect(f"case:{demo_case}", home=home, flags={"model.url": ""}) as ops, serving(ops) as client:
        yield client


def hostile_alert(demo_case: Path) -> dict[str, Any]:
    """Every field of the notification is an attack, but the times, which must be times."""
    files = recording.open_files(demo_case)
    at: datetime | None = recording.symptom_of(recording.read_case(files), str(demo_case)).at
    assert at
    text = ALL.encode("utf-8", "replace").decode()
    named = {f"label_{n}": attack[:500] for n, attack in enumerate(text.split("\n"))}
    told = ("summary", "description", "runbook_url", "dashboardURL", "panelURL", text[:200])
    alert = {
        "status": "firing",
        "labels": {"alertname": text, "service": text, "severity": text, "instance": text, **named},
        "annotations": dict.fromkeys(told, text),
        "startsAt": at.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "javascript:alert(1)//" + text,
        "fingerprint": text[:64],
    }
    return {
        "version": "4",
        "groupKey": text,
        "status": "firing",
        "receiver": text,
        "externalURL": text,
        "groupLabels": {"alertname": text},
        "commonLabels": {},
        "commonAnnotations": {},
        "alerts": [alert],
    }


def test_a_hostile_alert_renders_harmless_wherever_it_is_shown(
    chromium: Browser, site: httpx.Client, demo_case: Path
) -> None:
    sent = site.post("/v1/webhooks/alertmanager", json=hostile_alert(demo_case))
    assert sent.status_code == 202
    place = sent.headers["location"]
    deadline = time.monotonic() + 120
    while (told := site.get(place).json())["status"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert told["report_url"], told
    base, path = str(site.base_url).rstrip("/"), f"/reports/{told['id']}"
    asked = "/ask?text=" + "".join(f"%{byte:02x}" for byte in HOSTILE["html"].encode())
    with watched(chromium) as seen:
        for page in (
            "/",
            path,
            f"{path}?lang=zh",
            f"{path}.svg",
            "/repairs",
            "/sessions",
            "/audit",
            asked,
            "/graph?service=%3Cb%3E",
        ):
            seen.page.goto(f"{base}{page}")
            harmless(seen, OF_THE_UI)
        assert {url for url in seen.asked if not url.startswith((base, "data:"))} == set()
        assert seen.errors == []
    report = site.get(f"{path}.json")
    assert report.headers["content-type"] == "application/json"
    assert report.headers["x-content-type-options"] == "nosniff"
    assert json.loads(report.content)["schema"] == "aiops-report/1"
    assert not set(report.content) & set(range(0x20)) - {0x0A}
    assert "\x1b" not in site.get(f"{path}.md").text
    for table in ("/v1/diagnoses?format=csv", f"{path}.csv"):
        read = list(csv.reader(io.StringIO(site.get(table).content.decode("utf-8-sig"), newline="")))
        assert len(read) > 1
        assert [cell for row in read for cell in row if FORMULA.search(cell) or set(cell) & set("\x1b\u202e\r\t")] == []

"""A report as a notebook shows it."""

from __future__ import annotations

from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import aiops
from aiops.domain import Report
from aiops.render import html, notebook

from render import sample
from render.hostile import HOSTILE


class Frames(HTMLParser):
    """The elements of a cell's output."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_report_shows_itself_as_its_page(demo_case: Path) -> None:
    with aiops.connect(f"case:{demo_case}", keep=False, flags={"model.url": ""}) as ops:
        report = ops.diagnose(service="ts-basic-service")
    shown = report._repr_html_()  # type: ignore[attr-defined]  # as IPython asks for it
    ((tag, attributes),) = Frames(shown).found
    assert tag == "iframe"
    assert attributes["srcdoc"] == html.html(report)
    assert attributes["sandbox"] == "allow-scripts allow-popups"  # not allow-same-origin, with which it could leave


def test_a_hostile_report_stays_in_its_frame(found: Report) -> None:
    for attack in HOSTILE.values():
        filled = sample.filled(found, attack)
        frames = Frames(notebook.frame(filled)).found
        assert [tag for tag, _ in frames] == ["iframe"]
        assert unescape(frames[0][1]["title"] or "").startswith("Report")

"""A report in a notebook: its page, in a frame of its own, so that neither's styles reach the other."""

from __future__ import annotations

from html import escape

from aiops.domain import Report
from aiops.render.html import html

HIGH = 900  # pixels; the frame scrolls


def frame(report: Report) -> str:
    """What IPython asks for as `_repr_html_`. The page may run its own script in the frame, which has no origin, and nothing out
    of it."""
    page, title = escape(html(report)), escape(f"Report {report.id}")
    return f'<iframe srcdoc="{page}" title="{title}" width="100%" height="{HIGH}" sandbox="allow-scripts allow-popups" frameborder="0"></iframe>'


def attach() -> None:
    """Gives reports this face. `aiops.connect` does; the nouns themselves know nothing of pages."""
    Report._repr_html_ = frame  # type: ignore[attr-defined]

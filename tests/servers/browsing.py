"""The provisioned Chromium, driven by Playwright: for what one run of the browser can't tell, as clicks and what follows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from servers.axe import axe
from servers.parts import binary, environment

# What axe calls a barrier that many people can't get over.
GRAVE = ("serious", "critical")
SOON_MS = 120_000  # what is expected of a page is there at once, but not on a machine that does much else


@contextmanager
def browsing() -> Iterator[Browser]:
    """Raises `Missing`."""
    program = binary("chromium")
    expect.set_options(timeout=SOON_MS)
    with sync_playwright() as playwright:
        # Root has no sandbox to run in, and the pages are our own.
        browser = playwright.chromium.launch(
            executable_path=str(program), env={**environment()}, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page, and whatever it did that it should not have."""

    page: Page
    asked: list[str] = field(default_factory=list)  # addresses that were asked for
    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)  # of scripts, and what the policy forbade


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A page of its own, with these options of a context (viewport, color_scheme, locale, java_script_enabled)."""
    context = browser.new_context(**options)
    context.set_default_timeout(SOON_MS)
    found = Watched(context.new_page())
    page = found.page
    page.on("request", lambda request: found.asked.append(request.url))
    page.on("dialog", lambda dialog: (found.dialogs.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    page.on("console", lambda told: found.errors.append(told.text) if told.type == "error" else None)
    try:
        yield found
    finally:
        context.close()


def barriers(page: Page) -> list[str]:
    """What axe finds grave on a page: rule, and the element. Raises `Missing`."""
    page.evaluate(axe())
    told = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{found['id']} ({found['impact']}): {node['html'][:160]}"
        for found in told["violations"]
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]

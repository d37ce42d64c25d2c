"""What a request that failed is answered: a page for people, JSON for programs. Neither holds a traceback.

A browser says that it takes `text/html`; whoever does not is a program.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from aiops.service import pages
from aiops.service.access import Principal
from aiops.service.pages import Reader

# What a status is called, where that is clearer than the protocol's words.
TITLES = {
    401: "Please sign in",
    403: "Not allowed",
    404: "Not found",
    408: "Too slow",
    413: "Too large",
    421: "Another server's name",
    500: "Something broke here",
    503: "Not available right now",
}
OTHERWISE = "That did not work"

BROKEN = "internal error; the log of the server has the details"


def wants_page(request: Request) -> bool:
    """Whether a browser asks, which shows what it gets to somebody."""
    return "text/html" in request.headers.get("accept", "")


def answer(
    request: Request,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    who: Principal | None = None,
) -> Response:
    """The failure in the form that was asked for. `who` asks, None for anybody: they are shown no ways that they can't go."""
    more = {**(headers or {}), "vary": "accept"}
    if not wants_page(request):
        return JSONResponse({"detail": detail}, status, more)
    reader = Reader(
        language=pages.spoken(request),
        name=who.name if who else "",
        role=who.role.name.lower() if who else "viewer",
        path=request.url.path,
    )
    page = pages.page(
        "failure",
        reader,
        status=status,
        title=TITLES.get(status, OTHERWISE),
        detail=detail,
        known=who is not None,
        asked=request.method == "GET",
    )
    return HTMLResponse(page, status, {**more, **pages.headers()})

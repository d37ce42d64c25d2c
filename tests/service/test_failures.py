"""What a browser sees where something is not there, not allowed or broken: a page of ours; programs get JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from aiops.errors import SourceUnreachable, StoreError
from aiops.ops import Ops
from aiops.render.language import catalogue
from aiops.service import api, failures
from aiops.service.access import Access, Role, Tokens, new_token

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
ZH = {**BROWSER, "accept-language": "zh-CN"}
SECRET = "<b>what only the log may hold</b>"


def _store() -> None:
    raise StoreError(f"the disk is full {SECRET}")


def _source() -> None:
    raise SourceUnreachable("load", "metrics", "no answer")


def _broken() -> None:
    raise RuntimeError(SECRET)


@contextmanager
def asked(ops: Ops, **options: Any) -> Iterator[Any]:
    """Asks an application whose routes fail in ways that no request could make them."""
    app = api.create(ops, **options)
    for fails in (_store, _source, _broken):
        app.add_api_route(f"/{fails.__name__}", fails, methods=["GET", "POST"])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def send(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, headers=headers)

    yield lambda path, headers=BROWSER, method="GET": anyio.run(send, method, path, headers)


WRONG = [
    ("/diagnoses/none", 404, "Not found", "未找到"),
    ("/reports/none", 404, "Not found", "未找到"),
    ("/reports/none.doc", 404, "Not found", "未找到"),
    ("/nowhere", 404, "Not found", "未找到"),
    ("/graph?hops=99", 400, "That did not work", "操作未成功"),
    ("/run", 405, "That did not work", "操作未成功"),
    ("/_store", 503, "Not available right now", "暂时不可用"),
    ("/_source", 503, "Not available right now", "暂时不可用"),
    ("/_broken", 500, "Something broke here", "服务器出错"),
]


@pytest.mark.parametrize(("path", "status", "title", "chinese"), WRONG)
def test_people_get_a_page_and_programs_json(ops: Ops, path: str, status: int, title: str, chinese: str) -> None:
    with asked(ops) as ask:
        page = ask(path)
        assert page.status_code == status
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert re.search(rf"<h1[^>]*>{title}", page.text)
        assert "Traceback" not in page.text
        assert "<b>" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert page.headers["x-content-type-options"] == "nosniff"
        assert 'href="/"' in page.text
        there = ask(path, ZH)
        assert '<html lang="zh-CN">' in there.text
        assert re.search(rf"<h1[^>]*>{chinese}", there.text)
        told = ask(path, {"accept": "*/*"})
        assert (told.status_code, told.headers["vary"]) == (status, page.headers["vary"])
        assert set(told.json()) == {"detail"}
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers.get("retry-after") == page.headers.get("retry-after") == ("5" if status == 503 else None)
        if status == 500:
            assert told.json()["detail"] == failures.BROKEN
            assert "what only the log may hold" not in page.text + told.text


def test_who_may_not_is_told_who_they_are_and_who_is_nobody_where_to_sign_in(ops: Ops, tmp_path: Path) -> None:
    tokens, lines = {}, []
    for role in (Role.VIEWER, Role.OPERATOR):
        name = role.name.lower()
        tokens[role], line = new_token(name, name)
        lines.append(line)
    (tmp_path / "tokens").write_text("\n".join(lines))
    with asked(ops, access=Access(Tokens(tmp_path / "tokens"))) as ask:
        viewer = {"authorization": f"Bearer {tokens[Role.VIEWER]}"}
        page = ask("/audit", {**BROWSER, **viewer})
        assert page.status_code == 403
        assert "viewer is viewer; this needs the role admin" in page.text
        assert 'href="/graph"' in page.text
        assert 'href="/audit"' not in page.text
        assert "此操作需要管理员" in ask("/audit", {**ZH, **viewer}).text
        assert ask("/audit", viewer).json()["detail"] == "viewer is viewer; this needs the role admin"
        ended = ask("/run", BROWSER, "POST")  # a form that was open when the session ended
        assert ended.status_code == 401
        assert 'href="/login"' in ended.text
        assert 'href="/graph"' not in ended.text
        assert ask("/run", {}, "POST").json() == {"detail": "a token is needed: Authorization: Bearer TOKEN"}


def test_another_name_of_the_server_or_another_origin_is_told_in_the_same_look(ops: Ops) -> None:
    with asked(ops) as ask:
        assert ask("/", {**BROWSER, "host": "evil.example"}).status_code == 421
        for headers, status in (({"host": "evil.example"}, 421), ({"origin": "https://evil.example"}, 403)):
            page = ask("/", {**BROWSER, **headers})
            assert page.status_code == status
            assert "<h1" in page.text
            assert "<nav" not in page.text


def test_every_title_is_told_in_chinese() -> None:
    assert {*failures.TITLES.values(), failures.OTHERWISE, failures.BROKEN} <= set(catalogue("zh").words)

"""The dashboards for Grafana: what is committed is what the code writes, and Grafana's own types take it."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.routing import APIRoute

from aiops.service import looking, web

FOLDER = Path(__file__).resolve().parents[1] / "deploy/grafana"
FILES = sorted((FOLDER / "dashboards").glob("*.json"))


def test_what_is_committed_is_what_is_written() -> None:
    """`make dashboards` writes them again."""
    writer = runpy.run_path(str(FOLDER / "dashboards.py"))
    written = {name: writer["text"](made) for name, made in writer["dashboards"]().items()}
    assert written == {file.name: file.read_text(encoding="utf-8") for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_types_of_grafana_take_it_whole(file: Path) -> None:
    """Read into the types of Grafana 11.6 and written again nothing is lost, so that no field is one that Grafana does not know."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    held = json.loads(file.read_text(encoding="utf-8"))
    for mark in held["annotations"]["list"]:
        mark.pop("titleFormat", None)  # the Prometheus source's own
    again = json.loads(json.dumps(Dashboard.from_json(held), cls=JSONEncoder))
    assert again == held


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_it_can_be_imported_anywhere(file: Path) -> None:
    board = json.loads(file.read_text(encoding="utf-8"))
    assert "id" not in board  # of a database that is not the reader's
    assert re.fullmatch(r"[\w-]{1,40}", board["uid"])
    assert board["schemaVersion"] == 41
    assert len({json.loads(one.read_text())["uid"] for one in FILES}) == len(FILES)


def links(board: dict[str, Any]) -> list[str]:
    found = []
    for panel in board["panels"]:
        fields = panel.get("fieldConfig", {})
        found += [link["url"] for link in fields.get("defaults", {}).get("links", ())]
        values = [p["value"] for o in fields.get("overrides", ()) for p in o["properties"] if p["id"] == "links"]
        found += [link["url"] for value in values for link in value]
    return found


def test_a_click_leads_to_a_page_that_there_is() -> None:
    """With parameters that it knows; whatever a label holds is escaped."""
    routes = [
        route for router in (looking.people, web.router) for route in router.routes if isinstance(route, APIRoute)
    ]
    pages = {route.path: route for route in routes if "GET" in route.methods}
    found = [url for file in FILES for url in links(json.loads(file.read_text(encoding="utf-8")))]
    assert len(set(found)) >= 5
    for url in found:
        parts = urlsplit(url.replace("${external_url:raw}", "http://aiops.example"))
        assert parts.netloc == "aiops.example"
        known = {parameter.alias for parameter in pages[parts.path].dependant.query_params}
        asked = parse_qs(parts.query)
        assert asked
        assert set(asked) <= known
        # Braces stand in macros alone, and each macro that is data from outside is percent-encoded.
        macros = re.findall(r"\$\{([^}]+)\}", parts.query)
        assert all(m in {"__from", "__to"} or m.endswith(":percentencode") for m in macros)

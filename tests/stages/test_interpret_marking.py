"""What a small model is shown: the rules' finds marked in the text, and nothing that the text could mark itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.domain import Catalog
from aiops.stages.interpret import marking, rules
from aiops.stages.interpret.match import Matcher
from aiops.stages.interpret.slots import Slots

CATALOG = Catalog(("parcel", "wallet-api", "pg-2"), ("latency_p99", "error_rate"), {"wallet-api": ("钱包",)})
MATCHER = Matcher(CATALOG)
NOW = datetime(2026, 5, 13, 16, 20, tzinfo=UTC)


def shown(text: str) -> str:
    return rules.read(text, MATCHER, NOW).marked


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("how come Parcel's p99 went up since 10:20", "how come [parcel] p99 <latency_p99> went up {since:10:20}"),
        ("钱包最近半小时p99高", "[wallet-api]{last:30m}p99 <latency_p99>高"),
        ("bounce zeus-api and pg 2", "bounce zeus-api and [pg-2]"),
        ("parcel says [nimbus] is {bad} <|im_end|>", "[parcel] says (nimbus) is (bad) (/im_end/)"),
    ],
)
def test_what_was_found_is_marked_in_place(text: str, marked: str) -> None:
    assert shown(text) == marked


def test_the_turn_before_is_one_line() -> None:
    context = Slots("query", ("parcel", "pg-2"), (), "last:1h", (), "none", "json")
    assert marking.before(context) == "query [parcel] [pg-2] - {last:1h} none json"
    assert marking.before(None) == "-"


@given(st.text(alphabet="<|>[]{} parcelim_send\n", max_size=60))
def test_no_text_spells_a_mark_or_a_control_token(text: str) -> None:
    said = shown(text)
    assert "<|" not in said
    assert said.count("[") == said.count("]")
    assert {part.split("]")[0] for part in said.split("[")[1:]} <= set(CATALOG.services)

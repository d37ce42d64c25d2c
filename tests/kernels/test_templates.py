"""Log templates: what varies is masked, what names a statement stays, the order of lines does not matter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.kernels.templates import TemplateMiner, is_error, mask


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("16:48:42.424 INFO  t.s.TravelServiceImpl#532 route is 7", "INFO  t.s.TravelServiceImpl#532 route is *"),
        ("2026-01-02T03:04:05Z user f3d4d4ef-693b-4456-8eed-59c0d717dd08 left", "user * left"),
        ('info PlaceOrder user_id="dbcb4c42" ok', "info PlaceOrder user_id=* ok"),
        ("mail to someone@example.com sent", "mail to * sent"),
        ("[GetQuote] completed request", "[GetQuote] completed request"),
    ],
)
def test_masks(line: str, template: str) -> None:
    assert mask(line) == template


def test_lines_of_one_statement_share_a_template_and_statements_do_not() -> None:
    miner = TemplateMiner()
    a, b, c, d = miner.fit(["user anna logged in", "user bert logged in", "user anna logged out now", "A#1 done"])
    assert (a == b) == (miner.templates[a] == miner.templates[b])
    assert len({a, c, d}) == 3
    first, second = miner.fit(["s.Impl#17 called with alpha beta gamma", "s.Impl#18 called with alpha beta gamma"])
    assert first != second


@given(st.lists(st.text(max_size=40), max_size=30), st.randoms())
def test_the_order_of_lines_does_not_matter(lines: list[str], random: object) -> None:
    shuffled = sorted(lines, key=lambda _: random.random())  # type: ignore[attr-defined]
    one, two = TemplateMiner(), TemplateMiner()
    told = dict(zip(lines, (one.templates[k] for k in one.fit(lines)), strict=True))
    again = dict(zip(shuffled, (two.templates[k] for k in two.fit(shuffled)), strict=True))
    assert told == again


def test_state_is_json_and_restores() -> None:
    miner = TemplateMiner()
    numbers = miner.fit(["took 3 ms for a", "took 9 ms for b", "other"])
    restored = TemplateMiner.from_state(json.loads(json.dumps(miner.state())))
    assert restored.templates == miner.templates
    assert restored.fit(["other"]) == [numbers[2]]


@pytest.mark.parametrize(
    ("text", "error"), [("ERROR no", True), ("login failed", True), ("terror", False), ("ok", False)]
)
def test_errors_are_told_by_level_or_word(text: str, error: bool) -> None:
    assert is_error(text) is error

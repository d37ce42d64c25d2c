"""Log templates: what varies is masked, what names a statement stays, the order of lines does not matter."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import DataError
from aiops.kernels.masks import mask_lines
from aiops.kernels.templates import CROWD, TemplateMiner, is_error, mask


@pytest.mark.parametrize(
    ("line", "template"),
    [
        # times that lead the line
        ("16:48:42.424 INFO  a.b.TravelServiceImpl#532 route is 7", "INFO a.b.TravelServiceImpl#532 route is *"),
        ("2026-01-02T03:04:05Z user left", "user left"),
        ("[2026-01-02 03:04:05,678] WARN left", "WARN left"),
        ("2026/01/02 03:04:05.678901+02:00 left", "left"),
        ("2026-01-02 left", "* left"),
        ("12:00:00", ""),
        # words with a digit
        ("user f3d4d4ef-693b-4456-8eed-59c0d717dd08 left", "user * left"),
        ("took 3.5ms, 1,234,567 bytes (12KB), 80% of 10,20", "took *, * bytes *, *% of *,*"),
        ("from 10.1.2.3:8080 and fe80::1 at 0x7ffe12", "from * and * at *"),
        ("GET /api/v1/users/4711?page=2 200", "GET /api/*/users/*?page=* *"),
        ("opened /var/lib/a1b2c3/data.db", "opened /var/lib/*/data.db"),
        ("sha deadbeef00112233 at 2026-01-02T03:04:05.678Z", "sha * at *"),
        # quotes and brackets
        ('info PlaceOrder user_id="dbcb4c42" ok', "info PlaceOrder user_id=* ok"),
        ("it's not 'a value' of the users' own", "it's not * of the users' own"),
        ('level=warn msg="can not reach 10.0.0.1" peer="a b"', 'level=warn msg="can not reach *" peer=*'),
        ('10.0.0.1 - - "GET /cart/77?x=1 HTTP/1.1" 200 "a b"', '* - - "GET /cart/*?x=* HTTP/*" * *'),
        ("an \"open quote and 'another", "an \"open quote and 'another"),
        ("[GetQuote] completed request", "[GetQuote] completed request"),
        ("seats [a=1 (b=2) c] {x, y}", "seats [a=* * c] *"),
        # code positions
        ("shop.Cart#12 and PlaceOrder#7 but order#4711 and #9", "shop.Cart#12 and PlaceOrder#7 but order#* and #*"),
        ("main.go:112 said example.com:112", "main.go:112 said example.com:*"),
        # JSON objects
        ('{"level":"error","at":17.5,"msg":"lost 10.0.0.1","ids":[1,2]}', "level error at * msg lost * ids *"),
        ('{"level":"error","at":17.5,"msg":"lost 10.0.0.9","ids":[1,2,3]}', "level error at * msg lost * ids *"),
        ("{}", "{}"),
        ("{", "{"),
        # other scripts
        ("用户123登录成功", "用户*登录成功"),
        ("mail to some.one+x@example.com sent", "mail to * sent"),
        ("  many \t blanks ", "many blanks"),
        ("", ""),
    ],
)
def test_masks(line: str, template: str) -> None:
    assert mask(line) == template


@given(st.lists(st.text(st.characters(codec=None), max_size=60), max_size=40))
def test_any_text_is_masked_alone_as_in_company(lines: list[str]) -> None:
    together = mask_lines(lines)
    assert together == [mask(line) for line in lines]
    assert all(len(text) <= len(line) for text, line in zip(together, lines, strict=True))


_SHAPED = st.text("aB9 \"'#:@.,-_/+T(){}[]=*\t漢", max_size=80)


@given(_SHAPED)
def test_no_digit_is_left_but_in_a_code_position(line: str) -> None:
    text = mask(line)
    for at, char in enumerate(text):
        if char == "9":
            before = text[:at].rstrip("9")
            assert before.endswith(("#", ":")), text


@given(_SHAPED, st.text("0123456789", min_size=1, max_size=12))
def test_another_number_is_the_same_template(line: str, number: str) -> None:
    assert mask(f"{line} a{number}z") == mask(f"{line} a7z")


def test_lines_of_one_statement_share_a_template_and_statements_do_not() -> None:
    miner = TemplateMiner()
    a, b, c = miner.fit(["user anna is logged in now", "user anna is logged in then", "user anna logged out"])
    assert a == b != c
    assert miner.templates[a] == "user anna is logged in *"
    for one, other in (("s.Impl#17", "s.Impl#18"), ("main.go:17", "main.go:18")):
        first, second = miner.fit([f"{one} called with alpha beta gamma", f"{other} called with alpha beta gamma"])
        assert first != second


@given(st.lists(st.text(max_size=40), max_size=30), st.randoms())
def test_the_order_of_lines_does_not_matter(lines: list[str], chance: random.Random) -> None:
    shuffled = sorted(lines, key=lambda _: chance.random())
    one, two = TemplateMiner(), TemplateMiner()
    told = dict(zip(lines, (one.templates[k] for k in one.fit(lines)), strict=True))
    again = dict(zip(shuffled, (two.templates[k] for k in two.fit(shuffled)), strict=True))
    assert told == again


def test_ever_new_words_stay_bounded() -> None:
    """Names in the first words, and names further back, of more people than a node of the tree has room for."""
    people = ["".join(chr(97 + number // 26**place % 26) for place in range(4)) for number in range(20 * CROWD)]
    miner = TemplateMiner()
    miner.fit([f"{name} has left" for name in people] + [f"has left {name} {name[::-1]} {name[1:]}" for name in people])
    assert len(miner.templates) <= 3 * CROWD


WORDS = st.lists(st.sampled_from(["a", "b", "c", "3", "x9", "S.T#1", "*"]), max_size=5).map(" ".join)


@given(st.lists(WORDS, max_size=40), st.lists(WORDS, max_size=20))
def test_state_is_json_and_goes_on(before: list[str], after: list[str]) -> None:
    miner = TemplateMiner()
    miner.fit(before)
    restored = TemplateMiner.from_state(json.loads(json.dumps(miner.state())))
    assert restored.templates == miner.templates
    assert restored.fit(sorted({*before, *after})) == miner.fit(sorted({*before, *after}))
    assert restored.state() == miner.state()


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"version": None},
        {"similarity": "x"},
        {"similarity": 2},
        {"depth": -1},
        {"templates": [1]},
        {"templates": None},
    ],
)
def test_a_state_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="log templates"):
        TemplateMiner.from_state(TemplateMiner().state() | wrong)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("ERROR no", True),
        ("login failed", True),
        ("terror", False),
        ("ok", False),
        ("saved error=null", False),
        ("error: none of the peers answered", False),
        ("level error msg lost", True),
    ],
)
def test_errors_are_told_by_level_or_word(text: str, error: bool) -> None:
    assert is_error(text) is error

"""An exported audit log: whatever is done to the file, the first entry that no longer holds is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aiops.errors import DataError
from aiops.schema.audit import Entry, Head, Place, canonical, check, head_of, line, link, shown

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def chain(entries: list[Any], begin: Place = Place()) -> tuple[list[bytes], Head]:  # noqa: B008 - frozen
    lines, end = [], begin
    for number, each in enumerate(entries, begin.number):
        at, text = 1_770_000_000_000 + 7 * number, canonical({"said": each})
        entry = Entry(number, at, "turn", text, link(end.hash, number, at, "turn", text))
        lines.append(line(shown(entry, end.hash)))
        end = Place(number + 1, entry.hash)
    return lines, Head(begin, end, "2026-02-01T00:00:00.000+00:00")


TEN, TEN_HEAD = chain([f"问题 {n}" for n in range(10)])


@given(st.lists(PLAIN, max_size=6), st.integers(0, 1000))
def test_what_is_exported_holds(entries: list[Any], first: int) -> None:
    lines, head = chain(entries, Place(first, bytes(range(32))))
    found = check(lines, head)
    assert (found.wrong, found.end) == ("", head.end)
    assert check(chain(entries)[0], None).wrong == ""


@given(st.integers(0, 9), st.data())
def test_any_changed_byte_is_found_at_its_entry(number: int, data: st.DataObject) -> None:
    raw = TEN[number]
    where = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b not in (raw[where], ord("\n"))))
    changed = [*TEN[:number], raw[:where] + bytes([byte]) + raw[where + 1 :], *TEN[number + 1 :]]
    for head in (TEN_HEAD, None):
        found = check(changed, head)
        assert found.wrong
        assert found.end.number == number


@given(st.integers(0, 9), PLAIN)
def test_an_edited_entry_is_found_even_with_a_hash_that_fits_it(number: int, other: object) -> None:
    told = json.loads(TEN[number])
    assume(told["entry"] != {"said": other})
    text = canonical({"said": other})
    at = 1_770_000_000_000 + 7 * number
    forged = Entry(number, at, "turn", text, link(bytes.fromhex(told["previous"]), number, at, "turn", text))
    changed = [*TEN[:number], line(shown(forged, bytes.fromhex(told["previous"]))), *TEN[number + 1 :]]
    found = check(changed, TEN_HEAD)
    assert found.wrong
    # The last one fits all before it: only the head knows that it was another.
    assert found.end.number in ((number + 1,) if number < 9 else (10,))


@given(st.sets(st.integers(0, 9), min_size=1, max_size=9))
def test_deleted_entries_are_missed(gone: set[int]) -> None:
    found = check([raw for n, raw in enumerate(TEN) if n not in gone], TEN_HEAD)
    assert found.wrong
    assert found.end.number == min(gone)


@given(st.permutations(range(10)))
def test_any_other_order_is_found(order: list[int]) -> None:
    assume(order != list(range(10)))
    found = check([TEN[n] for n in order], None)
    assert found.end.number == next(n for n in range(10) if order[n] != n)
    assert found.wrong


@given(st.integers(0, 10), st.integers(0, 9))
def test_a_repeated_or_inserted_entry_is_found(where: int, which: int) -> None:
    found = check([*TEN[:where], TEN[which], *TEN[where:]], TEN_HEAD)
    assert found.wrong
    assert found.end.number in (where, where + 1)  # a copy beside its original: the second of the two is too many


@given(st.integers(0, 9))
def test_a_cut_end_is_found_by_the_head_alone(kept: int) -> None:
    assert check(TEN[:kept], None).wrong == ""
    assert check(TEN[:kept], TEN_HEAD).wrong == f"entries {kept} to 9 were cut off"


@given(st.integers(1, 400))
@example(1)
def test_a_file_cut_anywhere_is_found(cut: int) -> None:
    whole = b"".join(TEN)
    assert check(whole[: len(whole) - cut].splitlines(keepends=True), TEN_HEAD).wrong


def test_a_chain_rewritten_as_a_whole_contradicts_the_head() -> None:
    lines, _ = chain(["nothing happened"] * 10)
    assert "rewritten" in check(lines, TEN_HEAD).wrong


def test_more_than_the_head_tells_is_told() -> None:
    longer, _ = chain([f"问题 {n}" for n in range(12)])
    assert check(longer, TEN_HEAD).wrong == "entry 10 stands behind the end that the head tells"


def test_a_beginning_that_was_cut_off_is_missed() -> None:
    assert check(TEN[3:], None).wrong == "entry 0 is missing"
    later = replace(TEN_HEAD, begin=Place(3, bytes.fromhex(json.loads(TEN[3])["previous"])))
    assert check(TEN[3:], later).wrong == ""
    assert check(TEN[4:], later).wrong == "entry 3 is missing"


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b'{"number": 1e999}\n',
        b"9" * 5000 + b"\n",
    ],
)
def test_hostile_lines_are_no_entries(hostile: bytes) -> None:
    assert check([hostile, *TEN[1:]], TEN_HEAD).end.number == 0


def test_half_a_surrogate_pair_is_exported_and_checked() -> None:
    lines, head = chain(["\ud800", "fine"])
    assert check(lines, head).wrong == ""


def test_a_head_is_read_as_it_was_written_and_as_nothing_else() -> None:
    head = replace(TEN_HEAD, key="SHA256:ab", signature=b"x" * 64)
    assert head_of(head.dump().encode(), "h") == head
    assert head.signed() == replace(head, signature=b"y").signed()
    assert head.signed() != replace(head, key="SHA256:cd").signed()
    wrong = [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        head.dump().encode().replace(b"head/1", b"head/2"),
        head.dump().encode() + b" ",
    ]
    for data in wrong:
        with pytest.raises(DataError, match="h: is no head"):
            head_of(data, "h")


def test_what_json_cannot_hold_is_refused() -> None:
    for value in (float("nan"), {1, 2}, b"bytes"):
        with pytest.raises(DataError):
            canonical({"x": value})

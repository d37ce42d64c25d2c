"""Samples in JSON and the numbers in them: what the kernels read is what `json` and `float` read, bit for bit."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aiops.errors import DataError
from aiops.kernels.wire import matrix, series
from aiops.kernels.wire.decimals import HARD, number
from aiops.kernels.wire.labels import decode, encode


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def read(text: str) -> tuple[float, int]:
    value = np.zeros(1)
    data = np.frombuffer(text.encode() + b'"', np.uint8)
    end = number(data, 0, len(text), value, value.view(np.int64), 0)
    return float(value[0]), end


@settings(max_examples=2000, deadline=None)
@given(
    st.one_of(
        st.floats(allow_nan=False).map(repr),
        st.integers(-(10**19), 10**19).map(str),
        st.tuples(st.integers(0, 10**19 - 1), st.integers(-345, 310)).map(lambda p: f"{p[0]}e{p[1]}"),
        st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str),
        st.from_regex(r"[+-]?[0-9]{1,24}(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    )
)
@example("5e-324")
@example("9007199254740993")
@example("2.2250738585072011e-308")
@example("1.7976931348623157e308")
@example("-0")
@example("-0.000")
@example("+Inf")
@example("-Inf")
def test_a_number_is_the_nearest_float_or_left_to_float(text: str) -> None:
    value, end = read(text)
    assert end == HARD or (end == len(text) and bits(value) == bits(float(text)))


@pytest.mark.parametrize("text", ["1", "0.1", "123456.789", "0.3333333333333333", "-1.7976931348623157e308", "1e-05"])
def test_what_servers_write_is_not_left_to_float(text: str) -> None:
    assert read(text)[1] == len(text)


@pytest.mark.parametrize("text", ["", "-", "+", ".", "1.", "e5", "1e", "1e+", "abc", "Na", "In", "0x10", "1_000"])
def test_no_number_is_read_where_there_is_none(text: str) -> None:
    end = read(text)[1]
    assert end == HARD or end < len(text)


Told = list[tuple[float, str]]


def texts(lists: Sequence[Told]) -> list[bytes]:
    return [json.dumps([list(one) for one in told], separators=(",", ":")).encode() for told in lists]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 4_000_000_000_000).map(lambda ms: ms / 1000), st.floats(allow_nan=False).map(repr)
            ),
            max_size=6,
        ),
        max_size=5,
    )
)
def test_lists_of_samples_come_back(lists: list[Told]) -> None:
    lists = [[(int(at) if at == int(at) else at, value.replace("inf", "Inf")) for at, value in told] for told in lists]
    sizes, times, values = matrix.scan(texts(lists))
    kept = [told for told, size in zip(lists, sizes.tolist(), strict=True) if size >= 0]
    for told, size in zip(lists, sizes.tolist(), strict=True):
        assert size == len(told) or any(read(value)[1] == HARD for _, value in told)
    assert times.tolist() == [round(at * 1000) for told in kept for at, _ in told]
    assert [bits(value) for value in values.tolist()] == [bits(float(value)) for told in kept for _, value in told]


@pytest.mark.parametrize(
    "odd",
    [
        b'[ [1,"2"] ]',
        b'[[1.1234,"2"]]',
        b'[[1e9,"2"]]',
        b'[[-1,"2"]]',
        b'[[1,"12345678901234567890123"]]',
        b'[[99999999999,"2"]]',
        b"[[1,2]]",
        b'[[1,"x"]]',
        b'[[1,"2",3]]',
        b"[1]",
        b"{}",
    ],
)
def test_an_odd_list_is_left_alone_and_costs_no_other(odd: bytes) -> None:
    sizes, times, values = matrix.scan([b'[[1,"2"],[2,"NaN"]]', odd, b"[]", b'[[3.5,"-4"]]'])
    assert sizes.tolist() == [2, -1, 0, 1]
    assert times.tolist() == [1000, 2000, 3500]
    assert np.array_equal(values, [2.0, np.nan, -4.0], equal_nan=True)


def columns(parts: Sequence[tuple[bytes, Sequence[tuple[int, float]]]]) -> dict[bytes, list[tuple[int, float]]]:
    told = series.columns(
        [key for key, _ in parts],
        np.array([len(rows) for _, rows in parts], np.int64),
        np.array([at for _, rows in parts for at, _ in rows], np.int64),
        np.array([value for _, rows in parts for _, value in rows], np.float64),
    )
    return {
        key: list(zip((told.times[a:b] // 1_000_000).tolist(), told.values[a:b].tolist(), strict=True))
        for key, a, b in zip(told.keys, told.starts[:-1], told.starts[1:], strict=True)
    }


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c"]),
            st.lists(st.tuples(st.integers(-50, 50), st.floats(allow_nan=False)), max_size=8),
        ),
        max_size=6,
    )
)
def test_columns_hold_each_series_once_in_order_and_the_last_of_equal_times(
    parts: list[tuple[bytes, list[tuple[int, float]]]],
) -> None:
    wanted: dict[bytes, dict[int, float]] = {}
    for key, rows in parts:
        wanted.setdefault(key, {}).update(rows)
    assert columns(parts) == {key: sorted(rows.items()) for key, rows in wanted.items() if rows}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(st.characters(exclude_categories=["Cs"]))
    )
)
def test_labels_come_back_whatever_they_hold(labels: dict[str, str]) -> None:
    assert decode(encode(labels)) == labels
    assert encode(dict(reversed(labels.items()))) == encode(labels)


@given(st.binary(max_size=40))
def test_no_bytes_break_the_labels(key: bytes) -> None:
    try:
        decode(key)
    except DataError:
        return

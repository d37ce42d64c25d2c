"""The chunked coding taken off, however its bytes are cut into pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.kernels.wire import chunked


def joined(raw: bytes, cuts: list[int]) -> tuple[bytes, bool]:
    """(payload, whether it ended), read in pieces that end at `cuts`."""
    data = np.zeros(len(raw) + 1, np.uint8)
    size = filled = left = 0
    done = False
    for first, last in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        data[filled : filled + last - first] = np.frombuffer(raw[first:last], np.uint8)
        size, filled, left, done = chunked.join(data, size, filled + last - first, left)
        if size == chunked.MALFORMED:
            raise ValueError("no chunk")
        if done:
            break
    return data[:size].tobytes(), done


def coded(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=12))
@settings(deadline=None)
def test_the_payload_comes_out_however_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    raw = coded(parts)
    assert joined(raw, sorted(c for c in cuts if c <= len(raw))) == (b"".join(parts), True)


@pytest.mark.parametrize("length", range(len(coded([b"hello", b"world" * 5]))))
def test_what_is_cut_off_has_not_ended(length: int) -> None:
    assert joined(coded([b"hello", b"world" * 5])[:length], [])[1] is False


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"5;name=value\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"A \r\n0123456789\r\n0\r\nDigest: x\r\nExpires: y\r\n\r\n", b"0123456789"),
        (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    ],
)
def test_extensions_and_trailers_are_passed_over(raw: bytes, told: bytes) -> None:
    assert joined(raw, []) == (told, True)
    assert joined(raw, list(range(1, len(raw)))) == (told, True)


@pytest.mark.parametrize("raw", [b"x\r\n", b"\r\nhello", b"-5\r\nhello\r\n", b"fffffffffffffffff\r\n", b"1" * 5000])
def test_what_is_no_chunk_is_told(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no chunk"):
        joined(raw, [])

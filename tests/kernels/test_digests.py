"""Digests against published values, and the index against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.kernels import digests


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (b"", "00000000000000000000000000000000"),
        (b"hello", "cbd8a7b341bd9b025b1e906a48ae1d19"),
        (b"The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c7a433ca9c49a9347"),
    ],
)
def test_the_digests_are_the_published_ones(key: bytes, told: str) -> None:
    (pair,) = digests.digests([key])
    assert f"{pair[0]:016x}{pair[1]:016x}" == told


@given(st.lists(st.binary(max_size=40), unique=True, max_size=40))
def test_a_key_has_one_digest_wherever_it_stands(keys: list[bytes]) -> None:
    together = digests.digests(keys)
    assert len({tuple(pair) for pair in together.tolist()}) == len(keys)
    for key, pair in zip(keys, together, strict=True):
        np.testing.assert_array_equal(digests.digests([key])[0], pair)


def test_the_index_finds_what_is_there_and_nothing_else() -> None:
    held = digests.digests([f"series {i}".encode() for i in range(5000)])
    index = digests.build(held, np.arange(0, 5000, 2))
    found = digests.find(index, held, held)
    np.testing.assert_array_equal(found[::2], np.arange(0, 5000, 2))
    assert (found[1::2] == -1).all()
    assert digests.roomy(index, 5000)
    digests.add(index, held, np.arange(1, 5000, 2))
    np.testing.assert_array_equal(digests.find(index, held, held), np.arange(5000))

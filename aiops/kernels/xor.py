"""Prometheus' XOR chunks: time steps as differences of differences, values as the bits that change.

T. Pelkonen et al., Gorilla, VLDB 2015, in the layout of Prometheus' tsdb/docs/format/chunks.md. Bits come most significant first.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aiops.domain import FloatArray, IntArray
from aiops.kernels.wire import Bytes, uvarint

Words = NDArray[np.uint64]


def big_endian(body: bytes) -> Words:
    """The bytes as 64-bit words, with a word of zeros behind them: a bit string that two loads read at any place."""
    padded = body + bytes(16 - len(body) % 8)
    return np.frombuffer(padded, ">u8").astype(np.uint64)


@njit(cache=True)
def capacity(data: Bytes, chunks: IntArray) -> int:
    """Samples that (C, 4) `chunks` say they hold, but never more than their bits could. Columns 1 and 2 are first and last byte."""
    total = 0
    for k in range(len(chunks)):
        first, size = chunks[k, 1], chunks[k, 2] - chunks[k, 1]
        if size >= 2:
            total += min(int(data[first]) << 8 | int(data[first + 1]), size * 4)
    return int(total)


@njit(cache=True)
def unpack(
    data: Bytes, words: Words, first: int, last: int, start: int, end: int, times: IntArray, values: FloatArray
) -> int:
    """Unpack the chunk in data[first:last], keeping times in [start, end]; how many were kept, or -1 where it ends too early."""
    if last - first < 2:
        return -1
    count = int(data[first]) << 8 | int(data[first + 1])
    at, stop, kept = (first + 2) * 8, last * 8, 0
    time, delta, lead, width = 0, 0, 0, 0
    word = np.zeros(1, np.int64)
    number = word.view(np.float64)
    for k in range(count):
        change, at = _time(data, words, at, stop, k)
        if at < 0:
            return -1
        delta = change if k < 2 else delta + change
        time += delta
        if k == 0:
            delta = 0
        flip, at, lead, width = _flip(words, at, stop, lead, width) if k else _whole(words, at, stop)
        if at < 0:
            return -1
        word[0] ^= flip
        if start <= time <= end:
            if kept >= len(times):
                return -1
            times[kept], values[kept] = time, number[0]
            kept += 1
    return kept


@njit(cache=True)
def _word(words: Words, at: int) -> int:
    """The 64 bits from bit `at`."""
    place, skip = np.uint64(at >> 6), np.uint64(at & 63)  # unsigned, which spares the test for negative indices
    after = words[place + np.uint64(1)] >> np.uint64(1) >> (np.uint64(63) - skip)
    return int(np.int64(words[place] << skip | after))


@njit(cache=True)
def _top(word: int, skip: int, count: int) -> int:
    """`count` bits of a word behind its first `skip`; 0 < count, skip + count <= 64."""
    return int(np.int64(np.uint64(word) << np.uint64(skip) >> np.uint64(64 - count)))


@njit(cache=True)
def _time(data: Bytes, words: Words, at: int, stop: int, place: int) -> tuple[int, int]:
    """(first time, first step, or difference of steps, by the sample's place; next bit), the bit -1 where it ends too early."""
    if place > 1:
        return _delta(words, at, stop)
    raw, byte = uvarint(data, at >> 3, stop >> 3)
    if byte < 0:
        return 0, -1
    if place == 0:  # zigzag
        raw = int(np.int64(np.uint64(raw) >> np.uint64(1))) ^ -(raw & 1)
    return raw, byte * 8


@njit(cache=True)
def _whole(words: Words, at: int, stop: int) -> tuple[int, int, int, int]:
    """The first value, as `_flip` would give it."""
    return (_word(words, at), at + 64, 0, 0) if at + 64 <= stop else (0, -1, 0, 0)


@njit(cache=True)
def _delta(words: Words, at: int, stop: int) -> tuple[int, int]:
    """(difference of the time step to the one before, next bit), the bit -1 where it ends too early."""
    word = _word(words, at)
    if word >= 0:  # the first bit is 0
        return (0, at + 1) if at < stop else (0, -1)
    ones = 1
    while ones < 4 and _top(word, ones, 1):
        ones += 1
    at += min(ones + 1, 4)
    size = 14 if ones == 1 else 17 if ones == 2 else 20 if ones == 3 else 64
    if at + size > stop:
        return 0, -1
    change = _top(_word(words, at), 0, size)
    if size < 64 and change > 1 << (size - 1):
        change -= 1 << size
    return change, at + size


@njit(cache=True)
def _flip(words: Words, at: int, stop: int, lead: int, width: int) -> tuple[int, int, int, int]:
    """(bits that change in the value, next bit, leading zeros, width), the next bit -1 where it ends too early."""
    word = _word(words, at)
    if word >= 0:  # the first bit is 0: the same value again
        return 0, at + 1 if at < stop else -1, lead, width
    if _top(word, 1, 1):
        lead, width = _top(word, 2, 5), _top(word, 7, 6)
        width = 64 if width == 0 else width
        at += 13
    else:
        at += 2
    if at + width > stop or lead + width > 64:
        return 0, -1, lead, width
    if width == 0:
        return 0, at, lead, width
    change = np.uint64(_top(_word(words, at), 0, width)) << np.uint64(64 - lead - width)
    return int(np.int64(change)), at + width, lead, width

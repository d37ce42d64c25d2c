"""Rows by key: 128-bit digests of byte strings, and the open-addressing index from digest to row.

A fleet of a million series is looked up at every pull. Digests take 16 bytes where the keys take hundreds, live in arrays
that are saved as they are, and are compared without one Python object per series. MurmurHash3_x64_128 (A. Appleby, public domain),
seed 0: two of a million keys meet with probability 1e-27; it does not resist keys made to meet, whose series would share a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiops.domain import IntArray
from aiops.kernels.compiled import njit

Digests = NDArray[np.uint64]  # (N, 2)
Words = NDArray[np.uint64]
Index = NDArray[np.int32]  # power of two slots, each a row or -1

_LOAD = 2  # slots per row, at least
_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)
_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)


def digests(keys: Sequence[bytes]) -> Digests:
    """(N, 2) of N keys; O(bytes)."""
    sizes = np.fromiter(map(len, keys), np.int64, len(keys))
    data = b"".join((*keys, bytes(16)))
    words = np.frombuffer(data, "<u8", len(data) // 8).astype(np.uint64, copy=False)
    out = np.empty((len(keys), 2), np.uint64)
    _digest(words, np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]), out)
    return out


def build(held: Digests, rows: IntArray) -> Index:
    """An index of `rows` of `held`, with room for as many again."""
    index = np.full(1 << max(4, int(2 * _LOAD * max(len(rows), 1) - 1).bit_length()), -1, np.int32)
    _add(index, held, np.ascontiguousarray(rows, np.int64))
    return index


def add(index: Index, held: Digests, rows: IntArray) -> None:
    """Enter `rows`, none of which is there yet; the caller sees that `roomy` holds."""
    _add(index, held, np.ascontiguousarray(rows, np.int64))


def roomy(index: Index, rows: int) -> bool:
    """Whether `rows` rows altogether leave enough slots empty."""
    return rows * _LOAD <= len(index)


def find(index: Index, held: Digests, wanted: Digests) -> IntArray:
    """(N,) rows of `wanted`, -1 where there is none."""
    out = np.empty(len(wanted), np.int64)
    _find(index, held, wanted, out)
    return out


@njit(cache=True)
def _rotate(x: np.uint64, by: int) -> np.uint64:
    return (x << np.uint64(by)) | (x >> np.uint64(64 - by))


@njit(cache=True)
def _finish(x: np.uint64) -> np.uint64:
    x ^= x >> np.uint64(33)
    x *= _M1
    x ^= x >> np.uint64(33)
    x *= _M2
    return np.uint64(x ^ (x >> np.uint64(33)))


@njit(cache=True)
def _word(words: Words, at: int, size: int) -> np.uint64:
    """The `size` bytes at byte `at`, at most 8, little-endian: two aligned loads."""
    first, off = at >> 3, np.uint64(8 * (at & 7))
    told = words[first] >> off
    if off:
        told |= words[first + 1] << (np.uint64(64) - off)
    if size < 8:
        told &= (np.uint64(1) << np.uint64(8 * size)) - np.uint64(1)
    return np.uint64(told)


@njit(cache=True)
def _digest(words: Words, bounds: IntArray, out: Digests) -> None:
    for s in range(len(bounds) - 1):
        at, end = bounds[s], bounds[s + 1]
        size = np.uint64(end - at)
        h1, h2 = np.uint64(0), np.uint64(0)
        while end - at >= 16:
            k1, k2 = _word(words, at, 8), _word(words, at + 8, 8)
            h1 ^= _rotate(k1 * _C1, 31) * _C2
            h1 = (_rotate(h1, 27) + h2) * np.uint64(5) + np.uint64(0x52DCE729)
            h2 ^= _rotate(k2 * _C2, 33) * _C1
            h2 = (_rotate(h2, 31) + h1) * np.uint64(5) + np.uint64(0x38495AB5)
            at += 16
        rest = end - at
        if rest > 8:
            h2 ^= _rotate(_word(words, at + 8, rest - 8) * _C2, 33) * _C1
        if rest > 0:
            h1 ^= _rotate(_word(words, at, min(rest, 8)) * _C1, 31) * _C2
        h1, h2 = h1 ^ size, h2 ^ size
        h1 += h2
        h2 += h1
        h1, h2 = _finish(h1), _finish(h2)
        h1 += h2
        h2 += h1
        out[s, 0], out[s, 1] = h1, h2


@njit(cache=True)
def _add(index: Index, held: Digests, rows: IntArray) -> None:
    mask = np.uint64(len(index) - 1)
    for row in rows:
        slot = held[row, 0] & mask
        while index[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        index[slot] = row


@njit(cache=True)
def _find(index: Index, held: Digests, wanted: Digests, out: IntArray) -> None:
    mask = np.uint64(len(index) - 1)
    for k in range(len(wanted)):
        slot = wanted[k, 0] & mask
        while True:
            row = index[slot]
            if row < 0 or (held[row, 0] == wanted[k, 0] and held[row, 1] == wanted[k, 1]):
                break
            slot = (slot + np.uint64(1)) & mask
        out[k] = row

"""Snappy blocks (format_description.txt of google/snappy): packed as literals, unpacked in numba."""

from __future__ import annotations

import numpy as np

from aiops.errors import DataError
from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes
from aiops.kernels.wire.protobuf import uvarint, varint

LIMIT = 1 << 30  # bytes that a block may unpack to


def compress(raw: bytes) -> bytes:
    """A snappy block of literals: valid, and requests are too small to be worth more."""
    out = varint(len(raw))
    for begin in range(0, len(raw), 65_536):
        part = raw[begin : begin + 65_536]
        out += bytes([61 << 2]) + (len(part) - 1).to_bytes(2, "little") + part
    return out


def decompress(block: bytes, limit: int = LIMIT) -> bytes:
    """Unpack a snappy block of at most `limit` bytes. DataError where it is larger or broken."""
    data = np.frombuffer(block, np.uint8)
    size, begin = uvarint(data, 0, len(data))
    if begin < 0:
        raise DataError("snappy block: it ends too early")
    if size < 0 or size > limit:
        raise DataError(f"snappy block: it unpacks to {size & (1 << 64) - 1} bytes, allowed are {limit}")
    # A snappy copy is at most 64 bytes from 3: more than that from a small block is a lie told in the header.
    if size > 32 * len(block) + 64:
        raise DataError(f"snappy block: {len(block)} bytes cannot unpack to {size}")
    out = np.empty(size, np.uint8)
    if not _unsnap(data, begin, out):
        raise DataError("snappy block: it is broken")
    return out.tobytes()


@njit(cache=True)
def _little(data: Bytes, at: int, count: int) -> int:
    """A little-endian number of `count` bytes."""
    number = 0
    for k in range(count):
        number |= int(data[at + k]) << 8 * k
    return number


@njit(cache=True)
def _unsnap(data: Bytes, at: int, out: Bytes) -> bool:
    """Unpack the elements into `out`; whether they fitted exactly."""
    filled = 0
    while at < len(data):
        kind = data[at] & 3
        at, filled = _literal(data, at, out, filled) if kind == 0 else _copy(data, at, out, filled)
        if at < 0:
            return False
    return filled == len(out)


@njit(cache=True)
def _literal(data: Bytes, at: int, out: Bytes, filled: int) -> tuple[int, int]:
    """(next byte, bytes filled) after a literal; the next byte is -1 where it does not fit."""
    size = (int(data[at]) >> 2) + 1
    at += 1
    if size > 60:
        wide = size - 60
        if at + wide > len(data):
            return -1, filled
        size = _little(data, at, wide) + 1
        at += wide
    if size > len(data) - at or size > len(out) - filled:
        return -1, filled
    out[filled : filled + size] = data[at : at + size]
    return at + size, filled + size


@njit(cache=True)
def _copy(data: Bytes, at: int, out: Bytes, filled: int) -> tuple[int, int]:
    """(next byte, bytes filled) after a copy from what is unpacked; the next byte is -1 where it does not fit."""
    tag = int(data[at])
    wide = 4 if tag & 3 == 3 else tag & 3
    if at + 1 + wide > len(data):
        return -1, filled
    back, size = _little(data, at + 1, wide), (tag >> 2) + 1
    if wide == 1:
        back, size = back | (tag >> 5) << 8, (tag >> 2 & 7) + 4
    if back == 0 or back > filled or size > len(out) - filled:
        return -1, filled
    for k in range(filled, filled + size):  # the two may overlap: byte by byte
        out[k] = out[k - back]
    return at + 1 + wide, filled + size

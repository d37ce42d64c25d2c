"""Protobuf on the wire: varints and fields, written in Python and walked in numba. Every length is checked before it is believed."""

from __future__ import annotations

import numpy as np

from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes


def varint(number: int) -> bytes:
    """A number, negative ones in two's complement, as protobuf and snappy write it."""
    out, number = bytearray(), number & (2**64 - 1)
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def integer(number: int, value: int) -> bytes:
    """A varint field."""
    return varint(number << 3) + varint(value)


@njit(cache=True)
def uvarint(data: Bytes, at: int, last: int) -> tuple[int, int]:
    """(number, where it ends); the end is -1 where it is cut or longer than ten bytes."""
    if at < last and data[at] < 128:
        return int(data[at]), at + 1
    number = np.uint64(0)
    for k in range(10):
        if at + k >= last:
            return 0, -1
        byte = np.uint64(data[at + k])
        number |= (byte & np.uint64(127)) << np.uint64(7 * k)
        if byte < 128:
            return int(np.int64(number)), at + k + 1
    return 0, -1


@njit(cache=True)
def next_field(data: Bytes, at: int, last: int) -> tuple[int, int, int]:
    """(key, first and last byte of the payload) of the field at `at`; the last is -1 where it does not fit."""
    key, begin = uvarint(data, at, last)
    if begin < 0:
        return 0, 0, -1
    kind = key & 7
    if kind == 0:
        _, end = uvarint(data, begin, last)
        return key, begin, end
    size = 8 if kind == 1 else 4 if kind == 5 else -1
    if kind == 2:
        size, begin = uvarint(data, begin, last)
        if begin < 0:
            return 0, 0, -1
    if size < 0 or size > last - begin:
        return 0, 0, -1
    return key, begin, begin + size

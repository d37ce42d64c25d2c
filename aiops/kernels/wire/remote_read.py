"""Prometheus remote read: the request written, and both kinds of answer decoded without one object per sample.

The wire (prompb/remote.proto, tsdb/docs/format/chunks.md): a request is a snappy block of protobuf. An answer is either a stream
of frames (uvarint length, CRC-32C, protobuf `ChunkedReadResponse`) whose chunks are XOR-compressed after T. Pelkonen et al.,
Gorilla, VLDB 2015, or one snappy block of protobuf `ReadResponse` with plain samples. Lengths are checked before they are believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from aiops.domain import Gap, IntArray, Samples, series_key
from aiops.errors import DataError
from aiops.kernels.compiled import njit
from aiops.kernels.wire import Bytes
from aiops.kernels.wire.labels import decode, sound
from aiops.kernels.wire.protobuf import field, integer, next_field, uvarint
from aiops.kernels.wire.series import columns
from aiops.kernels.wire.snappy import compress, decompress
from aiops.kernels.wire.xor import Words, big_endian, capacity, unpack

STREAMED, PLAIN = "application/x-streamed-protobuf", "application/x-protobuf"  # content types of the two answers
FRAME_LIMIT = 64 << 20  # bytes; Prometheus sends about 1 MiB a frame
OPERATORS = ("=", "!=", "=~", "!~")  # in the order of prompb.LabelMatcher.Type

_XOR, _HISTOGRAMS = 1, (2, 3)  # encodings of a chunk
_BROKEN = -1
_OK, _TRUNCATED, _CHECKSUM, _TOO_LARGE, _MALFORMED = range(5)
_WHY = ("", "it ends too early", "its CRC-32C is wrong", "it is larger than allowed", "it is no valid protobuf")


def request(matchers: Iterable[tuple[str, str, str]], start_ms: int, end_ms: int) -> bytes:
    """The body of a POST that asks for one selector, (name, operator, value) each, both ends inclusive.

    Streamed chunks are preferred, plain samples accepted."""
    query = integer(1, start_ms) + integer(2, end_ms)
    for name, operator, value in matchers:
        query += field(3, integer(1, OPERATORS.index(operator)) + field(2, name.encode()) + field(3, value.encode()))
    return compress(field(1, query) + field(2, bytes([1, 0])))


def decode_stream(body: Bytes, start_ms: int, end_ms: int) -> Samples:
    """The samples in [start_ms, end_ms] of a streamed answer, which both lie within the nanoseconds of an int64.

    Series come in the order of the answer. A series with a broken chunk is a gap. DataError for a broken frame."""
    series, chunks = _indexed(body)
    room = capacity(body, chunks)
    times, bits = np.empty(room, np.int64), np.empty(room, np.int64)
    sizes, faults = np.zeros(len(series), np.int64), np.zeros(len(series), np.int64)
    _decode(body, big_endian(body), chunks, start_ms, end_ms, times, bits, sizes, faults)
    return _samples(_keys(body, series), sizes, faults, times, bits)


def decode_block(body: bytes, start_ms: int, end_ms: int) -> Samples:
    """As `decode_stream`, of a snappy-compressed `ReadResponse`, which servers without chunks send."""
    data = np.frombuffer(decompress(body), np.uint8)
    count = _index_block(data, _NO_ROWS)
    if count < 0:
        raise DataError("the answer is no valid protobuf")
    series = np.empty((count, 4), np.int64)
    _index_block(data, series)
    room = int(series[:, 3].sum())
    times, bits = np.empty(room, np.int64), np.empty(room, np.int64)
    sizes, faults = np.zeros(count, np.int64), np.zeros(count, np.int64)
    _decode_plain(data, series, start_ms, end_ms, times, bits, sizes, faults)
    return _samples(_keys(data, series), sizes, faults, times, bits)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) as RFC 3720 defines it."""
    view = np.frombuffer(data, np.uint8)
    return int(_crc(view, 0, len(view), _TABLES))


def histogram_gap(key: bytes) -> Gap:
    """What is said of a native histogram, whose samples are no numbers."""
    return Gap(
        f"native histogram {series_key(decode(key))}",
        "its samples are no numbers",
        "ask for histogram_count(), histogram_sum() or histogram_quantile() of it",
    )


def _gap(key: bytes, fault: int) -> Gap:
    if fault in _HISTOGRAMS:
        return histogram_gap(key)
    why = "ends too early" if fault == _BROKEN else f"has the unknown encoding {fault}"
    return Gap(
        f"series {series_key(decode(key))}", f"a chunk of it {why}", "ask for it as an expression, as in NAME + 0"
    )


def _keys(data: Bytes, series: IntArray) -> list[bytes]:
    bounds = np.zeros(len(series) + 1, np.int64)
    np.cumsum(series[:, 1] - series[:, 0], out=bounds[1:])
    packed = np.empty(bounds[-1], np.uint8)
    _gather(data, series, packed)
    raw, ends = packed.tobytes(), bounds.tolist()
    return [raw[first:last] for first, last in pairwise(ends)]


def _indexed(body: Bytes) -> tuple[IntArray, IntArray]:
    """Where the series and chunks are. Room for those that any server sends costs nothing until it is used."""
    rows, verify = (len(body) // 32 + 1, len(body) // 32 + 1), True
    while True:
        series, chunks = np.empty((rows[0], 2), np.int64), np.empty((rows[1], 4), np.int64)
        code, frame, count, chunk_count = _index(body, series, chunks, verify)
        if code != _OK:
            raise DataError(f"frame {frame} of the answer: {_WHY[code]}")
        if count <= len(series) and chunk_count <= len(chunks):
            return series[:count], chunks[:chunk_count]
        rows, verify = (count, chunk_count), False


def _samples(keys: list[bytes], sizes: IntArray, faults: IntArray, times: IntArray, bits: IntArray) -> Samples:
    total = int(sizes.sum())
    gaps = tuple(_gap(keys[k], int(faults[k])) for k in np.flatnonzero(faults).tolist())
    return columns(keys, sizes, times[:total], bits[:total].view(np.float64), gaps)


# ---------------------------------------------------------------- kernels


def _castagnoli() -> NDArray[np.uint32]:
    """Eight tables of the reflected polynomial 0x82F63B78, for eight bytes at a time."""
    tables = np.zeros((8, 256), np.uint32)
    rest = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        rest = np.where(rest & 1, rest >> 1 ^ np.uint32(0x82F63B78), rest >> 1)
    tables[0] = rest
    for k in range(1, 8):
        tables[k] = tables[k - 1] >> 8 ^ tables[0][tables[k - 1] & 255]
    return tables


_TABLES = _castagnoli()
_NO_ROWS = np.empty((0, 4), np.int64)


@njit(cache=True)
def _crc(data: Bytes, first: int, last: int, tables: NDArray[np.uint32]) -> int:
    rest, at = np.uint32(0xFFFFFFFF), first
    while at + 8 <= last:
        low = rest ^ (
            np.uint32(data[at])
            | np.uint32(data[at + 1]) << np.uint32(8)
            | np.uint32(data[at + 2]) << np.uint32(16)
            | np.uint32(data[at + 3]) << np.uint32(24)
        )
        rest = (
            tables[7, low & np.uint32(255)]
            ^ tables[6, low >> np.uint32(8) & np.uint32(255)]
            ^ tables[5, low >> np.uint32(16) & np.uint32(255)]
            ^ tables[4, low >> np.uint32(24)]
            ^ tables[3, data[at + 4]]
            ^ tables[2, data[at + 5]]
            ^ tables[1, data[at + 6]]
            ^ tables[0, data[at + 7]]
        )
        at += 8
    while at < last:
        rest = tables[0, (rest ^ np.uint32(data[at])) & np.uint32(255)] ^ rest >> np.uint32(8)
        at += 1
    return int(rest ^ np.uint32(0xFFFFFFFF))


@njit(cache=True)
def _gather(data: Bytes, series: IntArray, out: Bytes) -> None:
    """The keys behind one another: slicing one small string is ten times quicker than asking the array for each."""
    filled = 0
    for k in range(len(series)):
        for at in range(series[k, 0], series[k, 1]):
            out[filled] = data[at]
            filled += 1


@njit(cache=True)
def _index(data: Bytes, series: IntArray, chunks: IntArray, verify: bool) -> tuple[int, int, int, int]:
    """Count, and where the arrays have room note, the series and chunks of all frames: (code, frame, series, chunks).

    verify: whether the frames' checksums are looked at, which the second walk over the same bytes need not.
    series: (S, 2) first and last byte of the labels. A series that goes on in the next message is one.
    chunks: (C, 4) series, first and last byte of the data, encoding.
    """
    at, frame, count, chunk_count = 0, 0, 0, 0
    before, before_last = 0, 0
    while at < len(data):
        code, begin, end = _frame(data, at, verify)
        while code == _OK and begin < end:
            key, first, begin = next_field(data, begin, end)
            if begin < 0:
                code = _MALFORMED
            elif key == 10:
                labels = _labels(data, first, begin)
                if labels < 0:
                    code = _MALFORMED
                    break
                if count == 0 or not _same(data, before, before_last, first, labels):
                    before, before_last = first, labels
                    if count < len(series):
                        series[count, 0], series[count, 1] = first, labels
                    count += 1
                chunk_count = _index_chunks(data, labels, begin, count - 1, chunks, chunk_count)
                code = _OK if chunk_count >= 0 else _MALFORMED
        if code != _OK:
            return code, frame, 0, 0
        at, frame = end, frame + 1
    return _OK, frame, count, chunk_count


@njit(cache=True)
def _frame(data: Bytes, at: int, verify: bool) -> tuple[int, int, int]:
    """(code, first and last byte of the message) of the frame at `at`."""
    size, begin = uvarint(data, at, len(data))
    if begin < 0 or begin + 4 > len(data):
        return _TRUNCATED, 0, 0
    if size < 0 or size > FRAME_LIMIT:
        return _TOO_LARGE, 0, 0
    told = 0
    for k in range(4):
        told = told << 8 | int(data[begin + k])
    begin += 4
    if size > len(data) - begin:
        return _TRUNCATED, 0, 0
    if verify and _crc(data, begin, begin + size, _TABLES) != told:
        return _CHECKSUM, 0, 0
    return _OK, begin, begin + size


@njit(cache=True)
def _labels(data: Bytes, at: int, last: int) -> int:
    """Where the labels at the beginning of a series end, or -1 where one is none."""
    while at < last and data[at] == 10:
        quick = _short_label(data, at, last)
        if quick >= 0:
            at = quick
            continue
        _, begin, at = next_field(data, at, last)
        if at < 0 or not sound(data, begin, at):
            return -1
    return at


@njit(cache=True, inline="always")
def _short_label(data: Bytes, at: int, last: int) -> int:
    """Where a label ends whose lengths take one byte each, as nearly all do; -1 for any other, sound or not."""
    begin = at + 2
    if begin > last or data[at + 1] > 127:
        return -1
    end = begin + int(data[at + 1])
    if end > last:
        return -1
    while begin < end:
        if begin + 2 > end or (data[begin] != 10 and data[begin] != 18) or data[begin + 1] > 127:
            return -1
        begin += 2 + int(data[begin + 1])
    return end if begin == end else -1


@njit(cache=True)
def _same(data: Bytes, first: int, last: int, other: int, other_last: int) -> bool:
    return last - first == other_last - other and np.array_equal(data[first:last], data[other:other_last])


@njit(cache=True)
def _index_chunks(data: Bytes, at: int, last: int, owner: int, chunks: IntArray, known: int) -> int:
    """Note the chunks of one series behind the `known`; how many there are then, or -1 where a field does not fit."""
    while at < last:
        key, first, at = next_field(data, at, last)
        if at < 0 or key == 10:  # a label behind the chunks: no server writes that
            return -1
        if key != 18:
            continue
        encoding, begin, end, inner = 0, first, first, first
        while inner < at:
            key, begin_field, inner_end = next_field(data, inner, at)
            if inner_end < 0:
                return -1
            if key == 24:
                encoding, _ = uvarint(data, begin_field, inner_end)
            elif key == 34:
                begin, end = begin_field, inner_end
            inner = inner_end
        if known < len(chunks):
            chunks[known, 0], chunks[known, 1], chunks[known, 2], chunks[known, 3] = owner, begin, end, encoding
        known += 1
    return known


@njit(cache=True)
def _decode(
    data: Bytes,
    words: Words,
    chunks: IntArray,
    start: int,
    end: int,
    times: IntArray,
    bits: IntArray,
    sizes: IntArray,
    faults: IntArray,
) -> None:
    """Unpack every chunk behind the one before, keeping [start, end].

    A series with a chunk that is no XOR chunk, or a broken one, has that encoding, or `_BROKEN`, as its fault; the broken
    keep none of their samples, and a series that changed to histograms those from before."""
    filled = 0
    for k in range(len(chunks)):
        owner, encoding = chunks[k, 0], chunks[k, 3]
        if encoding != _XOR:
            faults[owner] = encoding
        elif faults[owner] != _BROKEN:
            now = unpack(data, words, chunks[k, 1], chunks[k, 2], start, end, times, bits, filled)
            if now < 0:
                faults[owner] = _BROKEN
                filled, sizes[owner] = filled - sizes[owner], 0  # its chunks follow one another
            else:
                filled, sizes[owner] = now, sizes[owner] + now - filled


@njit(cache=True)
def _index_block(data: Bytes, series: IntArray) -> int:
    """Count, or where the array has room note, the series of a `ReadResponse`; -1 where a field does not fit.

    series: (S, 4) first and last byte of the labels, last byte of the series, samples there is room for."""
    at, count = 0, 0
    while at < len(data):
        key, result, at = next_field(data, at, len(data))
        if at < 0:
            return -1
        while key == 10 and result < at:
            inner, first, result = next_field(data, result, at)
            if result < 0:
                return -1
            if inner != 10:
                continue
            labels = _labels(data, first, result)
            if labels < 0:
                return -1
            if len(series):
                series[count, 0], series[count, 1], series[count, 2] = first, labels, result
                series[count, 3] = (result - labels) // 2
            count += 1
    return count


@njit(cache=True)
def _decode_plain(
    data: Bytes,
    series: IntArray,
    start: int,
    end: int,
    times: IntArray,
    bits: IntArray,
    sizes: IntArray,
    faults: IntArray,
) -> None:
    """The samples of every series in [start, end] behind one another; faults as of `_decode`."""
    filled = 0
    for k in range(len(series)):
        at, last, before = series[k, 1], series[k, 2], filled
        while at < last:
            key, first, at = next_field(data, at, last)
            if at < 0:
                break
            if key == 34:
                faults[k] = 2
            elif key == 18:
                time, value, first = _sample(data, first, at)
                if first < 0:
                    at = -1
                    break
                if start <= time <= end:
                    times[filled], bits[filled] = time, value
                    filled += 1
        if at < 0:
            faults[k], filled = _BROKEN, before
        sizes[k] = filled - before


@njit(cache=True)
def _sample(data: Bytes, at: int, last: int) -> tuple[int, int, int]:
    """(time, bits of the value, where it ends) of one sample; it ends at -1 where a field does not fit."""
    time, value = 0, 0
    while at < last:
        key, begin, at = next_field(data, at, last)
        if at < 0:
            return 0, 0, -1
        if key == 9:
            value = 0
            for byte in range(8):
                value |= int(data[begin + byte]) << 8 * byte
        elif key == 16:
            time, _ = uvarint(data, begin, at)
    return time, value, at

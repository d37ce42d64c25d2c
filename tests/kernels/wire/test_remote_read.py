"""Remote read: answers made by an independent writer come back bit for bit, and broken ones name what is broken."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.domain import Samples
from aiops.errors import DataError
from aiops.kernels.wire import remote_read, snappy
from aiops.kernels.wire.labels import encode
from aiops.kernels.wire.protobuf import field, integer, varint

Sample = tuple[int, float]
STALE = struct.unpack(">d", bytes.fromhex("7ff0000000000002"))[0]


class Bits:
    """Most significant bit first, as Prometheus' bstream."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, number: int, width: int) -> None:
        self.text += format(number & (1 << width) - 1, f"0{width}b") if width else ""

    def bytes(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(padded[k : k + 8], 2) for k in range(0, len(padded), 8))


def word(value: float) -> int:
    return int.from_bytes(struct.pack(">d", value), "big")


def chunk(samples: Sequence[Sample]) -> bytes:
    """An XOR chunk written from the format's description."""
    bits, lead, trail = Bits(), -1, 0
    before, delta = samples[0][0], 0
    for k, (time, value) in enumerate(samples):
        if k == 0:
            zigzag = time << 1 if time >= 0 else (-time << 1) - 1
            for byte in varint(zigzag):
                bits.add(byte, 8)
            bits.add(word(value), 64)
            continue
        step = time - before
        if k == 1:
            for byte in varint(step):
                bits.add(byte, 8)
        else:
            change = step - delta
            for prefix, width in (("0", 0), ("10", 14), ("110", 17), ("1110", 20), ("1111", 64)):
                fits = change == 0 if width == 0 else -((1 << width - 1) - 1) <= change <= 1 << width - 1
                if fits:
                    bits.text += prefix
                    bits.add(change, width)
                    break
        before, delta = time, step
        flip = word(value) ^ word(samples[k - 1][1])
        if flip == 0:
            bits.text += "0"
            continue
        leading, trailing = min(64 - flip.bit_length(), 31), (flip & -flip).bit_length() - 1
        if lead >= 0 and leading >= lead and trailing >= trail:
            bits.text += "10"
        else:
            lead, trail = leading, trailing
            bits.text += "11"
            bits.add(lead, 5)
            bits.add(64 - lead - trail, 6)
        bits.add(flip >> trail, 64 - lead - trail)
    return struct.pack(">H", len(samples)) + bits.bytes()


def series(labels: dict[str, str], chunks: Sequence[bytes], encoding: int = 1) -> bytes:
    told = b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in labels.items())
    return field(
        1,
        told
        + b"".join(field(2, integer(1, 0) + integer(2, 1) + integer(3, encoding) + field(4, one)) for one in chunks),
    )


def frame(*parts: bytes) -> bytes:
    message = b"".join(parts) + integer(2, 0)
    return varint(len(message)) + struct.pack(">I", remote_read.crc32c(message)) + message


MS = 1_000_000
EVER = (1 << 63) // MS - 1  # ms, as far as an int64 of nanoseconds goes


def decode(body: bytes, start: int = -EVER, end: int = EVER) -> Samples:
    return remote_read.decode_stream(np.frombuffer(body, np.uint8), start, end)


def rows(told: Samples) -> list[Sample]:
    return [(time // MS, value) for time, value in zip(told.times.tolist(), told.values.tolist(), strict=True)]


def regular(count: int = 120, seed: int = 0) -> list[Sample]:
    rng = np.random.default_rng(seed)
    times = 1_700_000_000_000 + 15_000 * np.arange(count) + rng.integers(-5, 5, count)
    return list(zip(times.tolist(), rng.normal(size=count).cumsum().tolist(), strict=True))


def test_the_checksum_is_castagnolis() -> None:
    assert remote_read.crc32c(b"123456789") == 0xE3069283
    assert remote_read.crc32c(bytes(32)) == 0x8A9136AA
    assert remote_read.crc32c(b"") == 0


def test_samples_come_back_bit_for_bit_over_frames_and_chunks() -> None:
    one, two = regular(240), regular(50, 1)
    body = frame(series({"__name__": "up", "job": "a"}, [chunk(one[:120]), chunk(one[120:])])) + frame(
        series({"job": "b"}, [chunk(two)])
    )
    told = decode(body)
    assert list(told.labels) == [{"__name__": "up", "job": "a"}, {"job": "b"}]
    assert told.keys == [encode(labels) for labels in told.labels]
    assert told.starts.tolist() == [0, 240, 290]
    assert rows(told) == one + two


def test_a_series_split_over_frames_is_one_and_overlaps_are_merged() -> None:
    samples = regular(200)
    body = frame(series({"a": "1"}, [chunk(samples[:120])])) + frame(series({"a": "1"}, [chunk(samples[100:])]))
    told = decode(body)
    assert list(told.labels) == [{"a": "1"}]
    assert rows(told) == samples


def test_only_the_range_that_was_asked_for_is_kept() -> None:
    samples = regular(100)
    told = decode(frame(series({"a": "1"}, [chunk(samples)])), samples[10][0], samples[19][0])
    assert rows(told) == samples[10:20]


def test_label_values_may_hold_anything() -> None:
    labels = {"a": 'quote " backslash \\ newline \n', "b": "日本"}
    assert list(decode(frame(series(labels, [chunk(regular(3))]))).labels) == [labels]


def test_stale_markers_and_special_values_survive() -> None:
    values = [0.0, -0.0, float("inf"), float("-inf"), STALE, 1e-310, 5.0, 5.0]
    told = decode(frame(series({"a": "1"}, [chunk([(1000 * k, v) for k, v in enumerate(values)])])))
    assert [word(v) for v in told.values.tolist()] == [word(v) for v in values]


def test_an_empty_answer_holds_no_series() -> None:
    told = decode(b"")
    assert len(told) == 0
    assert told.starts.tolist() == [0]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 1 << 37), st.floats(allow_nan=False)), min_size=1, max_size=40),
    st.integers(-(1 << 40), 1 << 41),
)
def test_any_samples_come_back(steps: list[tuple[int, float]], start: int) -> None:
    samples, time = [], start
    for step, value in steps:
        samples.append((time, value))
        time += step
    told = decode(frame(series({"a": "1"}, [chunk(samples)])))
    assert [t for t, _ in rows(told)] == [t for t, _ in samples]
    assert [word(v) for v in told.values.tolist()] == [word(v) for _, v in samples]


def test_a_wrong_checksum_names_the_frame() -> None:
    good = frame(series({"a": "1"}, [chunk(regular(10))]))
    bad = bytearray(good + good)
    bad[-3] ^= 1
    with pytest.raises(DataError, match=r"frame 1 .*CRC"):
        decode(bytes(bad))


def test_a_truncated_chunk_names_its_series_and_loses_nothing_else() -> None:
    labels, one = {"__name__": "x", "job": 'q"'}, regular(10)
    body = frame(
        series({"a": "1"}, [chunk(one)]),
        series(labels, [chunk(regular(120)), chunk(regular(50, 1))[:-20], chunk(regular(9))]),
        series({"b": "1"}, [chunk(one)]),
    )
    told = decode(body)
    assert [(gap.what, gap.why) for gap in told.gaps] == [('series x{job="q\\""}', "a chunk of it ends too early")]
    assert list(told.labels) == [{"a": "1"}, {"b": "1"}]
    assert rows(told) == one + one


@pytest.mark.parametrize("length", [1, 3, 5, 20])
def test_a_truncated_answer_is_an_error(length: int) -> None:
    with pytest.raises(DataError, match="frame 0"):
        decode(frame(series({"a": "1"}, [chunk(regular(10))]))[:-length])


def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_believed() -> None:
    with pytest.raises(DataError, match="larger than allowed"):
        decode(varint(1 << 40) + bytes(100))


def test_native_histograms_are_named_and_lose_nothing_else() -> None:
    body = frame(series({"h": "1"}, [b"\x00\x01xx"], encoding=2), series({"a": "1"}, [chunk(regular(10))]))
    told = decode(body)
    assert [gap.what for gap in told.gaps] == ['native histogram {h="1"}']
    assert told.starts.tolist() == [0, 10]
    assert list(told.labels) == [{"a": "1"}]


def test_an_unknown_encoding_names_the_series_and_loses_nothing_else() -> None:
    one = regular(10)
    told = decode(frame(series({"a": "1"}, [b"xx"], encoding=9), series({"b": "1"}, [chunk(one)])))
    assert [(gap.what, gap.why) for gap in told.gaps] == [
        ('series {a="1"}', "a chunk of it has the unknown encoding 9")
    ]
    assert rows(told) == one


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_ends_in_anything_but_an_answer_or_an_error(data: st.DataObject) -> None:
    message = bytearray(series({"a": "1"}, [chunk(regular(30)), chunk(regular(5))]))
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    del message[data.draw(st.integers(1, len(message))) :]
    try:
        told = decode(frame(bytes(message)))  # the checksum is right: the damage reaches the decoder
    except DataError:
        return
    assert told.starts[-1] == len(told.times) == len(told.values)


def plain(labels: dict[str, str], samples: Sequence[Sample]) -> bytes:
    told = b"".join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in labels.items())
    each = (field(2, b"\x09" + struct.pack("<d", v) + integer(2, t)) for t, v in samples)
    return field(1, told + b"".join(each))


def test_plain_samples_in_a_snappy_block() -> None:
    one, two = regular(300), regular(20, 3)
    raw = field(1, plain({"a": "1"}, one) + plain({"a": "2"}, two))
    told = remote_read.decode_block(pa.compress(raw, codec="snappy", asbytes=True), -EVER, EVER)
    assert told.starts.tolist() == [0, 300, 320]
    assert rows(told) == one + two


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 600))
def test_snappy_agrees_with_the_library(part: bytes, times: int) -> None:
    raw = part * times
    assert snappy.decompress(pa.compress(raw, codec="snappy", asbytes=True)) == raw
    packed = snappy.compress(raw)
    assert snappy.decompress(packed) == raw
    if raw:
        assert pa.decompress(packed, len(raw), codec="snappy", asbytes=True) == raw


def test_a_snappy_bomb_is_refused() -> None:
    with pytest.raises(DataError, match="cannot unpack"):
        snappy.decompress(varint(1 << 29) + bytes(10))
    with pytest.raises(DataError, match="allowed"):
        snappy.decompress(varint(1 << 35) + bytes(10))
    with pytest.raises(DataError, match="broken"):
        snappy.decompress(varint(100) + b"\x01\x05" + bytes(30))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_snappy_block_breaks_the_decoder(block: bytes) -> None:
    try:
        snappy.decompress(block)
    except DataError:
        return


def test_a_request_is_protobuf_in_snappy() -> None:
    body = remote_read.request([("job", "=~", "a|b")], 1000, 2000)
    raw = snappy.decompress(body)
    matcher = integer(1, 2) + field(2, b"job") + field(3, b"a|b")
    assert raw == field(1, integer(1, 1000) + integer(2, 2000) + field(3, matcher)) + field(2, b"\x01\x00")

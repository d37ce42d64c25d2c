"""The remote-read decoder on chunks that a real Prometheus made: its samples are the ones that its own query API tells."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from aiops import recording
from aiops.domain import Samples
from aiops.kernels.wire import remote_read
from aiops.kernels.wire.labels import encode

import servers


def fetch(url: str, body: bytes) -> tuple[bytes, str]:
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Read-Version": "0.1.0",
    }
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/read", body, headers)) as reply:
        return reply.read(), reply.headers["Content-Type"]


@pytest.fixture(scope="module")
def span(demo_case: Path) -> tuple[int, int]:
    times = recording.read_metrics(recording.open_files(demo_case))[0].times
    return int(times[0] // 1_000_000), int(times[-1] // 1_000_000)


def raw(url: str, selector: str, start: int, end: int) -> dict[bytes, list[tuple[int, str]]]:
    """Every stored sample, by an instant query of a range vector."""
    query = urlencode({"query": f"{selector}[{end - start + 1}ms]", "time": end / 1000})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}") as reply:
        told = json.load(reply)["data"]["result"]
    return {encode(one["metric"]): [(round(t * 1000), v) for t, v in one["values"]] for one in told}


def decode(body: bytes, start: int, end: int) -> Samples:
    return remote_read.decode_stream(np.frombuffer(body, np.uint8), start, end)


def test_the_samples_are_those_of_the_query_api(prometheus: servers.Server, span: tuple[int, int]) -> None:
    start, end = span
    body, kind = fetch(prometheus.url, remote_read.request([("__name__", "=~", ".+")], start, end))
    told = decode(body, start, end)
    want = raw(prometheus.url, '{__name__=~".+"}', start, end)
    assert kind.startswith(remote_read.STREAMED)
    assert len(want) > 10
    assert set(told.keys) == set(want)
    for k, key in enumerate(told.keys):
        rows = slice(told.starts[k], told.starts[k + 1])
        times, values = zip(*want[key], strict=True)
        assert (told.times[rows] // 1_000_000).tolist() == list(times)
        np.testing.assert_array_equal(told.values[rows], [float(v) for v in values])


def test_a_selector_that_matches_nothing_is_an_empty_answer(prometheus: servers.Server, span: tuple[int, int]) -> None:
    body, _ = fetch(prometheus.url, remote_read.request([("__name__", "=", "nothing")], *span))
    assert len(decode(body, *span)) == 0

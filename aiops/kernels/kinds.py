"""What a metric measures, read off its name by the field's own vocabulary (Prometheus, OpenTelemetry, cAdvisor, X-Ray).

The kind decides how a series speaks for a node: a resource that saturates is an *internal* sign, latency and errors are
*external* signs that callers inherit, and time spent waiting in one's own clients accuses the callee.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Kind(StrEnum):
    CPU = "cpu"
    MEMORY = "memory"
    DISK = "disk"
    NETWORK = "network"
    LATENCY = "latency"
    CLIENT_LATENCY = "client_latency"
    AVAILABILITY = "availability"
    ERRORS = "errors"
    TRAFFIC = "traffic"
    HOST = "host"
    OTHER = "other"


# The first pattern that matches decides; words are matched in the snake-cased name, so `PodServerLatencyP90_s` is
# `pod_server_latency_p90_s`. Order matters: "node_cpu" is the host's, "request_duration" is latency before traffic.
_WORDS: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        (Kind.HOST, r"^(node|host|machine|instance)_(?!js)"),
        (Kind.CLIENT_LATENCY, r"(client|outbound|upstream|egress).*(latency|duration|rtt|response_time|_time_)"),
        (Kind.LATENCY, r"latency|duration|response_time|rtt|delay|(^|_)p(50|75|9\d|999?)(_|$)|elapsed"),
        (Kind.AVAILABILITY, r"(?<!un)(availab|success|ready)|uptime|(^|_)up($|_)"),
        (
            Kind.ERRORS,
            r"error|fail|exception|fault|5xx|4xx|timeout|reject|restart|oom|un(availab|success|ready|healthy)",
        ),
        (Kind.NETWORK, r"network|(receive|transmit|sent|rx|tx|in|out)_(bytes|packets)|socket|packet|bandwidth"),
        (Kind.CPU, r"cpu|throttl|load_?(1|5|15|avg)"),
        (Kind.MEMORY, r"mem|heap|rss|(^|_)gc|swap"),
        (Kind.DISK, r"disk|(^|_)fs(_|$)|iops|diskio|read|write|volume|inode"),
        (Kind.TRAFFIC, r"request|workload|(^|_)(ops|qps|rps|tps|load|hits|calls|rate|throughput|invocations)(_|$)"),
    )
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD = re.compile(r"[^a-z0-9]+")


def kind_of(metric: str) -> Kind:
    """Kind of a metric by its name; `OTHER` when no word is known."""
    name = _NOT_WORD.sub("_", _CAMEL.sub("_", metric).lower())
    for kind, pattern in _WORDS:
        if pattern.search(name):
            return kind
    return Kind.OTHER


def statistic_rank(metric: str) -> int:
    """How well a latency series stands for the mean: 0 mean, 1 unnamed or median, then the higher quantiles."""
    name = metric.lower()
    for rank, words in ((0, ("avg", "average", "mean")), (2, ("p75", "p90")), (3, ("p95",)), (4, ("p99",))):
        if any(word in name for word in words):
            return rank
    return 1

"""What the service counts about itself, in the Prometheus text format, version 0.0.4."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from aiops import telemetry

Labelled: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

COUNTERS = {
    "aiops_cache_total": "Look-ups in a cache, by cache and outcome (hit, miss).",
    "aiops_alerts_total": "Alerts received, by what became of them.",
    "aiops_episodes_total": "What happened to episodes, by event.",
    "aiops_alerts_truncated_total": "Alerts that a sender left out of its notifications.",
    "aiops_annotations_total": "Annotations sent to Grafana, by outcome.",
    "aiops_diagnoses_total": "Diagnoses that ended, by status.",
    "aiops_http_requests_total": "HTTP requests, by route and status code.",
    "aiops_notifications_refused_total": "Notifications that were not taken, by status code.",
    "aiops_leases_expired_total": "Jobs whose worker went silent.",
    "aiops_results_total": "Results of workers elsewhere that were stored, by status.",
    "aiops_chat_messages_total": "Tries to tell a chat of an episode, by platform and outcome: told, put_off, given_up.",
    "aiops_log_messages_total": "Messages logged, by level.",
    "aiops_purged_total": "What retention has taken away, by kind.",
    "aiops_repairs_ended_total": "Repairs that ended in this process, or were found cut off, by state.",
    "process_cpu_seconds_total": "Processor time of this process.",
    "aiops_model_requests_total": "Questions to the language model, by outcome.",
    "aiops_model_starts_total": "Starts of the language model's process.",
    "aiops_model_adapter_swaps_total": "Adapters that took another's place, or the bare model's.",
    "aiops_model_adapter_refused_total": "Adapters that were refused; the log says why.",
}
HISTOGRAMS = {
    "aiops_diagnosis_seconds": "Time a diagnosis took, by status.",
    "aiops_job_seconds": "Time a worker had a job in hand, by how that ended (queued: put off).",
    "aiops_stage_seconds": "Time a stage of a diagnosis took, by stage.",
}
GAUGES = {
    "aiops_build_info": "Version, and where people reach it, as labels.",
    "aiops_episodes": "Episodes that are open, and that wait for their diagnosis.",
    "aiops_queue_depth": "Jobs that wait for a worker.",
    "aiops_queue_oldest_seconds": "How long the job has waited that waits longest; 0 = none waits.",
    "aiops_queue_up": "1 while the queue answers.",
    "aiops_jobs_unmatched": "Jobs that wait and that no worker alive may have, by the labels they need.",
    "aiops_worker_up": "1 while a worker is alive, 0 for an hour after it went silent.",
    "aiops_worker_busy": "Jobs a worker has in hand.",
    "aiops_worker_capacity": "Jobs a worker takes at once.",
    "aiops_repairs": "Repairs that are kept, by state.",
    "aiops_repairs_stopped": "1 while no repair may act.",
    "process_resident_memory_bytes": "Memory that this process holds.",
    "process_open_fds": "Files and connections that this process has open.",
    "process_max_fds": "How many it may have open.",
    "process_start_time_seconds": "When it started, in seconds since 1970.",
    "aiops_model_waiting": "Questions that the language model has before it.",
    "aiops_model_adapter_info": "The adapter in place, as labels.",
}


class Registry:
    """Counters and histograms. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[Labelled, float] = {}
        self._histograms: dict[Labelled, list[float]] = {}  # one count a bucket, then count and sum

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = _key(name, labels)
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + amount

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        key = _key(name, labels)
        with self._lock:
            row = self._histograms.setdefault(key, [0.0] * (len(BUCKETS_S) + 2))
            for i, bound in enumerate(BUCKETS_S):
                row[i] += seconds <= bound
            row[-2] += 1
            row[-1] += seconds

    def stages(self, took: Mapping[str, float]) -> None:
        """What `telemetry.took` told of one diagnosis."""
        for stage, seconds in took.items():
            self.observe("aiops_stage_seconds", seconds, stage=stage)

    def text(self, gauges: Mapping[Labelled, float]) -> str:
        """The page; `gauges`, and counters that others keep, are read by the caller at this moment."""
        with self._lock:
            counters, histograms = dict(self._counters), {k: list(v) for k, v in self._histograms.items()}
        lines: list[str] = []
        for kind, about, rows in (("counter", COUNTERS, {**counters, **gauges}), ("gauge", GAUGES, gauges)):
            for name, meaning in about.items():
                lines += _head(name, kind, meaning)
                lines += [_line(key, value) for key, value in sorted(rows.items()) if key[0] == name]
        for name, meaning in HISTOGRAMS.items():
            lines += _head(name, "histogram", meaning)
            for key, row in sorted(histograms.items()):
                if key[0] == name:
                    lines += _histogram(key, row)
        return "\n".join(lines) + "\n"


def caches() -> dict[Labelled, float]:
    """What the caches of this process were worth."""
    return {
        _key("aiops_cache_total", {"cache": cache, "outcome": outcome}): float(n)
        for (cache, outcome), n in telemetry.caches().items()
    }


def gauge(name: str, **labels: str) -> Labelled:
    """The key of a gauge."""
    return _key(name, labels)


def _key(name: str, labels: Mapping[str, str]) -> Labelled:
    return name, tuple(sorted(labels.items()))


def _head(name: str, kind: str, meaning: str) -> Iterable[str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _histogram(key: Labelled, row: list[float]) -> Iterable[str]:
    name, labels = key
    for bound, value in zip((*(f"{b:g}" for b in BUCKETS_S), "+Inf"), row, strict=False):
        yield _line((f"{name}_bucket", (*labels, ("le", bound))), value)
    yield _line((f"{name}_sum", labels), row[-1])
    yield _line((f"{name}_count", labels), row[-2])


def _line(key: Labelled, value: float) -> str:
    name, labels = key
    inside = ",".join(f'{k}="{_escape(v)}"' for k, v in labels)
    return f"{name}{{{inside}}} {value:.17g}" if inside else f"{name} {value:.17g}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

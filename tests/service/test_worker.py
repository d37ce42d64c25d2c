"""The embedded worker: runs what is queued, survives what breaks, gives back what it can't finish."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aiops
from aiops.domain import Inputs, Intent, Job, JobState, Symptom, Task, job_id
from aiops.errors import SourceUnreachable
from aiops.ops import Ops
from aiops.ports import MetricsSource
from aiops.service import worker as worker_module
from aiops.service.metrics import Registry
from aiops.service.worker import Worker, embedded


def queued(ops: Ops, task: Task) -> str:
    (job,) = ops.queue.put([Job(job_id(task.task_id), task.task_id, task)])
    return job.id


def until(true: Callable[[], bool]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it does not come true")


def state(ops: Ops, job: str) -> JobState:
    found = ops.queue.get(job)
    assert found
    return found.state


@pytest.fixture
def worker(ops: Ops) -> Iterator[Worker]:
    running = embedded(ops, Registry())
    running.start()
    yield running
    assert running.stop(30)


def test_it_runs_what_is_queued(ops: Ops, worker: Worker) -> None:
    task = ops.task()
    job = queued(ops, task)
    worker.wake()
    until(lambda: state(ops, job) is JobState.DONE)
    assert ops.report(job).task == task


def test_a_diagnosis_that_fails_says_why_and_the_next_one_runs(ops: Ops, worker: Worker) -> None:
    asked = Task("asked_back", Intent.CLARIFY, question="which service?")
    bad, good = queued(ops, asked), queued(ops, ops.task())
    until(lambda: state(ops, good) is JobState.DONE)
    failed = ops.queue.get(bad)
    assert failed
    assert (failed.state, failed.error) == (JobState.FAILED, "which service?")


class Broken:
    """A source with a defect of ours."""

    def __getattr__(self, name: str) -> Callable[..., object]:
        raise ZeroDivisionError("a defect")


def test_a_defect_ends_the_job_and_not_the_worker(ops: Ops, caplog: pytest.LogCaptureFixture) -> None:
    metrics: MetricsSource = Broken()  # type: ignore[assignment]
    broken = dataclasses.replace(ops, sources=dataclasses.replace(ops.sources, metrics=metrics))
    running = embedded(broken, Registry())
    running.start()
    jobs = [queued(ops, dataclasses.replace(ops.task(), task_id=f"task_{i}")) for i in range(2)]
    until(lambda: all(state(ops, job) is JobState.FAILED for job in jobs))
    assert running.stop(30)
    told = ops.queue.get(jobs[0])
    assert told
    assert "internal error" in told.error
    assert "ZeroDivisionError" not in told.error
    assert "ZeroDivisionError" in caplog.text


class Slow:
    """A source that answers when it is told to."""

    def __init__(self, inner: MetricsSource) -> None:
        self._inner, self.asked, self.go = inner, threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        self.asked.set()
        self.go.wait(60)
        return getattr(self._inner, name)


def test_what_does_not_end_in_time_goes_back_to_the_queue(ops: Ops) -> None:
    slow = Slow(ops.sources.metrics)
    metrics: MetricsSource = slow  # type: ignore[assignment]
    stuck = dataclasses.replace(ops, sources=dataclasses.replace(ops.sources, metrics=metrics))
    job = queued(ops, Task("slow_one", Intent.DIAGNOSE, Inputs(symptom=Symptom(at=ops.sources.metrics.symptom().at))))
    running = embedded(stuck, Registry())
    running.start()
    assert slow.asked.wait(30)
    assert state(ops, job) is JobState.RUNNING
    assert not running.stop(0.1)
    assert state(ops, job) is JobState.QUEUED
    slow.go.set()
    running._threads[0].join(60)
    # Nobody else has taken it since, so that its late word counts.
    assert state(ops, job) is JobState.DONE


def test_a_job_of_a_worker_that_died_comes_back(tmp_path: Path, demo_case: Path) -> None:
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path), flags={"model.url": ""}) as ops:
        job = queued(ops, ops.task())
        assert ops.queue.claim(0.01, "the one that died")
        time.sleep(0.05)
        assert ops.queue.reclaim() == 1
        running = embedded(ops, Registry())
        running.start()
        until(lambda: state(ops, job) is JobState.DONE)
        assert running.stop(30)


class Gone:
    """A source that can't be reached until it is back."""

    def __init__(self, inner: MetricsSource) -> None:
        self._inner, self.back = inner, threading.Event()

    def __getattr__(self, name: str) -> object:
        if not self.back.is_set():
            raise SourceUnreachable("series", "prometheus", "connection refused")
        return getattr(self._inner, name)


def test_an_alert_is_diagnosed_once_its_sources_are_back(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks again for an alert; a person does, and is told at once."""
    monkeypatch.setattr(worker_module, "AGAIN_S", 0.1)
    gone = Gone(ops.sources.metrics)
    metrics: MetricsSource = gone  # type: ignore[assignment]
    task = ops.task()
    running = embedded(dataclasses.replace(ops, sources=dataclasses.replace(ops.sources, metrics=metrics)), Registry())
    running.start()
    asked = queued(ops, dataclasses.replace(task, task_id="asked_for"))
    until(lambda: state(ops, asked) is JobState.FAILED)
    (alert,) = ops.queue.put([Job(job_id("alert"), "alert", task, episode_id="an episode")])
    until(lambda: "connection refused" in str(ops.queue.get(alert.id)))
    assert state(ops, alert.id) in {JobState.QUEUED, JobState.RUNNING}
    gone.back.set()
    until(lambda: state(ops, alert.id) is JobState.DONE)
    assert running.stop(30)


def test_a_question_does_not_wait_behind_alerts_that_are_put_off(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "AGAIN_S", 3600.0)
    gone = Gone(ops.sources.metrics)
    metrics: MetricsSource = gone  # type: ignore[assignment]
    task = ops.task()
    running = embedded(dataclasses.replace(ops, sources=dataclasses.replace(ops.sources, metrics=metrics)), Registry())
    alerts = [Job(job_id(f"alert {i}"), f"alert {i}", task, episode_id=f"episode {i}") for i in range(3)]
    ops.queue.put(alerts)
    running.start()
    until(lambda: "connection refused" in str(ops.queue.get(alerts[0].id)))
    gone.back.set()
    asked = queued(ops, dataclasses.replace(task, task_id="asked_for"))
    running.wake()
    until(lambda: state(ops, asked) is JobState.DONE)
    until(lambda: all(state(ops, alert.id) is JobState.DONE for alert in alerts))
    assert running.stop(30)
    begun = [report["id"] for report in reversed(ops.store.reports())]
    assert begun == [asked, *(alert.id for alert in alerts)]


def test_an_alert_is_not_tried_again_for_ever(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "AGAIN_S", 0.01)
    monkeypatch.setattr(worker_module, "PATIENCE_S", 0.2)
    metrics: MetricsSource = Gone(ops.sources.metrics)  # type: ignore[assignment]
    running = embedded(dataclasses.replace(ops, sources=dataclasses.replace(ops.sources, metrics=metrics)), Registry())
    running.start()
    (alert,) = ops.queue.put([Job(job_id("alert"), "alert", ops.task(), episode_id="an episode")])
    until(lambda: state(ops, alert.id) is JobState.FAILED)
    assert running.stop(30)

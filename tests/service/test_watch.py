"""The pages of `aiops watch`, over HTTP, and the command where it answers at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from flows.system import BEGIN, Written, end, fleet, noise, run, scraped, watch

from aiops import app, resources, settings
from aiops.cli import run as command
from aiops.errors import SourceUnreachable
from aiops.flows.watch import Watch
from aiops.schema import exposition
from aiops.service import server, watching

MANY = 1200  # looks, a twentieth of a second apart


class Clock:
    """Time as a test wants it."""

    def __init__(self, minutes: float) -> None:
        self.now = end(minutes)

    def __call__(self) -> float:
        return self.now


@contextmanager
def serving(watched: Watch, clock: Clock) -> Iterator[httpx.Client]:
    opened = server.bind("127.0.0.1:0", "watch.listen")
    ready = threading.Event()
    watcher = watching.Watcher(watched, 600, clock)
    running = server.of(watching.create(watcher), ready.set)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        assert ready.wait(60)
        with httpx.Client(base_url=server.url(opened), timeout=60, trust_env=False) as client:
            yield client
    finally:
        running.should_exit = True
        thread.join(60)
        opened.close()


def test_the_pages_tell_of_the_stream(tmp_path: Path) -> None:
    source, file, clock = fleet(4), tmp_path / "watch.npz", Clock(70)
    with serving(watch(source, 70, file, catch_up_s=3600), clock) as client:
        for _ in range(MANY):
            if client.get("/readyz").status_code == 200:
                break
            threading.Event().wait(0.05)
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").json() == {
            "ready": True,
            "read": True,
            "stream": True,
            "lag_seconds": {'{__name__!=""}': 7.5},
        }
        page = client.get("/metrics")
        assert page.headers["content-type"] == exposition.CONTENT_TYPE
        assert page.text.count("\naiops_anomaly_score{") == 5
        assert "\naiops_watch_compressed_labels 0\n" in page.text
        (label,) = client.get("/cardinality").json()["labels"]
        assert (label["label"], label["values"], label["series"], label["why"]) == ("instance", 4, 5, None)
        # Time passes and nothing is read any more: the lag says so.
        clock.now += 400
        told = client.get("/metrics").text
        lag = next(line for line in told.splitlines() if line.startswith("aiops_watch_lag_seconds"))
        assert float(lag.rpartition(" ")[2]) >= 300
        assert client.get("/readyz").status_code in (200, 503)
        assert client.get("/metrics", headers={"host": "evil.example"}).status_code == 421
        assert client.get("/nothing").status_code == 404
    assert file.exists()  # saved at the end


def test_a_source_that_does_not_answer_is_counted_and_not_ready() -> None:
    source = fleet(1)
    source.fails = SourceUnreachable("metrics", "http://prometheus", "connection refused")
    with serving(watch(source, 20), Clock(20)) as client:
        for _ in range(MANY):
            page = client.get("/metrics").text
            if 'aiops_watch_errors_total{source="metrics"} 1' in page:
                break
            threading.Event().wait(0.05)
        else:
            raise AssertionError(page)
        told = client.get("/readyz")
        assert told.status_code == 503
        assert told.json()["read"] is False
        assert client.get("/healthz").status_code == 200


def test_an_error_nobody_foresaw_ends_the_service_and_saves_nothing(tmp_path: Path) -> None:
    source, file = fleet(1), tmp_path / "watch.npz"
    source.fails = ZeroDivisionError("nobody foresaw it")  # type: ignore[assignment]
    ended = threading.Event()
    watcher = watching.Watcher(watch(source, 20, file), 600, Clock(20), ended.set)
    watcher.start()
    assert ended.wait(60)
    watcher.stop()
    assert isinstance(watcher.failure, ZeroDivisionError)
    assert not watcher.up
    assert not file.exists()


# ---------------------------------------------------------------- the format


def test_the_text_format() -> None:
    rows = [(exposition.labels(a='x"y\\z\n', b="ü"), 1.5), ("", float("nan")), ("", float("inf")), ("", float("-inf"))]
    page = exposition.page(
        [exposition.Family("m", "gauge", "About\\\nit.", rows), exposition.Family("n", "gauge", "", [])]
    )
    assert page == ('# HELP m About\\\\\\nit.\n# TYPE m gauge\nm{a="x\\"y\\\\z\\n",b="ü"} 1.5\nm NaN\nm +Inf\nm -Inf\n')


# ---------------------------------------------------------------- the command


def test_once_over_a_recorded_incident_evaluates_all_of_it_and_keeps_nothing(
    demo_case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOPS_WATCH__CATCH_UP_S", "60")
    args = ["watch", "--once", "--metrics", f"case:{demo_case}", "--home", str(tmp_path / "home")]
    assert command([*args, "--select", '{__name__=~"Cpu.*"}']) == 0
    told = capsys.readouterr()
    assert 'state="watched"} 0' not in told.out
    assert "a step is 60 s" in told.err
    (samples,) = re.findall(r"\((\d+) of 60 samples at most\)", told.err)
    with app.metrics(settings.load({"sources.metrics": f"case:{demo_case}"})) as source:
        window = source.window()
        assert window is not None
        found = source.samples('{__name__=~"Cpu.*"}', window, 10)
    assert int(samples) == np.diff(found.starts).max()
    assert not (tmp_path / "home").exists()


def test_the_saved_state_tells_of_the_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched = run(source := fleet(3), watch(source, 10, tmp_path / "watch.npz"), 10, 12)
    watched.save(end(12))
    assert command(["watch", "--report", "--home", str(tmp_path)]) == 0
    assert re.search(r"^instance +3 +4 ", capsys.readouterr().out, re.MULTILINE)


def test_once_with_nobody_there_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["watch", "--once", "--metrics", "prometheus+http://127.0.0.1:9", "--home", str(tmp_path)]) == 3
    assert 'aiops_watch_errors_total{source="metrics"} 1' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "no metrics source"),
        (("--report",), "there is no"),
        (("--metrics", "case:nowhere", "--once"), "nowhere"),
        (("--metrics", f"case:{resources.demo_incident()}"), "a recording has an end"),
        (("--metrics", "prometheus+http://[::1"), "sources.metrics"),
        (("--metrics", "prometheus+http://127.0.0.1:9", "--listen", "0.0.0.0:0"), "watch.listen"),
        (("--metrics", "prometheus+http://127.0.0.1:9", "--listen", "nowhere"), "watch.listen"),
        (("--metrics", "prometheus+http://127.0.0.1:9", "--remember", "sum(x)"), "watch.remember"),
        (("--metrics", "prometheus+http://127.0.0.1:9", "--step", "0s"), "above 0"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    args: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["watch", *args, "--home", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1


def test_hostile_labels_survive_the_page() -> None:
    source = Written()
    source.add({"__name__": "m", "x": "\u2028</script>{}='"}, scraped(1, 90, noise(1)))
    clock = Clock(60)
    with serving(watch(source, 60, catch_up_s=3000), clock) as client:
        for _ in range(MANY):
            if "aiops_anomaly_score" in (page := client.get("/metrics").text):
                break
            threading.Event().wait(0.05)
        assert '{metric="m",x="\u2028</script>{}=\'"}' in page
        assert clock.now > BEGIN

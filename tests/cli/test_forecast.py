"""`aiops forecast` over a recorded month: every form, every exit code, words instead of a query, and the same bytes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

Run = Callable[..., Any]
HOUR, START = 3600, 1_760_000_400


def record(folder: Path, columns: dict[str, list[float]]) -> Path:
    """A recorded incident of nothing but hourly metrics; it was noticed at its end."""
    folder.mkdir(exist_ok=True)
    rows = len(next(iter(columns.values())))
    times = [START + HOUR * k for k in range(rows)]
    table = {"time": times, "phase": ["baseline"] * rows, **columns}
    pq.write_table(pa.table(table), folder / "metrics.parquet")
    case = {"format": "rca-cases/1", "detection_time": times[-1], "slo": None}
    (folder / "case.json").write_text(json.dumps(case))
    return folder


@pytest.fixture
def month(tmp_path: Path) -> Path:
    rng, steps = np.random.default_rng(3), np.arange(20 * 24)
    wave = np.sin(2 * np.pi * steps / 24)
    return record(
        tmp_path / "month",
        {
            "db-3__disk_used_percent": (40 + 0.12 * steps + 0.2 * rng.normal(size=len(steps))).tolist(),
            "checkout__cpu": (50 + 20 * wave + rng.normal(size=len(steps))).tolist(),
            "checkout__requests_total": np.cumsum(3600 * (50 + 20 * wave + rng.normal(size=len(steps)))).tolist(),
            "checkout__new": [*([float("nan")] * (len(steps) - 7)), *rng.normal(size=7).tolist()],
        },
    )


def public(told: Any) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(told.out)
    report["meta"].pop("run")
    return report


def test_a_full_disk_is_told_as_an_interval_and_replays(run: Run, month: Path) -> None:
    told = run("forecast", "disk_used_percent", "--horizon", "2d", "--metrics", f"case:{month}", "--format", "json")
    assert told.code == 0, told.err
    report = public(told)
    assert report["schema"] == "aiops-report/1"
    assert report["verdict"] == "found"
    (one,) = report["forecasts"]
    assert one["trusted"]
    assert one["crossing"]["limit"] == 100.0
    end = START + HOUR * (20 * 24 - 1)
    truth = end + HOUR * (100 - 40 - 0.12 * 479) / 0.12
    earliest, latest = (datetime.fromisoformat(one["crossing"][k]).timestamp() for k in ("earliest", "latest"))
    assert earliest <= truth <= latest
    assert "between" in report["summary"][0]
    assert public(run("replay", report["id"], "--format", "json")) == report
    again = run("forecast", "disk_used_percent", "--horizon", "2d", "--metrics", f"case:{month}", "--format", "json")
    assert public(again) == report


def test_a_counter_is_forecast_as_its_rate_and_cold_start_is_said(run: Run, month: Path) -> None:
    told = run("forecast", '{service="checkout"}', "--horizon", "6h", "--metrics", f"case:{month}", "--format", "yaml")
    assert told.code == 0, told.err
    report = yaml.safe_load(told.out)
    by_metric = {one["metric"]: one for one in report["forecasts"]}
    assert set(by_metric) == {"cpu", "new", "rate(requests_total)"}
    assert 20 < by_metric["rate(requests_total)"]["mean"][0] < 80
    assert not by_metric["new"]["trusted"]
    assert by_metric["new"]["reason"] == "only 7 of at least 12 samples: still warming up"
    assert by_metric["new"]["trials"][0]["why_not"] == by_metric["new"]["reason"]


def test_nothing_to_trust_is_inconclusive(run: Run, month: Path) -> None:
    told = run("forecast", "new", "--horizon", "6h", "--metrics", f"case:{month}")
    assert told.code == 1
    assert told.out.startswith("No trustworthy forecast of new of checkout: only 7 of at least 12 samples")
    assert "robust band" in told.out


@pytest.mark.parametrize("form", ["text", "md", "html", "yaml", "json"])
def test_every_form_names_the_method_and_its_coverage(run: Run, month: Path, form: str) -> None:
    told = run("forecast", "cpu", "--horizon", "6h", "--metrics", f"case:{month}", "--format", form)
    assert told.code == 0, told.err
    assert "Gaussian process" in told.out
    assert "seasonal naive" in told.out
    if form == "text":
        assert "│" in told.out


def test_words_lead_to_the_same_door(run: Run, month: Path) -> None:
    told = run("ask", "forecast cpu of checkout for the next 6 hours", "--metrics", f"case:{month}", "--format", "json")
    assert told.code == 0, told.err
    report = public(told)
    assert report["task"]["intent"] == "forecast"
    assert [one["metric"] for one in report["forecasts"]] == ["cpu"]
    assert len(report["forecasts"][0]["times"]) == 6
    earlier = run(
        "ask",
        "forecast cpu of checkout for 6h",
        "--now",
        f"{START + 400 * HOUR}",
        "--metrics",
        f"case:{month}",
        "--format",
        "json",
    )
    assert public(earlier)["forecasts"][0]["times"][0] == START + 401 * HOUR
    assert public(earlier)["id"] != report["id"]
    assert public(run("replay", report["id"], "--format", "json")) == report


@pytest.mark.parametrize(
    "arguments",
    [
        ("nosuch",),
        ("sum(rate(cpu[5m]))",),
        ("cpu{",),
        ("cpu", "--horizon", "soon"),
        ("cpu", "--full-at", "much"),
        ("cpu", "--full-at", "inf"),
        (),
    ],
)
def test_what_is_wrong_with_the_question_is_said(run: Run, month: Path, arguments: tuple[str, ...]) -> None:
    told = run("forecast", *arguments, "--metrics", f"case:{month}")
    assert told.code == 2, told.out
    assert told.err


def test_a_source_that_does_not_answer_is_no_report(run: Run) -> None:
    assert run("forecast", "up", "--metrics", "prometheus+http://127.0.0.1:9").code == 3


def test_too_many_series_are_counted(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    many = record(tmp_path / "many", {f"s{k:02}__load": rng.normal(size=60).tolist() for k in range(23)})
    told = run("forecast", "load", "--horizon", "2h", "--metrics", f"case:{many}", "--format", "json")
    report = json.loads(told.out)
    assert len(report["forecasts"]) == 20
    assert report["gaps"][0]["what"] == "3 of 23 series"

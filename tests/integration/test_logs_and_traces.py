"""The demo incident with its logs and traces read over HTTP instead of from the case: the same diagnosis."""

from __future__ import annotations

from pathlib import Path

import pytest

import aiops
from aiops import recording
from aiops.domain import Report

from servers import products
from servers.products import web


def ranking(report: Report) -> list[tuple[str, float]]:
    return [(cause.node, round(cause.score, 9)) for cause in report.root_causes]


@pytest.mark.parametrize("traces_kind", ["tempo", "jaeger"])
@pytest.mark.parametrize("logs_kind", ["loki", "elastic"])
def test_the_diagnosis_is_the_same(logs_kind: str, traces_kind: str, demo_case: Path, tmp_path: Path) -> None:
    files = recording.open_files(demo_case)
    logs, spans = recording.read_logs(files), recording.read_spans(files)
    assert logs is not None
    assert spans is not None
    links = [(call.caller, call.callee) for call in recording.read_calls(files)]
    log_server = (products.loki if logs_kind == "loki" else products.elastic)(logs)
    trace_server = products.tempo(spans) if traces_kind == "tempo" else products.jaeger(spans, links)
    with web(log_server) as logs_at, web(trace_server) as traces_at:
        index = "/app-logs" if logs_kind == "elastic" else ""
        with aiops.connect(
            f"case:{demo_case}",
            logs=f"{logs_kind}+{logs_at.url}{index}",
            traces=f"{traces_kind}+{traces_at.url}",
            home=str(tmp_path / "live"),
        ) as ops:
            live = ops.diagnose()
            assert ops.sources.logs is not None
            assert logs_at.url in ops.sources.logs.ping(5)
            again = ops.replay(live.id)
    with aiops.connect(f"case:{demo_case}", home=str(tmp_path / "case")) as ops:
        wanted = ops.diagnose()
    assert ranking(again) == ranking(live)
    assert live.verdict == wanted.verdict
    assert live.root_causes[0].node == wanted.root_causes[0].node
    if traces_kind == "jaeger":  # asked service by service, so that this many services get a sample
        assert any("searches found more" in gap.why for gap in live.gaps)
        return
    # Live sources keep to the scope; the case also gives the seconds before it.
    assert live.root_causes[0].score == pytest.approx(wanted.root_causes[0].score, abs=0.02)
    assert [gap.what for gap in live.gaps] == [gap.what for gap in wanted.gaps]


def test_a_source_that_is_down_is_a_gap(demo_case: Path, tmp_path: Path) -> None:
    with web() as gone:
        pass
    with aiops.connect(
        f"case:{demo_case}", logs=f"loki+{gone.url}", traces=f"tempo+{gone.url}", home=str(tmp_path)
    ) as ops:
        report = ops.diagnose()
    whys = {gap.what: gap.why for gap in report.gaps}
    assert gone.url in whys["logs"]
    assert gone.url in whys["traces"]

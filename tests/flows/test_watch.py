"""The stream: exactly once, whatever the pulls, the breaks and the restarts; what is late, gone, damaged, or too much."""

from __future__ import annotations

import json
import logging
import resource
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
from flows.system import BEGIN, STEP, Written, assert_same, end, fleet, known, noise, run, scraped, watch

from aiops.domain import NS, TimeRange, from_ns
from aiops.errors import ConfigError, Refused, SourceBusy, SourceUnreachable, StoreError
from aiops.flows.watch import Plan, Watch, recorded, saved
from aiops.kernels import tick
from aiops.schema import selector
from aiops.schema.exposition import page

BUSY = SourceBusy("metrics", "http://prometheus", "HTTP 503 too many requests")


def shown(watched: Watch) -> dict[str, float]:
    """The page's lines as Prometheus would store them."""
    lines = [line for line in page(watched.families()).splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def scores(watched: Watch) -> dict[str, float]:
    return {name: value for name, value in shown(watched).items() if name.startswith("aiops_anomaly_score")}


# ---------------------------------------------------------------- exactly once


@pytest.mark.parametrize("pull", [3, 7])
def test_pulls_of_many_steps_learn_what_single_steps_learn(pull: int) -> None:
    one = run(source := fleet(), watch(source, 10), 10, 52)
    many = run(source := fleet(), watch(source, 10, pull=pull), 10, 52)
    last = many.selections[0].until
    one = run(source := fleet(), watch(source, 10), 10, (last - BEGIN) / 60)
    assert one.selections[0].until == last
    assert_same(one, many)


def test_a_restart_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = run(source := fleet(), watch(source, 10), 10, 60)
    file = tmp_path / "watch.npz"
    source = fleet()
    first = run(source, watch(source, 10, file), 10, 30)
    first.save(end(30))
    run(source, first, 30.5, 34)  # learnt, but lost: the process is killed before it saves again
    second = watch(source, 40, file)
    assert second.untils == {'{__name__!=""}': BEGIN + 1800}
    run(source, second, 40, 60)
    assert_same(whole, second)
    assert second.tally.errors == {"metrics": 0, "state": 0}
    assert second.tally.gaps == 0


def test_both_tiers_and_what_is_known_of_labels_are_saved(tmp_path: Path) -> None:
    source, file = fleet(), tmp_path / "watch.npz"
    first = run(source, watch(source, 10, file, remember=('load{instance="host-2"}',)), 10, 20)
    first.save(end(20))
    second = watch(source, 20, file, remember=('load{instance="host-2"}',))
    assert_same(first, second)
    assert second.names.report() == first.names.report()
    assert {block.memory for block in second.selections[0].fleet.blocks} == {0, tick.MEMORY}


def test_a_recording_is_evaluated_whole() -> None:
    source, window = fleet(2, minutes=120), TimeRange(from_ns(BEGIN * NS), from_ns((BEGIN + 7200) * NS))
    plan = Plan(queries=("load",), step_s=recorded.interval_s(source, Plan(queries=("load",)), window), catch_up_s=600)
    assert plan.step_s == STEP
    watched = recorded.evaluated(source, plan, window)
    assert watched.summary() == ["load: 2 series, 2 scored"]
    assert watched.selections[0].fleet.learnt.tolist() == [240, 240]
    assert recorded.interval_s(Written(), plan, window) == STEP


def test_a_server_that_is_away_costs_time_only() -> None:
    whole = run(source := fleet(), watch(source, 10), 10, 40)
    source = fleet()
    watched = run(source, watch(source, 10), 10, 20)
    source.fails = SourceUnreachable("metrics", "http://prometheus", "connection refused")
    run(source, watched, 20.5, 26)
    assert watched.selections[0].until == BEGIN + 1200
    assert watched.tally.errors["metrics"] == 12
    source.fails = None
    run(source, watched, 26.5, 40)
    assert_same(whole, watched)


def test_beyond_the_bound_there_is_a_gap_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    source = fleet()
    watched = run(source, watch(source, 10), 10, 20)
    source.now = end(60)
    with caplog.at_level(logging.WARNING):
        watched.tick(end(60))
    assert watched.tally.gaps == 1
    assert watched.tally.skipped_s == 40 * 60 - 600
    assert "nothing between 2023-11-14T22:33:30+00:00 and 2023-11-14T23:03:30+00:00 is evaluated" in caplog.text
    assert watched.selections[0].until == BEGIN + 3600


def test_late_samples_are_learnt_in_their_own_place() -> None:
    def source_of(late: float) -> Written:
        source = fleet(3)
        source.add({"__name__": "load", "instance": "slow"}, scraped(7, 45, noise(7)), late)
        return source

    in_time = run(source := source_of(0), watch(source, 10), 10, 50)
    late = run(source := source_of(70), watch(source, 10), 10, 50)
    assert len(known(late)) == 5
    assert_same(in_time, late)


def test_a_series_that_is_gone_gives_its_row_away() -> None:
    source = fleet(2, minutes=30)
    source.add(
        {"__name__": "load", "instance": "new"}, [(t, v) for t, v in scraped(5, 90, noise(5)) if t > BEGIN + 3600]
    )
    watched = run(source, watch(source, 10, expire_s=600), 10, 30)
    assert len(watched.selections[0].fleet) == 3
    before = set(watched.selections[0].fleet.rows.tolist())
    run(source, watched, 30.5, 45)
    assert len(watched.selections[0].fleet) == 0
    run(source, watched, 45.5, 70)
    (row,) = watched.selections[0].fleet.rows.tolist()
    assert row in before
    fresh = Written()
    fresh.add(
        {"__name__": "load", "instance": "new"}, [(t, v) for t, v in scraped(5, 90, noise(5)) if t > BEGIN + 3600]
    )
    (mine,), (alone,) = known(watched).values(), known(run(fresh, watch(fresh, 45), 45.5, 70)).values()
    for a, b in zip(mine, alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_series_of_two_selections_is_watched_once() -> None:
    source = fleet(3)
    watched = run(source, watch(source, 10, queries=('load{instance=~"host-[01]"}', "load")), 10, 15)
    assert [len(s.fleet) for s in watched.selections] == [2, 1]


def test_its_own_scores_are_not_watched() -> None:
    source = fleet(1)
    source.add({"__name__": "aiops_anomaly_score", "metric": "load"}, scraped(3, 30, noise(3)))
    watched = run(source, watch(source, 10), 10, 12)
    assert len(watched.selections[0].fleet) == 2


# ---------------------------------------------------------------- the file


def test_what_cannot_be_gone_on_with_is_kept_aside_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, file = fleet(2), tmp_path / "watch.npz"
    run(source, first := watch(source, 10, file), 10, 12)
    first.save(end(12))
    good = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    head = json.loads(parts["head"])

    def changed(**other: bytes) -> bytes:
        path = tmp_path / "changed"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in (parts | other).items():
                archive.writestr(name, data)
        return path.read_bytes()

    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    cases = {
        b"": "no state of a watch",
        b"hello": "no state of a watch",
        good[: len(good) // 2]: "no state of a watch",
        bytes(flipped): "CRC",
        changed(head=json.dumps(head | {"version": "0.9"}).encode()): "version 0.9",
        changed(head=b"{}"): "version None",
        changed(head=json.dumps(head | {"queries": ["up"]}).encode()): "another selection: queries ['up']",
        changed(head=json.dumps(head | {"step_s": 60}).encode()): "step_s 60, not 30",
        changed(**{"0.0.at.npy": parts["0.0.score.npy"]}): "no state of a watch",
    }
    for number, (data, told) in enumerate(cases.items(), 1):
        file.write_bytes(data)
        caplog.clear()
        watched = watch(source, 12, file)
        assert told in caplog.text
        assert str(file) in caplog.text
        assert watched.tally.errors["state"] == 1
        aside = file.with_name(f"watch.npz.aside-{number}")
        assert aside.read_bytes() == data
        assert str(aside) in caplog.text
        assert not file.exists()
        assert watched.untils == {'{__name__!=""}': BEGIN + 720 - 600}


def test_a_clock_that_went_back_is_told_when_waiting_for_it_would_be_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, file = fleet(2), tmp_path / "watch.npz"
    run(source, first := watch(source, 40, file), 40, 42)
    first.save(end(42))
    waiting = watch(source, 41, file)  # a minute: it waits
    run(source, waiting, 41, 41.5)
    assert_same(first, waiting)
    watched = watch(source, 10, file)
    assert "was evaluated up to" in caplog.text
    assert file.with_name("watch.npz.aside-1").exists()
    assert run(source, watched, 10, 12).selections[0].until == BEGIN + 720


def test_a_full_disk_leaves_the_saved_state_and_the_watch_as_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, file = fleet(3), tmp_path / "watch.npz"
    watched = run(source, watch(source, 10, file), 10, 12)
    watched.save(end(12))
    good = file.read_bytes()
    run(source, watched, 12.5, 13)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        watched.save(end(13))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"can't save the watch's state to {file}: File too large" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["watch.npz"]
    assert file.read_bytes() == good
    assert watched.tally.errors["state"] == 1
    run(source, watched, 13.5, 14)
    watched.save(end(14))
    assert_same(watched, watch(source, 14, file))


def test_a_home_that_is_taken_away_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = tmp_path / "home"
    home.mkdir()
    watched = watch(fleet(1), 10, home / "watch.npz")
    home.rmdir()
    for gone in (lambda: None, lambda: home.write_text("a file now")):
        gone()
        caplog.clear()
        watched.save(end(10))
        assert f"can't save the watch's state to {home / 'watch.npz'}" in caplog.text
    assert watched.tally.errors["state"] == 2


def test_a_home_has_one_watch(tmp_path: Path) -> None:
    with (
        saved.locked(tmp_path),
        pytest.raises(Refused, match=r"another aiops watch \(process \d+\)"),
        saved.locked(tmp_path),
    ):
        pass
    with saved.locked(tmp_path):
        pass


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"watch\.lock"), saved.locked(tmp_path / "file"):
        pass


# ---------------------------------------------------------------- what is exposed


def test_an_anomaly_is_exposed_for_a_while() -> None:
    source = Written()
    source.add(
        {"__name__": "load", "instance": "a"}, scraped(1, 180, lambda at: noise(1)(at) + 60 * (at > BEGIN + 7200))
    )
    watched = run(source, watch(source, 10), 10, 119, every=5)
    name = 'aiops_anomaly_score{instance="a",metric="load"}'
    assert shown(watched)[name] < 1
    run(source, watched, 120.5, 122)
    fired = shown(watched)[name]
    assert fired > 1
    run(source, watched, 122.5, 124.5)
    assert shown(watched)[name] == fired
    run(source, watched, 125, 128)
    assert shown(watched)[name] < fired


def test_a_series_that_freezes_alerts_and_one_that_is_gone_does_not() -> None:
    source, stops = Written(), BEGIN + 30_000
    source.add({"__name__": "frozen"}, scraped(1, 560, lambda at: noise(1)(min(at, stops))))
    source.add({"__name__": "gone"}, scraped(2, 500, noise(2)))
    watched = run(source, watch(source, 480, catch_up_s=28_000, expire_s=28_800, hold_s=7200), 480, 560, every=5)
    told = scores(watched)
    assert told['aiops_anomaly_score{metric="frozen"}'] > 1
    assert told['aiops_anomaly_score{metric="gone"}'] < 1


def test_a_warming_series_has_no_score() -> None:
    watched = run(source := fleet(1), watch(source, 10), 10, 20)
    assert scores(watched) == {}
    assert shown(watched)['aiops_watch_series{selection="{__name__!=\\"\\"}",state="warming"}'] == 2
    run(source, watched, 20.5, 45)
    assert len(scores(watched)) == 2


def test_a_person_is_told_how_far_the_series_are() -> None:
    watched = run(source := fleet(1), watch(source, 10), 10, 20)
    assert watched.summary() == ['{__name__!=""}: 2 series, 0 scored, 2 warming (40 of 60 samples at most)']
    run(source, watched, 20.5, 45)
    assert watched.summary() == ['{__name__!=""}: 2 series, 2 scored']
    nothing = Written()
    assert run(nothing, watch(nothing, 10), 10, 11).summary() == ['{__name__!=""}: 0 series, 0 scored']


def test_labels_are_escaped_and_what_would_clash_is_renamed() -> None:
    source = Written()
    labels = {
        "__name__": "rpc",
        "path": 'a"b\\c\nd',
        "quantile": "0.9",
        "metric": "mine",
        "job": "x",
        "5xx.de": "y",
        "empty": "",
    }
    source.add(labels, scraped(1, 90, noise(1)))
    watched = run(source, watch(source, 10, forecast=("rpc",)), 10, 60)
    inside = '_5xx_de="y",job="x",metric="rpc",path="a\\"b\\\\c\\nd",source_metric="mine",source_quantile="0.9"'
    told = page(watched.families())
    assert f"\naiops_anomaly_score{{{inside}}} " in told
    assert f'\naiops_forecast{{{inside},quantile="0.5"}} ' in told


def test_the_forecast_is_a_band_around_what_comes() -> None:
    source = fleet(4, minutes=120)
    watched = run(source, watch(source, 10, forecast=("load",)), 10, 60)
    inside = total = 0
    for minutes in np.arange(60.5, 100, 0.5):
        told = shown(run(source, watched, minutes, minutes))
        for k in range(4):
            low, mid, high = (
                told[f'aiops_forecast{{instance="host-{k}",metric="load",quantile="{q}"}}']
                for q in ("0.025", "0.5", "0.975")
            )
            assert low < mid < high
            coming = next(v for t, v in scraped(k, 120, noise(k)) if t > watched.selections[0].until)
            inside, total = inside + (low <= coming <= high), total + 1
    assert not any("host-0" in name and "requests" in name for name in told if "forecast" in name)
    assert 0.85 < inside / total < 1


def test_a_restart_finds_the_forecasts_again(tmp_path: Path) -> None:
    source, file = fleet(2), tmp_path / "watch.npz"
    run(source, first := watch(source, 10, file), 10, 20)
    first.save(end(20))
    second = run(source, watch(source, 21, file, forecast=("load",)), 21, 22)
    assert sum(name.startswith("aiops_forecast") for name in shown(second)) == 6


def test_beyond_the_limit_only_what_is_near_the_threshold_is_exposed() -> None:
    source = fleet(12)
    all_of_them = run(source, watch(source, 10), 10, 60)
    few = run(source := fleet(12), watch(source, 10, limit=5, floor=0.3), 10, 60)
    near = {name: value for name, value in scores(all_of_them).items() if value >= 0.3}
    assert scores(few) == near
    assert 0 < len(near) < 13


def test_no_more_series_are_watched_than_allowed() -> None:
    watched = run(source := fleet(6), watch(source, 10, series=4), 10, 12)
    assert len(watched.selections[0].fleet) == 4
    assert shown(watched)['aiops_watch_series{selection="{__name__!=\\"\\"}",state="refused"}'] == 3


# ---------------------------------------------------------------- pace


def test_a_busy_server_is_read_less_often_the_hot_series_still_at_every_step() -> None:
    def source_of() -> Written:
        source = fleet(5, minutes=120)
        source.add(
            {"__name__": "load", "instance": "odd", "no.name": "in a selector"},
            scraped(8, 120, lambda at: noise(8)(at) + 50 * (at > BEGIN + 3600)),
        )
        return source

    source = source_of()
    watched = run(source, watch(source, 10), 10, 60.5)
    (selection,) = watched.selections
    source.fails = BUSY
    run(source, watched, 61, 61)
    assert (selection.pace.stretch, selection.pace.reason) == (2, "HTTP 503 too many requests")
    source.fails = None
    source.asked.clear()
    hot = next(row for row, labels in selection.hot.items() if labels["instance"] == "odd")
    run(source, watched, 61.5, 61.5)
    ((query, _),) = source.asked
    assert 'instance=~"' in query
    assert selector.parse(query) is not None
    assert "odd" in query
    assert selection.fleet.at[hot] > selection.until * 10**9
    run(source, watched, 62, 75)
    assert selection.pace.stretch == 1
    assert selection.pace.reason == ""
    unhurried = run(source := source_of(), watch(source, 10), 10, 75)
    ours, theirs = known(watched), known(unhurried)
    for key, columns in ours.items():
        for j, (a, b) in enumerate(zip(columns, theirs[key], strict=True)):
            np.testing.assert_array_equal(a, b, err_msg=f"column {j}")


def test_the_interval_has_an_end() -> None:
    source = fleet(2)
    watched = run(source, watch(source, 10, catch_up_s=3600), 10, 12)
    source.fails = BUSY
    run(source, watched, 12.5, 60)
    assert watched.selections[0].pace.stretch == 16
    assert watched.tally.errors["metrics"] < 12


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"remember": ("rate(x[5m])",)}, "watch.remember"),
        ({"forecast": ('x{a=~"("}',)}, "watch.forecast"),
        ({"queries": ("a", "a")}, "twice"),
        ({"expire_s": 60}, "watch.expire_s"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Plan(**plan)  # type: ignore[arg-type]

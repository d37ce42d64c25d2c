"""`rules/alerts.yaml`: modes by route, severities, and maintenance by the clock on somebody's wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops import resources
from aiops.domain import Alert, Mode, Silence, TimeRange
from aiops.errors import ConfigError
from aiops.flows.mute import Quiet, matched, why
from aiops.schema import alerting
from aiops.schema.alerting import Alerting, Maintenance

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  # a Saturday
HOUR = timedelta(hours=1)


def alert(**labels: str) -> Alert:
    return Alert("f", "firing", labels, {}, NOON)


def window(text: str) -> Maintenance:
    (found,) = alerting.parse(f"maintenance: [{{name: w, match: 'a=\"b\"', {text}}}]", "alerts.yaml").maintenance
    return found


def test_what_ships_is_in_order_and_mutes_nothing() -> None:
    shipped = alerting.parse((resources.folder("rules") / "alerts.yaml").read_text(), "alerts.yaml")
    assert (shipped.routes, shipped.maintenance) == ((), ())
    ranks = [shipped.rank(alert(severity=word)) for word in ("", "odd", "info", "warning", "Critical", "page")]
    assert ranks == sorted(ranks)
    assert ranks[0] == ranks[1] == 0
    assert len(set(ranks[1:])) == 5
    assert alerting.parse("", "alerts.yaml") == Alerting()


def test_the_first_route_that_fits_decides() -> None:
    told = alerting.parse(
        """
        routes:
          - {receiver: quiet, match: 'team="db"', mode: off}
          - {receiver: quiet, mode: on_demand}
          - {match: '{severity=~"none|info", team!=""}', mode: "off"}
        """,
        "alerts.yaml",
    )
    assert told.mode(alert(team="db"), "quiet") is Mode.OFF
    assert told.mode(alert(team="web"), "quiet") is Mode.ON_DEMAND
    assert told.mode(alert(team="db"), "loud") is Mode.AUTO
    assert told.mode(alert(team="db", severity="info"), "loud") is Mode.OFF
    assert told.mode(alert(severity="information", team="db"), "loud") is Mode.AUTO
    assert told.mode(alert(severity="info"), "loud") is Mode.AUTO


@pytest.mark.parametrize(
    ("text", "now", "until"),
    [
        ("days: [sat]", "2026-01-31T00:00Z", "2026-02-01T00:00Z"),
        ("days: [sat]", "2026-02-01T00:00Z", None),
        ("days: [sat], from: '11:00', to: '12:00'", "2026-01-31T11:59:59Z", "2026-01-31T12:00Z"),
        ("days: [sat], from: '11:00', to: '12:00'", "2026-01-31T12:00Z", None),
        # Into the next day; of a Saturday, not of a Sunday.
        ("days: [sat], from: '22:00', to: '02:00'", "2026-02-01T01:00Z", "2026-02-01T02:00Z"),
        ("days: [sat], from: 22:00, to: 02:00", "2026-01-31T22:00Z", "2026-02-01T02:00Z"),  # as YAML 1.1 reads it
        ("days: [sat], from: '22:00', to: '02:00'", "2026-01-31T01:00Z", None),
        ("days: [sat], from: '20:00', to: '24:00'", "2026-01-31T23:59Z", "2026-02-01T00:00Z"),
        # By the clock there: Shanghai is at UTC+8 all year, Berlin changes on 29 March at 01:00 UTC.
        ("days: [sun], from: '00:00', to: '06:00', zone: Asia/Shanghai", "2026-01-31T17:00Z", "2026-01-31T22:00Z"),
        ("days: [sat], from: '22:00', to: '06:00', zone: Europe/Berlin", "2026-03-28T21:30Z", "2026-03-29T04:00Z"),
        ("days: [sun], from: '02:30', to: '03:00', zone: Europe/Berlin", "2026-03-29T01:15Z", None),
        ("days: [sun], from: '02:00', to: '03:00', zone: Europe/Berlin", "2026-10-25T01:30Z", "2026-10-25T02:00Z"),
        ("start: 2026-01-31T11:00:00Z, end: 2026-01-31T13:00:00Z", "2026-01-31T12:00Z", "2026-01-31T13:00Z"),
        ("start: 2026-01-31T11:00:00Z, end: 2026-01-31T13:00:00Z", "2026-01-31T13:00Z", None),
        (
            "start: 2026-01-31T20:00:00, end: 2026-01-31T22:00:00, zone: Asia/Shanghai",
            "2026-01-31T12:00Z",
            "2026-01-31T14:00Z",
        ),
    ],
)
def test_a_window_is_open_by_the_clock_of_its_zone(text: str, now: str, until: str | None) -> None:
    moment = datetime.fromisoformat(now)
    assert window(text).until(moment) == (datetime.fromisoformat(until) if until else None)


@given(st.timedeltas(timedelta(0), timedelta(days=800)), st.integers(0, 23), st.integers(0, 23))
def test_a_window_is_open_for_as_long_as_it_says_and_its_end_is_its_end(
    later: timedelta, opens: int, closes: int
) -> None:
    now = NOON + later
    days = "days: [mon, tue, wed, thu, fri, sat, sun]"
    found = window(f"{days}, from: '{opens:02d}:00', to: '{closes:02d}:00', zone: America/New_York")
    end = found.until(now)
    if end:
        assert now < end <= now + 25 * HOUR
        assert end - timedelta(microseconds=1) < end == found.until(end - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("routes: [{mode: sometimes}]", "mode|sometimes"),
        ("routes: [{mode: auto, match: 'a=b'}]", "a=b"),
        ("routes: [{mode: auto, match: 'a=~\"(\"'}]", "regular expression"),
        ("routes: [{mode: on}]", "mode"),
        ("routes: [{mode: muted}]", "muted"),
        ("maintenance: [{name: x, match: ''}]", "match is empty"),
        ("maintenance: [{name: x, match: 'a=\"b\"'}]", "days, or start and end"),
        ("maintenance: [{name: x, match: 'a=\"b\"', days: [sat], zone: Mars/Base}]", "Mars/Base"),
        ("maintenance: [{name: x, match: 'a=\"b\"', days: [sat], from: '25:00'}]", "25:00"),
        ("maintenance: [{name: x, match: 'a=\"b\"', days: [samstag]}]", "days"),
        ("maintenance: [{name: x, match: 'a=\"b\"', start: 2026-01-31T11:00:00Z}]", "both start and end"),
        ("maintenances: []", "maintenances"),
        ("routes: {", "YAML"),
        ("[]", "array"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"alerts\.yaml: (?s:.)*({named})"):
        alerting.parse(text, "alerts.yaml")


def test_a_silence_keeps_quiet_what_all_its_matchers_fit_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    lasts = TimeRange(NOON, NOON + HOUR)
    good = Silence("one", (("service", "=", "web"), ("env", "=~", "prod|stage"), ("team", "!=", "db")), lasts)
    broken = Silence("two", (("service", "=~", "("),), lasts)
    quiet = Quiet((), matched([good, broken]))
    assert "two" in caplog.text
    now = quiet.at(NOON)
    assert "silence one until 2026-01-31 13:00 UTC" in why(alert(service="web", env="prod"), now)
    assert not why(alert(service="web", env="production"), now)
    assert not why(alert(service="web", env="prod", team="db"), now)
    assert quiet.at(NOON + HOUR) == quiet.at(NOON - HOUR) == ()

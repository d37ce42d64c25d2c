"""docs/operations.md tells of every figure and every alert, in the program's own words."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from aiops import settings
from aiops.service.metrics import COUNTERS, GAUGES, HISTOGRAMS

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = (CHECKOUT / "docs" / "operations.md").read_text()


def test_every_figure_is_in_the_table() -> None:
    kinds = {"counter": COUNTERS, "histogram": HISTOGRAMS, "gauge": GAUGES}
    known = {(name, kind, meaning) for kind, names in kinds.items() for name, meaning in names.items()}
    told = re.findall(r"^\| `((?:aiops|process)_\w+)` \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert set(told) == known
    assert told == sorted(told)


def test_every_alert_says_what_to_do() -> None:
    groups = yaml.safe_load((CHECKOUT / "rules/prometheus/aiops.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert set(re.findall(r"`(Aiops\w+)`", PAGE)) == alerts


def test_how_long_things_are_kept_is_what_the_settings_say() -> None:
    told = re.findall(r"`(stores\.\w+_keep_(?:days|hours))` \| (\d+)", PAGE)
    kept = {s.name: str(int(float(s.default))) for s in settings.TABLE if "_keep_" in s.name}
    assert dict(told) == kept

"""The alerts on aiops itself, as Prometheus' own tool reads and evaluates them."""

from __future__ import annotations

from pathlib import Path

import yaml

import servers
from conftest import needed

CHECKOUT = Path(__file__).resolve().parents[1]
RULES = CHECKOUT / "rules" / "prometheus"
SCENARIOS = CHECKOUT / "tests" / "data" / "prometheus" / "aiops.test.yaml"


def alerts(file: Path) -> set[str]:
    groups = yaml.safe_load(file.read_text())["groups"]
    return {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}


def test_rules_are_valid() -> None:
    with needed():
        said = servers.promtool("check", "rules", *map(str, sorted(RULES.glob("*.yaml"))))
    assert said.count("SUCCESS") == len(list(RULES.glob("*.yaml")))


def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "scenarios.yaml").write_text(SCENARIOS.read_text().replace("RULES", str(RULES)))
    with needed():
        assert "SUCCESS" in servers.promtool("test", "rules", str(tmp_path / "scenarios.yaml"))


def test_every_alert_has_its_scenarios() -> None:
    calm, alone, bad = yaml.safe_load(SCENARIOS.read_text())["tests"]
    ours = alerts(RULES / "aiops.yaml")
    for quiet in (calm, alone):
        assert {case["alertname"] for case in quiet["alert_rule_test"] if not case["exp_alerts"]} == ours
    assert ours <= {case["alertname"] for case in bad["alert_rule_test"] if case["exp_alerts"]}


def test_every_alert_can_be_understood_and_routed() -> None:
    for file in RULES.glob("*.yaml"):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    assert rule["labels"]["severity"] in {"critical", "warning", "info", "none"}, rule["alert"]
                    assert rule["annotations"]["summary"], rule["alert"]

"""What `docker compose up` would start: the files it reads are valid and fit each other and the program.

No container engine is needed, nor is one used: what is checked is what each program says of its own configuration."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from aiops import cli, settings
from aiops.render import png
from aiops.service import access, hooks

import servers
from conftest import needed
from servers import parts

CHECKOUT = Path(__file__).resolve().parents[1]
DEPLOY = CHECKOUT / "deploy"
COMPOSITION = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSITION["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "aiops:local"}


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Target -> source; an anonymous volume has none."""
    found = {}
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        found[rest.partition(":")[0] or source] = source if rest else ""
    return found


def test_the_composition_follows_the_specification() -> None:
    schema = json.loads((CHECKOUT / "tests/data/compose-spec/compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(COMPOSITION)
    slipped = {**COMPOSITION, "services": {"aiops": {"imagee": "x"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(slipped)


def test_what_a_service_names_is_there() -> None:
    for name, service in SERVICES.items():
        for target, source in mounts(service).items():
            if source.startswith("."):
                assert (CHECKOUT / source).exists(), f"{name}: {source} for {target}"
            elif source:
                assert source in COMPOSITION["volumes"], f"{name}: {source}"
        assert set(service.get("depends_on", {})) <= SERVICES.keys(), name
        assert service.get("network_mode", "none").removeprefix("service:") in {"none", *SERVICES}, name
    used = {source for service in SERVICES.values() for source in mounts(service).values()}
    assert set(COMPOSITION["volumes"]) <= used


def test_ports_are_published_on_the_loopback_alone() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_images_are_pinned_and_licences_are_open() -> None:
    """Redis after 7.2 is not open source any more; Valkey is."""
    for name, service in SERVICES.items():
        image, _, tag = service["image"].partition(":")
        assert tag not in {"", "latest"}, name
        assert "redis" not in image, name


def test_ours_run_as_nobody_in_particular_and_write_only_where_they_may() -> None:
    assert set(OURS) == {"secrets", "aiops", "worker", "watch"}
    for name, service in OURS.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        if name != "secrets":  # which writes into new volumes, those being root's, and has no network
            assert service["user"] == "10001", name
            assert "/var/lib/aiops" in mounts(service), name
    assert SERVICES["secrets"]["network_mode"] == "none"


def test_ours_run_commands_that_there_are() -> None:
    for service in OURS.values():
        if "entrypoint" not in service:
            assert service.get("command", ["serve"])[0] in cli.COMMANDS


def test_ours_are_told_what_they_know() -> None:
    known = {setting.variable for setting in settings.TABLE}
    for name, service in OURS.items():
        told = {variable for variable in service["environment"] if re.match("AIOPS_[A-Z]+__", variable)}
        assert told <= known, name


def test_what_is_read_from_a_file_is_mounted() -> None:
    for name, service in OURS.items():
        for variable, path in service["environment"].items():
            if variable.endswith("_FILE"):
                assert str(Path(path).parent) in mounts(service), f"{name}: {variable}"


def test_the_image_is_of_an_unprivileged_user() -> None:
    lines = (CHECKOUT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[-1:] == ["10001"]  # a number, so that a cluster can see that it is not root
    assert any("--uid 10001 aiops" in line for line in lines)
    copied = {word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1] if word[0] != "-"}
    sent = set(re.findall(r"^!(.+)$", (CHECKOUT / ".dockerignore").read_text(), re.MULTILINE))
    assert {path.strip("/") for path in copied if not path.startswith("/")} <= sent


def test_the_image_can_draw_and_confine() -> None:
    """It has a font that a picture can be drawn with, one for Chinese, and what runs are confined with, from Debian, as the tests do."""
    last = (CHECKOUT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    (installed,) = re.findall(r"apt-get install ((?:[\w.-]+ ?)+)", last)
    packages = {word for word in installed.split() if not word.startswith("-")}
    assert packages == {"bubblewrap", *re.findall(r"fonts-[\w-]+", Path(png.__file__).read_text())}
    assert packages <= {package for part in parts.PARTS.values() for package in part.packages}


def test_alertmanager_takes_its_configuration_and_sends_to_us() -> None:
    file = DEPLOY / "alertmanager/alertmanager.yml"
    with needed():
        assert "SUCCESS" in servers.amtool("check-config", str(file))
    said = yaml.safe_load(file.read_text())
    (hook,) = said["receivers"][0]["webhook_configs"]
    assert said["route"]["receiver"] == said["receivers"][0]["name"]
    assert hook["url"] == "http://aiops:8642/v1/webhooks/alertmanager"
    token = Path(hook["http_config"]["authorization"]["credentials_file"])
    assert mounts(SERVICES["alertmanager"])[str(token.parent)] == "token-of-alertmanager"


def test_prometheus_takes_its_configuration_with_all_rules(tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    token = "/run/aiops/token"
    assert mounts(SERVICES["prometheus"])[str(Path(token).parent)] == "token-of-prometheus"
    (tmp_path / "token").write_text("t")
    (tmp_path / "rules").symlink_to(CHECKOUT / mounts(SERVICES["prometheus"])["/etc/prometheus/rules"])
    (tmp_path / "prometheus.yml").write_text(text.replace(token, str(tmp_path / "token")))
    with needed():
        said = servers.promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert said.count("rules found") == len(list((CHECKOUT / "rules/prometheus").glob("*.yaml")))
    asked = {t for job in yaml.safe_load(text)["scrape_configs"] for c in job["static_configs"] for t in c["targets"]}
    assert {host for host, _, _ in (target.partition(":") for target in asked)} - {"localhost"} <= SERVICES.keys()


GRAFANA = DEPLOY / "grafana/provisioning"


def test_grafana_finds_its_dashboards_and_their_source() -> None:
    inside = mounts(SERVICES["grafana"])
    assert inside["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((GRAFANA / "dashboards/aiops.yaml").read_text())["providers"]
    folder = CHECKOUT / inside[provider["options"]["path"]]
    (source,) = yaml.safe_load((GRAFANA / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]  # what the dashboards' variable begins with
    for file in folder.glob("*.json"):
        used = set(re.findall(r'"datasource": \{[^}]*"uid": "([^"]+)"', file.read_text()))
        assert used <= {"${datasource}", "-- Grafana --"}
        (variable,) = [v for v in json.loads(file.read_text())["templating"]["list"] if v["name"] == "datasource"]
        assert variable["query"] == source["type"] == "prometheus"
    assert list(folder.glob("*.json"))


# The fields of Grafana's documentation, "Use configuration files to provision alerting resources" and "Configure the webhook
# notifier for Alerting", as of 11.6: one that is not among them would be ignored without a word.
_TEXT, _NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}


def _only(required: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": fields, "additionalProperties": False}


_SPAN = {"type": "string", "pattern": r"^(\d+(s|m|h|d|w))+$"}
_WEBHOOK = _only(
    ["url"],
    url={"type": "string", "format": "uri", "pattern": "^https?://"},
    httpMethod={"enum": ["POST", "PUT"]},
    username=_TEXT,
    password=_TEXT,
    authorization_scheme=_TEXT,
    authorization_credentials=_TEXT,
    maxAlerts=_NUMBER,
    title=_TEXT,
    message=_TEXT,
    tlsConfig={"type": "object"},
    hmacConfig=_only(["secret"], secret=_TEXT, header=_TEXT, timestampHeader=_TEXT),
)
_RECEIVER = _only(
    ["uid", "type", "settings"],
    uid={"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"},
    type={"const": "webhook"},
    disableResolveMessage={"type": "boolean"},
    settings=_WEBHOOK,
)
_POINT = _only(["name", "receivers"], orgId=_NUMBER, name=_TEXT, receivers={"type": "array", "items": _RECEIVER})
_POLICY = _only(
    ["receiver"],
    orgId=_NUMBER,
    receiver=_TEXT,
    group_by={"type": "array", "items": _TEXT},
    object_matchers={"type": "array"},
    mute_time_intervals={"type": "array"},
    group_wait=_SPAN,
    group_interval=_SPAN,
    repeat_interval=_SPAN,
    routes={"type": "array"},
)
POINTS = _only(["apiVersion"], apiVersion={"const": 1}, contactPoints={"type": "array", "items": _POINT})
POLICIES = _only(["apiVersion"], apiVersion={"const": 1}, policies={"type": "array", "items": _POLICY})


def test_grafana_alerts_come_to_us_signed(made: Path) -> None:
    points = yaml.safe_load((GRAFANA / "alerting/contact-points.yaml").read_text())
    policies = yaml.safe_load((GRAFANA / "alerting/notification-policies.yaml").read_text())
    jsonschema.Draft202012Validator(POINTS).validate(points)
    jsonschema.Draft202012Validator(POLICIES).validate(policies)
    (point,), (policy,) = points["contactPoints"], policies["policies"]
    assert policy["receiver"] == point["name"]
    (receiver,) = point["receivers"]
    assert not receiver["disableResolveMessage"]
    hook = receiver["settings"]
    assert hook["url"] == f"http://aiops:8642{hooks.GRAFANA}"
    # The secret is one file in one volume, which both see, and both mean the same headers.
    there = re.fullmatch(r"\$__file\{(.+)\}", hook["hmacConfig"]["secret"])
    assert there
    here = SERVICES["aiops"]["environment"]
    volume = "secret-of-grafana"
    assert mounts(SERVICES["grafana"])[str(Path(there[1]).parent)] == volume
    assert mounts(SERVICES["aiops"])[str(Path(here["AIOPS_SERVICE__GRAFANA_SECRET_FILE"]).parent)] == volume
    assert Path(there[1]).name == Path(here["AIOPS_SERVICE__GRAFANA_SECRET_FILE"]).name
    assert hook["hmacConfig"]["header"].lower().encode() == hooks.SIGNATURE
    assert hook["hmacConfig"]["timestampHeader"] == here["AIOPS_SERVICE__GRAFANA_TIMESTAMP_HEADER"]
    # The password of Grafana's admin is for Grafana alone.
    admin = mounts(SERVICES["grafana"])[
        str(Path(SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]).parent)
    ]
    assert [name for name, service in SERVICES.items() if admin in mounts(service).values()] == ["secrets", "grafana"]
    assert (made / "grafana/secret").stat().st_size > 20
    assert (made / "grafana/secret").read_text() != (made / "grafana-admin/password").read_text()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What the service `secrets` makes, by its own script."""
    for folder in ("tokens", "alertmanager", "prometheus", "graph", "grafana", "grafana-admin"):
        (tmp_path / folder).mkdir()
    run_secrets(tmp_path)
    return tmp_path


def run_secrets(folder: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = ["sh", str(DEPLOY / "secrets.sh"), str(folder)]
    subprocess.run(script, check=True, capture_output=True, env={**os.environ, "PATH": programs})


def test_secrets_let_in_who_is_to_come_in(made: Path) -> None:
    tokens = access.Tokens(made / "tokens/tokens")
    for name, role in (("alertmanager", access.Role.OPERATOR), ("prometheus", access.Role.VIEWER)):
        token = (made / name / "token").read_bytes().strip()
        assert tokens.find(token) == access.Principal(name, role)
        assert token not in (made / "tokens/tokens").read_bytes()
    # Other users read them, each in a volume of its own.
    for file in (made / "tokens/tokens", made / "alertmanager/token", made / "graph/password"):
        assert stat.S_IMODE(file.stat().st_mode) & 0o044 == 0o044
    assert (made / "graph/auth").read_text() == f"neo4j/{(made / 'graph/password').read_text()}"


def test_secrets_are_made_once(made: Path) -> None:
    before = {file: file.read_bytes() for file in made.rglob("*") if file.is_file()}
    run_secrets(made)
    assert {file: file.read_bytes() for file in made.rglob("*") if file.is_file()} == before

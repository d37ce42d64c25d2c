"""What ships: locks that can be trusted, licences that may be combined, a composition that names real settings."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml

import aiops
from aiops import settings

CHECKOUT = Path(__file__).resolve().parents[1]
LOCKS = sorted((CHECKOUT / "requirements").glob("*.txt"))
PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)
FORBIDDEN = re.compile(r"\b(A?GPL|SSPL|Affero|Server Side Public|BUSL|Business Source)", re.IGNORECASE)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes_and_no_address(lock: Path):
    text = lock.read_text()
    pins = [block for block in re.split(r"\n(?=\S)", text) if block.strip() and not block.startswith("#")]
    assert pins
    for block in pins:
        assert PIN.match(block), block
        assert "--hash=sha256:" in block, block
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_lock_names_a_foreign_aiops(lock: Path):
    """A public index serves another project of that name."""
    assert "aiops" not in dict(PIN.findall(lock.read_text()))


def test_locks_agree():
    """Any of them can be installed on top of any other."""
    seen: dict[str, set[tuple[str, ...]]] = {}
    for lock in LOCKS:
        versions: dict[str, list[str]] = {}
        for name, version in PIN.findall(lock.read_text()):
            versions.setdefault(name, []).append(version)
        for name, found in versions.items():
            seen.setdefault(name, set()).add(tuple(found))
    assert {name: found for name, found in seen.items() if len(found) > 1} == {}


def test_the_base_licences_are_permissive():
    for name in dict(PIN.findall((CHECKOUT / "requirements/base.txt").read_text())):
        meta = distribution(name).metadata
        classified = [c for c in meta.get_all("Classifier") or [] if c.startswith("License")]
        said = " ".join([meta.get("License-Expression") or "", (meta.get("License") or "")[:60], *classified])
        if not said.strip():  # resvg-py only encloses its licence, MIT's
            said = next(file.read_text()[:400] for file in distribution(name).files or [] if file.name == "LICENSE")
            assert "Permission is hereby granted, free of charge" in said, name
        assert said.strip(), f"{name} names no licence"
        assert not FORBIDDEN.search(said), f"{name}: {said}"


def test_the_composition_names_real_settings():
    services = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    known = {setting.variable for setting in settings.TABLE} | {"AIOPS_HOME"}
    for service in services.values():
        assert {name for name in service.get("environment", {}) if name.startswith("AIOPS_")} <= known


def test_the_image_copies_what_is_there():
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert (CHECKOUT / path).exists(), path


def test_the_changelog_knows_the_version():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"]
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog or f"## [{aiops.__version__}]" in changelog


def test_nothing_tells_people_to_install_another_project() -> None:
    """The package index has an unrelated project of our name: what we say must install the checkout."""
    top = Path(__file__).parents[1]
    texts = [*top.glob("*.md"), *(top / "docs").glob("*.md"), *(top / "aiops").rglob("*.py")]
    for path in texts:
        assert not re.search(r"install\s+['\"]?aiops\b", path.read_text(encoding="utf-8")), path

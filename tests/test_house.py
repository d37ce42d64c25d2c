"""The house rules of docs/architecture.md, held over the syntax trees: imports go down, one reader of the environment,
importing does nothing, the failures are all mapped, the data folders parse."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aiops
from aiops import errors, resources, rules

PACKAGE = Path(aiops.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each room may import of the others. A room that isn't named here may not exist.
GROUND = {"domain", "errors", "ports", "kernels"}
CELLAR = GROUND | {"rules", "resources", "recording", "schema", "redaction", "telemetry", "plain"}
ALLOWED: dict[str, set[str]] = {
    "domain": set(),
    "errors": set(),
    "ports": {"domain"},
    "kernels": {"domain", "errors"},
    "resources": set(),
    "units": set(),
    "plain": set(),
    "redaction": set(),
    "telemetry": set(),
    "settings": {"errors"},
    "rules": {"domain", "errors", "schema"},
    "schema": {"domain", "errors", "plain"},
    "recording": {"domain", "errors", "schema"},
    "stages": CELLAR | {"units"},
    "adapters": CELLAR,
    "pipeline": CELLAR | {"stages"},
    "flows": CELLAR | {"stages", "pipeline"},
    "ops": CELLAR | {"stages", "pipeline", "flows"},
    "app": CELLAR | {"adapters", "pipeline", "flows", "ops", "settings", "render"},
    "render": {"domain", "schema", "units", "redaction", "plain"},
    "bench": CELLAR | {"stages", "pipeline", "flows", "ops", "app", "settings"},
    "service": CELLAR | {"stages", "flows", "ops", "app", "settings", "render", "units"},
    "cli": CELLAR | {"stages", "flows", "ops", "app", "settings", "render", "service", "bench", "pipeline"},
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Rooms of the package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "aiops":
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif node.module.startswith("aiops."):
                yield node.module.split(".")[1], node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("aiops."):
                    yield alias.name.split(".")[1], node.lineno


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    mine = room(path)
    assert mine == "__main__" or mine in ALLOWED, f"{mine} is a room that the house plan does not have"
    for other, line in imports(path):
        if other in {mine, "__version__"} or mine == "__main__":
            continue
        assert other in ALLOWED[mine], f"{path.name}:{line}: {mine} must not import {other}"


def test_the_plan_has_no_ring_and_no_empty_room() -> None:
    rooms = {room(p) for p in MODULES} - {"__init__", "__main__"}
    assert rooms == set(ALLOWED)
    done: set[str] = set()
    while waiting := [r for r in ALLOWED if r not in done]:
        ready = [r for r in waiting if ALLOWED[r] - {r} <= done]
        assert ready, f"these rooms import each other in a ring: {waiting}"
        done.update(ready)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_settings_reads_the_environment(path: Path) -> None:
    if path.name == "settings.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            assert node.attr not in {"environ", "getenv", "environb", "putenv"}, f"{path.name}:{node.lineno}"


def test_only_the_hall_knows_adapters() -> None:
    knowing = {room(p) for p in MODULES if any(r == "adapters" for r, _ in imports(p))}
    assert knowing <= {"app", "adapters"}


def test_importing_does_nothing() -> None:
    """No module writes, connects, starts a process or a thread, or reads the environment's home while being imported."""
    names = [
        ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for p in MODULES
        if p.name != "__main__.py"
    ]
    code = f"""
import importlib, sys, threading, json
done = []
def hook(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.mkdir", "os.remove"):
        done.append([event, str(args)[:80]])
import numba, pyarrow, fastapi, yaml, msgspec, pydantic, jinja2, click, rapidfuzz, urllib3  # theirs is not ours to judge
threads = threading.active_count()
sys.addaudithook(hook)
sys.dont_write_bytecode = True
for name in {names!r}:
    importlib.import_module(name)
done = [d for d in done if "__pycache__" not in d[1]]
print(json.dumps([done, threading.active_count() - threads]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout.splitlines()[-1]) == [[], 0], out.stdout


def test_a_server_starts_without_what_only_a_diagnosis_needs(tmp_path: Path) -> None:
    """Half of the processor time of a start went into numba, pandas and scipy, before anything was asked."""
    code = f"""
import sys
from aiops import app, settings
from aiops.service import server, standalone
with app.build(settings.load({{"sources.metrics": "prometheus+http://127.0.0.1:9", "model.url": "", "chat.url": ""}}, {str(tmp_path)!r})) as ops:
    server.server(ops, external_url="", body_limit=1, ready=print)
    print(sorted({{module.partition(".")[0] for module in sys.modules}}))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    loaded = out.stdout.splitlines()[-1]
    heavy = ("numba", "llvmlite", "pandas", "scipy", "statsmodels", "tsfresh", "networkx", "matplotlib", "rapidfuzz")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


def test_public_surface_is_pinned() -> None:
    assert sorted(aiops.__all__) == ["__version__", "connect"]
    for name in aiops.__all__:
        assert getattr(aiops, name)


def family(kind: type[errors.AiopsError]) -> Iterator[type[errors.AiopsError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


def test_every_failure_is_mapped_and_drawn() -> None:
    drawn = errors.__doc__ or ""
    for kind in family(errors.AiopsError):
        assert kind.__module__ == "aiops.errors", f"{kind} is a failure nobody at the front knows"
        assert kind.__name__ in drawn
        assert kind.exit_code in {2, 3, 4, 5}
        assert 400 <= kind.http_status < 600
        assert kind.http_status != 429, "Alertmanager drops what gets 429"


def test_rules_parse() -> None:
    known = rules.load(resources.folder("rules"))
    assert len(known.runbooks) >= 8
    assert known.entities.node("series", {"pod": "cart-7d9f8b6c5d-x2x4z"}) == "cart"
    assert known.entities.node("alert", {"severity": "page"}) == ""


def test_functions_fit_a_screen() -> None:
    """The corridor and the flows are read at one glance."""
    for path in [PACKAGE / "pipeline.py", *(PACKAGE / "flows").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno
                assert length <= 50, f"{path.name}: {node.name} has {length} lines"

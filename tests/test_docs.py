"""The documentation says what is true: commands parse, links lead somewhere, every noun is defined."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import aiops
from aiops import cli

CHECKOUT = Path(__file__).parents[1]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")), *sorted((CHECKOUT / "rules").rglob("*.md"))]
HELP = CHECKOUT / "docs" / "help.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def commands(page: Path) -> Iterator[str]:
    """Every `aiops ...` that a reader might type: lines of shell blocks, and code spans."""
    source = page.read_text("utf-8")
    for block in re.findall(r"```sh\n(.*?)```", source, re.DOTALL):
        yield from (line.strip() for line in block.splitlines())
    yield from re.findall(r"`((?:\.venv/bin/)?aiops [^`]*)`", re.sub(r"```.*?```", "", source, flags=re.DOTALL))


TYPED = [
    (page.relative_to(CHECKOUT).as_posix(), line.removeprefix(".venv/bin/"))
    for page in PAGES
    if page != HELP  # generated from the commands, and compared with them in tests/cli
    for line in commands(page)
    if line.removeprefix(".venv/bin/").startswith("aiops ") and "COMMAND" not in line
]


@pytest.mark.parametrize(("page", "line"), TYPED)
def test_every_command_parses(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli.root
    context = click.Context(command, info_name="aiops", **command.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words.pop(0))
        assert inner is not None, f"{page}: no such command: {line}"
        command, context = inner, click.Context(inner, context, info_name=inner.name)
    # `parse_args` would open files and run callbacks; the parser alone knows options and how many arguments there may be.
    options, arguments, _ = command.make_parser(context).parse_args(list(words))
    assert set(options) <= {param.name for param in command.get_params(context)}
    room = sum(p.nargs if p.nargs > 0 else 99 for p in command.params if isinstance(p, click.Argument))
    assert sum(isinstance(a, str) for a in arguments) <= room


def test_there_are_commands_to_parse() -> None:
    assert len(TYPED) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if not re.match(r"https?://", target):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """Headings as GitHub turns them into anchors."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_glossary_has_every_public_noun() -> None:
    tree = ast.parse((Path(aiops.__file__).parent / "domain.py").read_text("utf-8"))
    nouns = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    nouns |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    nouns = {noun for noun in nouns if not noun.startswith("_")}
    defined = set(re.findall(r"\*\*`(\w+)`\*\*", (CHECKOUT / "docs" / "glossary.md").read_text("utf-8")))
    assert nouns <= defined, f"not defined: {sorted(nouns - defined)}"
    assert defined <= nouns, f"no longer a noun: {sorted(defined - nouns)}"


def test_the_rooms_of_the_drawing_are_there() -> None:
    drawing = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8").split("```text")[1].split("```")[0]
    for room in re.findall(r"\b([a-z]+(?:/|\.py))", drawing):
        place = CHECKOUT / room if room in {"models/", "prompts/", "rules/"} else Path(aiops.__file__).parent / room
        assert place.exists(), room
    stages = re.search(r"interpret.*explain", drawing)
    assert stages
    for stage in stages[0].split():
        assert list((Path(aiops.__file__).parent / "stages").glob(f"{stage}*")), stage


def test_settings_that_are_named_exist() -> None:
    from aiops.settings import TABLE

    known = {setting.name for setting in TABLE}
    for page in PAGES:
        for name in re.findall(
            r"`((?:sources|stores|model|service|worker|diagnosis|watch|folders|log|trace)\.\w+)`",
            page.read_text("utf-8"),
        ):
            assert name in known, f"{page.name}: {name}"


def test_routes_that_the_readme_names_are_served(tmp_path: Path) -> None:
    from aiops.service import api

    with aiops.connect(
        f"case:{CHECKOUT / 'aiops' / 'demo' / 'incident'}", home=str(tmp_path), flags={"model.url": ""}, keep=False
    ) as ops:
        app = api.create(ops)
        served = {*app.openapi()["paths"], app.openapi_url}
    named = set(
        re.findall(
            r"(?:GET|POST|,) ?`?(/[\w./{}-]*)", (CHECKOUT / "README.md").read_text("utf-8").split("## Over HTTP")[1]
        )
    )
    shapes = {re.sub(r"{\w+}", "{}", path) for path in served}
    assert len(named) >= 7
    assert {re.sub(r"{\w+}", "{}", path) for path in named} <= shapes

"""Runbooks as files: what ships holds to its own tests, and no file and no value makes more of a word than a word."""

from __future__ import annotations

import hashlib
import json
import posixpath
import random
import re
import shutil
import string
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from aiops import cli, resources, rules
from aiops.domain import Parameter, Runbook
from aiops.errors import ConfigError, DataError
from aiops.schema import fill
from aiops.schema import runbook as schema
from aiops.stages import prescribe

FOLDER = resources.folder("rules")
SHIPPED = rules.load(FOLDER).runbooks
FILES = sorted((FOLDER / "runbooks").glob("*.yaml"))
HOSTILE = [
    "-rf", "--all", "-", "a b", " a", "a ", "a\nb", "a\n", "\r", "\0", "\x1b[2J", "a;b", "$(id)", "`id`", "${HOME}", "$HOME", "a|b",
    "a&b", "a>b", "*", "?", "[a]", "~", "~root", "!x", "#", "a'b", 'a"b', "a\\b", "../x", "a/../b", "/etc/passwd", "..", ".", "a/b", "//x",
    "{node}", "{", "%00", "%2e%2e%2f", "a\u2028b", "\u202ea", "é", "ａ", "", "x" * 300, "{0.__class__}", "=a", ",", "@-", "a:b\tc", "\ud800",
]  # fmt: skip


def nothing(name: str) -> bytes:
    raise DataError(f"no file {name}")


def book(**changed: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "title": "Do it",
        "owner": "us",
        "match": {"faults": ["cpu"]},
        "parameters": {"node": {"kind": "name", "from": "node"}},
        "act": {"action": {"verb": "systemd.restart", "with": {"unit": "{node}.service"}}},
        "undo": {"nothing": "no need"},
        "effect": {"query": "up", "holds": "== 1"},
        "blast": {"targets": 1},
        "cool_down": "30m",
        "tests": [{"given": {"fault": "cpu", "node": "a"}, "words": ["systemd.restart", "unit=a.service"]}],
    }
    return whole | changed


def script(*argv: str, files: dict[str, str] | None = None) -> dict[str, Any]:
    act = {"script": {"argv": list(argv), "files": files or {}}}
    return book(act=act, dry_run=json.loads(json.dumps(act)))


def loaded(values: dict[str, Any]) -> Runbook:
    return schema.load(yaml.safe_dump(values), "book", nothing)


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda b: b.name)
def test_what_ships_holds_to_its_own_tests(shipped: Runbook) -> None:
    assert prescribe.failures(shipped) == ()
    assert any(one.refused for one in shipped.examples)
    assert shipped.mode == "suggest"


def test_the_schema_says_what_the_model_takes() -> None:
    told = json.loads(json.dumps(schema.schema()))
    jsonschema.Draft202012Validator.check_schema(told)
    for path in FILES:
        jsonschema.validate(yaml.safe_load(path.read_text()), told)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(book(shell="rm -rf /"), told)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (book(argv=["rm"]), "argv is not a field"),
        (book(mode="always"), "off, suggest, approve, auto"),
        (book(tests=[]), "tests"),
        (book(blast={}), "targets"),
        (book(approvers=0), "approvers"),
        (book(cool_down="soon"), "cool_down"),
        (book(title="a\nb"), "title"),
        (book(match={"faults": ["bad luck"]}), "faults"),
        (book(match={"faults": ["cpu"], "node": "("}), "RE2"),
        (book(match={"faults": ["cpu"], "node": "(?=a)"}), "RE2"),
        (book(match={"faults": ["cpu"], "node": r"(a)\1"}), "RE2"),
        (book(match={"faults": ["cpu"], "node": "(a{1000}){1000}"}), "RE2"),
        (book(effect={"query": "up", "holds": "is fine"}), "holds"),
        (book(undo={}), "needs one of"),
        (book(undo={"nothing": "x", "action": {"verb": "systemd.start", "with": {"unit": "a"}}}), "needs one of"),
        (book(act={}), "either"),
        (book(act={"action": {"verb": "shell.run", "with": {"line": "id"}}}), "verb"),
        (book(act={"action": {"verb": "systemd.start", "with": {}}}), "unit"),
        (book(act={"action": {"verb": "systemd.start", "with": {"unit": "{other}"}}}), "other"),
        (
            book(act={"action": {"verb": "http.call", "with": {"target": "{node}", "method": "GET", "path": "/"}}}),
            "fixed",
        ),
        (book(parameters={"node": {"kind": "text"}}), "kind"),
        (book(parameters={"node": {"kind": "path"}}), "under"),
        (book(parameters={"node": {"kind": "path", "under": ["/var/../etc"]}}), "path"),
        (book(parameters={"node": {"kind": "integer"}}), "least"),
        (book(parameters={"node": {"kind": "choice", "of": ["--force"]}}), "plain words"),
        (book(parameters={"node": {"kind": "name", "default": "-x"}}), "node"),
        (script("sh", "-c", "{node}"), "no shell"),
        (script("/bin/bash", "x"), "no shell"),
        (script("/usr/bin/env", "bash"), "no shell"),
        (script("{node}"), "no place"),
        (script("-x"), "no place"),
        (script("python3", "-c", "print()"), "must run a file"),
        (script("python3"), "must run a file"),
        (script("python3.11", "{node}"), "must run a file"),
        (script("python3", "a.py", files={"a.py": "sha256:" + "0" * 64}), "no file a.py"),
        (script("python3", "../a.py", files={"../a.py": "sha256:" + "0" * 64}), "files"),
        (book(act={"script": {"argv": ["true"]}}), "dry_run"),
    ],
)
def test_what_is_no_runbook_is_said_so(values: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        loaded(values)


def test_a_script_that_was_changed_is_refused() -> None:
    digest = hashlib.sha256(b"print(1)").hexdigest()
    values = script("python3", "a.py", "{node}", files={"a.py": f"sha256:{digest}"})
    text = yaml.safe_dump(values)
    first = schema.load(text, "book", lambda _: b"print(1)")
    assert first.act.files == {"a.py": b"print(1)"}
    with pytest.raises(DataError, match="look at it"):
        schema.load(text, "book", lambda _: b"print(2)")
    assert schema.load(text + "\n# edited\n", "book", lambda _: b"print(1)").hash != first.hash


def test_a_script_that_is_a_link_is_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "rules")
    file = tmp_path / "rules" / "runbooks" / "files" / "recycle-in-steps.py"
    file.rename(tmp_path / "elsewhere.py")
    file.symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(ConfigError, match="no plain file"):
        rules.load(tmp_path / "rules")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "title: &t x\nowner: *t",
        "<<: *x",
        "title: !!python/object/apply:os.system [id]",
        "title: a\ntitle: b",
        "[" * 5000,
        "- a",
        "",
        "x" * 70_000,
        "\x00",
        "title: \t- x\n  - y",
    ],
)
def test_yaml_that_is_more_than_data_is_refused(text: str) -> None:
    began = time.process_time()
    with pytest.raises(DataError):
        schema.load(text, "book", nothing)
    assert time.process_time() - began < 5


def test_matching_takes_linear_time() -> None:
    began = time.process_time()
    for pattern in ("(a+)+", "(a|a)*b", "(a|aa)+c", "(.*)*x", "a?" * 50 + "a" * 50):
        fill.fits(pattern, "a" * 5000)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("pattern", ["cart", "^cart$", "cart|x", "(?i)CART"])
def test_a_pattern_fits_wholly_or_not(pattern: str) -> None:
    assert fill.fits(pattern, "cart")
    for other in ("cart\n", "xcart", "cartx", "cart\nx", ""):
        assert not fill.fits(pattern, other)


# ---------------------------------------------------------------- hostile values and files


def is_plain(word: str) -> bool:
    """Whether a value can be nothing but one plain argument, path segment or JSON string."""
    return re.fullmatch(r"[A-Za-z0-9_/][A-Za-z0-9_.:/@+-]*", word) is not None and ".." not in word


KINDS = [
    Parameter("p", "name"),
    Parameter("p", "name", pattern=".*"),
    Parameter("p", "integer", least=0, most=10**9),
    Parameter("p", "duration", least=1, most=10**9),
    Parameter("p", "choice", choices=("one", "two")),
    Parameter("p", "path", under=("/var/cache", "/srv/app/")),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_value_is_none(text: str) -> None:
    for one in KINDS:
        with pytest.raises(DataError):
            fill.value(one, text)


@pytest.mark.parametrize(
    "path", ["/var/cache/../log", "/var/cachex", "/var/cache/./a", "/var/cache//a", "/var/cache/", "/srv/app/-x"]
)
def test_a_path_stays_where_it_must(path: str) -> None:
    with pytest.raises(DataError):
        fill.value(KINDS[-1], path)
    assert fill.value(KINDS[-1], "/var/cache/apt/a.bin")


def mutated(rng: random.Random) -> str:
    alphabet = string.printable + "\u202e\u2028é\0"
    base = rng.choice([*HOSTILE, "cart", "db-1", "10", "30m", "one", "/var/cache/x", "", "a" * rng.randint(1, 250)])
    letters = list(base)
    for _ in range(rng.randint(0, 4)):
        letters.insert(rng.randint(0, len(letters)), rng.choice(alphabet))
    return "".join(letters)


@pytest.mark.soak
def test_ten_thousand_values_make_no_more_than_words(request: pytest.FixtureRequest) -> None:
    """Whatever is accepted is one plain word; the words of the runbook keep their number and their own beginnings."""
    rng, taken = random.Random(5), 0
    for _ in range(10_000 * (request.config.getoption("soak") or 1)):
        shipped = rng.choice(SHIPPED)
        given = {one.name: mutated(rng) for one in shipped.parameters if rng.random() < 0.8}
        node = mutated(rng)
        try:
            values = fill.values(shipped, node, given)
            act = fill.filled(shipped.act, values)
        except DataError:
            continue
        taken += 1
        assert all(map(is_plain, values.values())), values
        assert len(act.argv) == len(shipped.act.argv)
        assert act.argv[:1] == shipped.act.argv[:1]
        assert all(
            not word.startswith("-") or word == own for word, own in zip(act.argv, shipped.act.argv, strict=True)
        )
        assert set(act.arguments) == set(shipped.act.arguments)
        if "path" in act.arguments:
            assert posixpath.normpath(act.arguments["path"]) == act.arguments["path"]
            assert act.arguments["path"].count("/") == shipped.act.arguments["path"].count("/")
        if "body" in act.arguments:
            sent = json.loads(act.arguments["body"])
            assert set(sent) == set(json.loads(fill.PLACE.sub("0", shipped.act.arguments["body"])))
    assert taken > 100


@pytest.mark.soak
def test_thousands_of_files_are_runbooks_or_are_refused(request: pytest.FixtureRequest) -> None:
    """Bytes changed, lines swapped, values replaced: a DataError, or a runbook that still runs no shell and no option of ours."""
    rng, texts, taken = random.Random(7), [path.read_text() for path in FILES], 0
    scripts = {path.name: path.read_bytes() for path in (FOLDER / "runbooks" / "files").iterdir()}

    def read(name: str) -> bytes:
        return scripts[name] if name in scripts else nothing(name)

    pieces = [
        *HOSTILE,
        "&a",
        "*a",
        "!!python/name:os.system",
        "sh",
        "bash",
        "-c",
        "{node}",
        "[",
        "{",
        ": ",
        "\n  - ",
        "script:",
        "argv:",
    ]
    for _ in range(4_000 * (request.config.getoption("soak") or 1)):
        text = rng.choice(texts)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(text))
            text = text[:at] + rng.choice(pieces) + text[at + rng.randint(0, 12) :]
        try:
            made = schema.load(text, "book", read)
        except DataError:
            continue
        taken += 1
        for act in (made.act, made.dry_run, made.undo):
            if act and act.argv:
                assert act.argv[0].rpartition("/")[2] not in schema._SHELLS
                assert "{" not in act.argv[0]
                assert all(content == scripts[name] for name, content in act.files.items())
            if act and act.verb:
                assert act.verb in schema.VERBS
    assert taken > 100


# ---------------------------------------------------------------- the command line


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path / "home"))
    for line in (["list"], ["check"], ["test"], ["explain", "recycle-pool"], ["schema"]):
        assert cli.run(["rules", *line]) == 0, line
    assert cli.run(["rules", "explain", "no-such"]) == 2
    shutil.copytree(FOLDER, tmp_path / "rules")
    file = tmp_path / "rules" / "runbooks" / "silence.yaml"
    file.write_text(file.read_text().replace("label=service", "label=other"))
    capsys.readouterr()
    assert cli.run(["rules", "test", "--folder", str(tmp_path / "rules")]) == 1
    assert "silence, test 1" in capsys.readouterr().out
    file.write_text("title: x")
    assert cli.run(["rules", "check", "--folder", str(tmp_path / "rules")]) == 2
    assert "silence" in capsys.readouterr().err

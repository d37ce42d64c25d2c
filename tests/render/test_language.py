"""The report in another language: every word of ours, none of anybody else's."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from aiops.domain import Report
from aiops.render import html, language, markdown, svg, text
from aiops.render.language import LANGUAGES, catalogue, of_header, of_text, said, say, speaking

from render import sample
from render.hostile import HOSTILE

CHECKOUT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"\{(\w+)(?::\w)?\}")
OTHERS = [name for name in LANGUAGES if name != language.ENGLISH]
SHANGHAI = ZoneInfo("Asia/Shanghai")
FOLDERS = (CHECKOUT / "aiops" / "render", CHECKOUT / "aiops" / "service")


def spoken() -> Iterator[tuple[str, str]]:
    """(file, words) of every `say("...")` in the code and the templates."""
    for folder in FOLDERS:
        for file in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                said_here = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say"
                if said_here and isinstance(node.args[0], ast.Constant):
                    yield file.name, str(node.args[0].value)
        for file in sorted(folder.rglob("*.j2")):
            for found in re.finditer(r'\bsay\("((?:[^"\\]|\\.)*)"', file.read_text()):
                yield file.name, found[1]


@pytest.mark.parametrize("name", OTHERS)
def test_every_word_of_a_page_is_in_the_catalogue(name: str) -> None:
    known = catalogue(name).words
    assert {(file, words) for file, words in spoken() if words not in known} == set()


@pytest.mark.parametrize("name", OTHERS)
def test_the_catalogue_holds_nothing_else(name: str) -> None:
    """A word is said somewhere, or is what a stage calls a fault, a channel, a kind of event."""
    sources = [
        p
        for folder in ("aiops", "rules")
        for p in (CHECKOUT / folder).rglob("*")
        if p.suffix in {".py", ".j2", ".yaml"}
    ]
    everything = "\n".join(file.read_text() for file in sources).replace("_", " ")
    assert [words for words in catalogue(name).words if words.replace("_", " ") not in everything] == []


@pytest.mark.parametrize("name", OTHERS)
def test_both_languages_have_the_same_places(name: str) -> None:
    for english, words in {**catalogue(name).words, **catalogue(name).sentences}.items():
        assert sorted(PLACE.findall(english)) == sorted(PLACE.findall(words)), english


def test_a_sentence_of_a_stage_is_recognised() -> None:
    with speaking("zh"):
        assert said("lost in Cart.get: 100% -> 0% of its spans write 'GET /a; b'") == (
            "Cart.get 中消失：写出 'GET /a; b' 的 span 由 100% 变为 0%"
        )
        assert said("nobody wrote this") == "nobody wrote this"
        assert said("{0.__class__} {node}") == "{0.__class__} {node}"
        assert say("from {source}", source="{0} {oops}") == "来源 {0} {oops}"


def test_a_language_that_is_not_there_is_refused(found: Report) -> None:
    with pytest.raises(ValueError, match="no language 'tlh'"):
        html.html(found, language="tlh")


def test_the_language_ends_with_the_page(found: Report) -> None:
    html.html(found, language="zh")
    assert say("Ranked causes") == "Ranked causes"
    assert html.html(found) == html.html(sample.found())


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,de;q=0.9,zh-TW;q=0.5", "zh"),
        ("zh;q=0,en;q=0.1", "en"),
        ("", "en"),
        ("*", "en"),
        ("zh;q=0.9;q=2, \x00;;;q=,," + "a" * 9999, "en"),
    ],
)
def test_the_browser_says_which_language(header: str, wanted: str) -> None:
    assert of_header(header) == wanted


def test_the_question_says_which_language() -> None:
    assert of_text("为什么 checkout 很慢？") == "zh"
    assert of_text("why is checkout slow?") == "en"


# ---------------------------------------------------------------- nothing is left in English


class Words(HTMLParser):
    """What a page says outside of names, code and what came from outside."""

    SILENT = ("style", "script", "code", "pre", "title")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._quiet = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._quiet += tag in self.SILENT
        self.said += [value for key, value in attrs if key in {"aria-label", "title", "alt"} and value]

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= tag in self.SILENT

    def handle_data(self, data: str) -> None:
        if not self._quiet:
            self.said.append(data)


# Three words in a row, of letters alone: a sentence. Names of services, metrics and operations have other signs in them.
ENGLISH = re.compile(r"(?<![\w.'/#\[-])[A-Za-z][a-z]+(?: [a-z]+){2,}(?![\w.'/-])")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's report in Chinese, in each form."""
    folder = tmp_path_factory.mktemp("zh")
    env = {**os.environ, "AIOPS_HOME": str(folder / "home"), "AIOPS_MODEL__URL": ""}
    for form in ("html", "md", "txt"):
        command = [Path(sys.executable).with_name("aiops"), "demo", "--lang", "zh", "-o", folder / f"report.{form}"]
        subprocess.run(command, check=True, env=env, cwd=folder, stdin=subprocess.DEVNULL)
    return folder


def quoted(line: str) -> str:
    """Without what a log line said."""
    return re.sub(r"'.*'|`.*`|'.*…", "", line)


def test_no_english_sentence_is_left(demo: Path) -> None:
    page = (demo / "report.html").read_text()
    assert '<html lang="zh-CN">' in page
    told = [quoted(words) for words in Words(page).said]
    assert [found[0] for words in told if (found := ENGLISH.search(words))] == []
    lines = [quoted(line) for line in (demo / "report.md").read_text().splitlines()]
    assert [line for line in lines if ENGLISH.search(line)] == []
    # A terminal's lines are wrapped, also within what a log said: so the whole, without the examples.
    told = re.sub(r"例如 .*?(?=\n {2}\d\d:|\n\n)", "", (demo / "report.txt").read_text(), flags=re.DOTALL)
    assert ENGLISH.search(re.sub(r"'.*?'(?= 的| \w|$)", "", " ".join(told.split()))) is None


@pytest.mark.parametrize("name", OTHERS)
def test_every_repair_that_ships_can_be_told(name: str) -> None:
    for file in sorted((CHECKOUT / "rules" / "runbooks").glob("*.yaml")):
        told = yaml.safe_load(file.read_text())
        with speaking(name):
            for words in filter(None, (told["title"], told["undo"].get("nothing"))):
                assert said(words) != words, file.name


def test_what_is_not_ours_stays_as_it_is() -> None:
    report = sample.found()
    for form in (html.html, markdown.markdown, text.text):
        told = form(report, language="zh")
        assert "orders" in told
        assert "connection pool exhausted" in told
    assert "根因排名" in html.html(report, language="zh")
    assert "called by" not in svg.svg(report, language="zh")


def test_a_hostile_report_is_as_harmless_in_every_language() -> None:
    for attack in HOSTILE.values():
        page = html.html(sample.filled(sample.found(), attack), language="zh").replace(html.script(), "", 1)
        assert page.count("<script") == page.count("<script></script>") == 1
        assert re.findall("<(?:img|base)", page) == []


# ---------------------------------------------------------------- times


def test_moments_of_a_sentence_are_told_in_the_readers_zone() -> None:
    report = sample.telling_times()
    first, second, _ = text.text(report, tz=SHANGHAI).splitlines()[:3]
    assert first.endswith("since 2026-03-15 00:30:00 CST")
    assert second == "Path: a 23:59:30 -> b 00:01:00 (probability 0.50)"
    assert text.text(report).startswith(report.summary[0])


def test_what_only_looks_like_a_moment_is_left_alone() -> None:
    report = sample.telling_times("Cause: 99:99:99Z, x10:00:00Z since 10:00:00Zulu")
    assert text.text(report, tz=SHANGHAI).startswith(report.summary[0])

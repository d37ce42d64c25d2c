"""Every form of the report: complete, deterministic, harmless."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pytest
from markdown_it import MarkdownIt

from aiops.domain import Report, Verdict
from aiops.render import html, markdown, svg, text
from aiops.render.clean import width

from render import sample
from render.hostile import HOSTILE

FORMS = {"text": text.text, "markdown": markdown.markdown, "html": html.html, "svg": svg.svg}
FETCHING = {
    "src",
    "srcset",
    "data",
    "poster",
    "action",
    "formaction",
    "background",
    "cite",
    "ping",
    "manifest",
    "style",
}
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "section", "h1", "h2", "h3", "p", "span", "strong", "b",
    "a", "ol", "ul", "li", "dl", "dt", "dd", "div", "br", "wbr", "svg", "rect", "desc", "path", "text", "circle", "g", "figure",
    "figcaption", "pre", "code", "details", "summary", "table", "thead", "tbody", "tr", "th", "td", "time",
}  # fmt: skip


def without_ours(source: str) -> str:
    """A page without the one script that it may run."""
    ours = f"<script>{html.script()}</script>"
    assert source.count(ours) == 1
    return source.replace(ours, "")


class Page(HTMLParser):
    """What a browser would make of a page: elements in order, their attributes, their words."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(params=HOSTILE)
def attack(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]


# ---------------------------------------------------------------- what is shown


def test_the_first_three_lines_are_the_summary(found: Report):
    assert text.text(found).splitlines()[:2] == [found.summary[0], found.summary[1]]
    assert markdown.markdown(found).startswith(f"**{found.summary[0]}**")
    assert f"<h1>{found.summary[0]}</h1>" in html.html(found)


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_the_report_is_complete(form: str, found: Report):
    shown = FORMS[form](found)
    shown = " ".join("".join(Page(shown).words).split()) if form == "html" else shown
    for words in (
        "orders-db",
        "87%",
        "11%",
        "connection pool exhausted",
        "aiops replay 5f0c2a9be1d47736",
        "--to-revision=41",
        "504",
    ):
        assert words.replace("-", "\\-") in shown or words in shown, words
    assert "waits for orders-db, which began a minute earlier" in " ".join(shown.split())


def test_the_text_fits_the_terminal(found: Report):
    narrow = text.text(sample.chinese(), columns=60)
    verdict, rest = narrow.splitlines()[:3], narrow.splitlines()[3:]
    assert len(verdict) == 3
    assert all(width(line) <= 60 for line in rest if not line.startswith("  $ "))
    assert "\x1b" not in narrow
    assert "Proposed repair (not run)" in text.text(found)


def test_the_picture_shows_the_path_and_the_charts(found: Report):
    words = [e.text or "" for e in ET.fromstring(svg.svg(found)).iter("{http://www.w3.org/2000/svg}text")]
    at = [words.index(node) for node in ("orders-db", "orders", "checkout", "frontend")]
    assert at == sorted(at)
    assert {"10:37:00", "called by", "0.93 +1 min", "onset", "noticed", "2.4 s"} <= set(words)


def test_the_page_draws_the_path_in_order(found: Report):
    path = html.html(found).split('<ol class="path">')[1].split("</ol>")[0]
    assert re.findall(r'<strong class="name">(.*?)</strong>', path) == ["orders-db", "orders", "checkout", "frontend"]
    assert "10:37:00" in path


def test_an_inconclusive_report_names_no_cause_and_leads_with_its_gaps(inconclusive: Report, found: Report):
    page = html.html(inconclusive)
    assert "Cause found" not in page
    assert 'class="path"' not in page
    assert "refused the connection" in page
    undecided = html.html(replace(found, verdict=Verdict.INCONCLUSIVE))
    assert 'class="path"' not in undecided
    assert undecided.index('id="gaps"') < undecided.index('id="causes"')
    for form in FORMS.values():
        assert "None" not in form(inconclusive)


def test_a_symptom_without_a_node_is_called_what_it_is(found: Report):
    first, *rest = found.root_causes
    path = replace(first.path, nodes=(*first.path.nodes[:-1], "_symptom"))
    report = replace(found, root_causes=(replace(first, path=path), *rest))
    for name, form in FORMS.items():
        shown = form(report)
        assert "_symptom" not in shown, name
        assert "the whole system" in shown, name


def test_noise_is_no_evidence(found: Report):
    first, *rest = found.root_causes
    faint = replace(first.evidence[0], summary="a whisper", weight=1e-6)
    report = replace(found, root_causes=(replace(first, evidence=(*first.evidence, faint)), *rest))
    for form in FORMS.values():
        assert "whisper" not in form(report)


def test_times_follow_the_zone(found: Report):
    for name, form in FORMS.items():
        assert "11:37:00" in form(found, tz=ZoneInfo("Europe/Berlin")), name


def test_chinese_is_shown_as_it_is():
    for form in FORMS.values():
        assert "订单数据库" in form(sample.chinese())


# ---------------------------------------------------------------- the same every time


def test_same_report_same_bytes():
    code = (
        "import hashlib; from render import sample; from aiops.render import html, markdown, svg, text\n"
        "r = sample.found()\n"
        "print(*(hashlib.sha256(f(r).encode()).hexdigest() for f in (html.html, markdown.markdown, svg.svg, text.text)))"
    )
    tests = str(Path(__file__).parents[1])
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": tests, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("2", "America/New_York"))
    }
    assert len(told) == 1


def test_the_order_of_a_mapping_does_not_matter(found: Report):
    turned = replace(found, versions=MappingProxyType(dict(reversed(found.versions.items()))))
    assert html.html(turned) == html.html(found)


# ---------------------------------------------------------------- self-contained


def test_the_page_may_load_nothing(found: Report):
    page = Page(html.html(found))
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == html.content_security_policy()
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "@import" not in html.style()
    assert "url(" not in html.style()
    assert f"<style>{html.style()}</style>" in html.html(found)
    assert f"<script>{html.script()}</script>" in html.html(found)


def test_the_page_is_small(found: Report):
    assert len(html.html(found).encode()) < 400_000


def test_a_command_is_never_cut(found: Report):
    assert found.remediation
    long = replace(found, remediation=replace(found.remediation, argv=("echo", "x" * 5000)))
    for form in (html.html, markdown.markdown, text.text):
        assert "x" * 5000 in form(long)


def test_the_largest_page_is_small(found: Report):
    huge = replace(
        found,
        events=found.events * 500,
        anomalies=found.anomalies * 500,
        gaps=found.gaps * 500,
        charts=found.charts * 20,
        dropped=found.dropped * 900,
    )
    assert len(html.html(replace(sample.filled(huge, "<" * 5000), remediation=found.remediation)).encode()) < 400_000


def test_ids_are_unique_and_references_lead_somewhere(found: Report):
    elements = Page(html.html(found)).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
        if (attributes.get("href") or "").startswith("#"):
            assert (attributes["href"] or "")[1:] in ids


def test_pictures_speak_or_are_silent_on_purpose(found: Report):
    for tag, attributes in Page(html.html(found)).elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or (
                attributes["role"] == "img" and attributes["aria-labelledby"]
            )


# ---------------------------------------------------------------- harmless


def test_hostile_text_is_only_text_in_the_page(attack: str, rich: Report):
    source = html.html(sample.filled(rich, attack))
    source.encode("utf-8")
    page = Page(without_ours(source))
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    for tag, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in FETCHING}, (tag, attributes)
        if "href" in attributes:
            target = attributes["href"] or ""
            assert tag == "a"
            assert target.startswith("#") or urlsplit(target).scheme in {"http", "https"}
    shown = "".join(page.words)
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]", shown
    )
    assert not re.search(r"<t[dh][^>]*>[=+@]", source)


@pytest.mark.parametrize("url", ["javascript:alert(1)", 'https://good.example/?a=1&b="><script>'])
def test_links_are_web_links(url: str, found: Report):
    first, *rest = found.root_causes
    report = replace(found, root_causes=(replace(first, evidence=(replace(first.evidence[0], link=url),)), *rest))
    hrefs = [a["href"] for t, a in Page(html.html(report)).elements if t == "a" and a.get("href") == url]
    assert hrefs == ([] if url.startswith("javascript") else [url])
    assert "<script" not in without_ours(html.html(report))


def test_hostile_text_is_only_text_in_markdown(attack: str, rich: Report):
    source = markdown.markdown(sample.filled(rich, attack))
    source.encode("utf-8")
    calm = markdown.markdown(sample.filled(rich, "calm"))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(source)
    blocks = [t.type for t in tokens]
    flat = [c for t in tokens for c in (t.children or [t])]
    tables = sum(any(trial.coverage is not None for trial in one.trials) for one in rich.forecasts)
    assert len([t for t in blocks if t == "table_open"]) == tables or not attack
    assert not {"html_block", "html_inline", "image", "link_open", "fence", "blockquote_open", "hr"} & {
        *blocks, *(c.type for c in flat)
    }  # fmt: skip
    if attack:
        assert [t.type for t in tokens if t.type == "heading_open"] == ["heading_open"] * calm.count("## ")
    prose = "".join(c.content for c in flat if c.type == "text")
    assert not re.search(r"@\w|https?://|www\.\w", prose)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", source)


def test_a_code_span_holds_any_text():
    for words in ("a`b", "``", "`", "a ``` b", "x", "订单"):
        (line,) = [t for t in MarkdownIt().parse(markdown.code(words)) if t.type == "inline"]
        assert [(c.type, c.content) for c in line.children or []] == [("code_inline", words)]
    assert markdown.code("") == ""


def test_hostile_text_is_only_text_in_the_terminal(attack: str, rich: Report):
    shown = text.text(sample.filled(rich, attack))
    shown.encode("utf-8")
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]", shown
    )
    assert len(shown.splitlines()) < 900


def test_hostile_text_is_only_text_in_the_picture(attack: str, rich: Report):
    source = svg.svg(sample.filled(rich, attack))
    tags = {e.tag.rpartition("}")[2] for e in ET.fromstring(source).iter()}
    assert tags <= {"svg", "title", "style", "rect", "text", "path", "g", "desc", "circle"}
    assert "href" not in re.sub(r">[^<]*<", "><", source)


@pytest.mark.parametrize("form", [text.text, markdown.markdown, html.html])
def test_costs_can_be_added_by_hand_and_guesses_and_cuts_are_named(form: Callable[[Report], str]) -> None:
    report = sample.found()
    first = report.root_causes[0]
    path = replace(first.path, edges=(replace(first.path.edges[0], source="learned"), *first.path.edges[1:]))
    edge = path.edges[0]
    told = " ".join(form(replace(report, root_causes=(replace(first, path=path),), dropped=(edge,))).split())
    for cost in path.costs:
        assert f"{cost:.2f} " in told
    assert f"{path.costs[0]:.2f} guessed" in told
    assert f"= {path.cost:.2f}, probability" in told
    assert "eft out" in told


def test_the_page_tells_of_each_edge_its_cost_source_lag_and_when_it_was_seen() -> None:
    report = sample.found()
    first, *rest = report.root_causes
    seen, guess, stated = first.path.edges
    edges = (
        replace(seen, last_seen=sample.at(90)),
        replace(guess, source="learned"),
        replace(stated, last_seen=sample.at(90 - 24 * 60)),
    )
    path = replace(first.path, edges=edges)
    page = html.html(replace(report, root_causes=(replace(first, path=path), *rest)))
    links = [
        " ".join(re.sub("<[^>]*>", " ", part).split())
        for part in re.findall(r'<div class="link[^>]*>(.*?)</div>', page, re.DOTALL)
    ]
    assert links == [
        "called by cost 0.07, strength 0.93, +1 min, from traces, seen 10:30:00",
        "called by cost 0.13, strength 0.88, +1 min, guessed",
        "called by cost 0.21, strength 0.81, +2 min, from service-graph, seen 2026-03-13",
    ]
    assert page.count('<div class="link guess">') == 1


def test_how_often_it_came_back_is_told() -> None:
    report = replace(sample.found(), run={"episode": "e", "alerts": "14", "recurrences": "2"})
    for form in (text.text, markdown.markdown):
        assert "14 alerts, came back 2 times" in form(report)
        assert "14 条告警, 复发 2 次" in form(report, language="zh")
        assert "came back" not in form(replace(report, run={"alerts": "1", "recurrences": "0"}))

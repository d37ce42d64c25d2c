"""The pages that are not reports: the list of diagnoses, what to show when a link finds nothing, and signing in. Everything is escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import cache

from jinja2 import Environment, Template
from markupsafe import Markup

from aiops.schema.http import Diagnosis

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #8884; vertical-align: top }
td:last-child { overflow-wrap: anywhere }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title><style>{{ style }}</style></head>
<body><main><h1>{{ title }}</h1>
{% if note %}<p>{{ note }}</p>{% endif %}
{% if rows %}<table><thead><tr><th scope="col">When</th><th scope="col">Status</th><th scope="col">What</th></tr></thead><tbody>
{% for d in rows %}<tr><td>{% if d.created %}<time datetime="{{ d.created.isoformat() }}">{{ d.created.strftime("%Y-%m-%d %H:%M:%S") }} UTC</time>{% endif %}</td>
<td>{{ d.status.value }}</td>
<td>{% if d.report_url %}<a href="{{ d.report_url }}">{{ d.summary or d.id }}</a>{% else %}{{ d.error or d.summary or d.id }}{% endif %}</td></tr>
{% endfor %}</tbody></table>{% else %}<p>No diagnosis yet. Point an Alertmanager receiver at <code>/v1/webhooks/alertmanager</code>, or run <code>aiops diagnose</code>.</p>{% endif %}
{% if older is not none %}<p><a href="/?offset={{ older }}">Older</a></p>{% endif %}
</main></body></html>
"""

_LOGIN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in</title><style>{{ style }}</style></head>
<body><main><h1>Sign in</h1>
{% if note %}<p role="alert">{{ note }}</p>{% endif %}
<form method="post" action="/login">
<p><label>Token <input type="password" name="token" required autofocus autocomplete="current-password"></label></p>
<input type="hidden" name="next" value="{{ wanted }}">
<p><button>Sign in</button></p></form>
</main></body></html>
"""

# Never `//host` nor `/\\host`, which browsers take for another server.
LOCAL_PATH = re.compile(r"/(?:[A-Za-z0-9_.~%!$&'()*+,;=:@?-][A-Za-z0-9_.~%!$&'()*+,;=:@?/-]*)?")

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CSP = f"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; style-src 'sha256-{_HASH}'"


@cache
def _template(text: str) -> Template:
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def listing(title: str, rows: Iterable[Diagnosis], note: str = "", older: int | None = None) -> str:
    """A page with one row a diagnosis."""
    return _template(_PAGE).render(title=title, rows=list(rows), note=note, older=older, style=Markup(STYLE))  # noqa: S704 - our constant


def login(wanted: str, note: str = "") -> str:
    """The form that asks for a token and leads on to the path `wanted`."""
    return _template(_LOGIN).render(wanted=wanted, note=note, style=Markup(STYLE))  # noqa: S704 - our constant

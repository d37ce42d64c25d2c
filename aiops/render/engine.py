"""The template engine that pages are made with: everything is cleaned and escaped unless this house made it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from aiops.render.clean import cell, clean, link
from aiops.render.language import said, say, tag
from aiops.render.values import between, figure, percent, quantity
from aiops.units import clock, stamp

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment(package: str) -> Environment:
    """For the templates of a package; a change of one shows at the next start."""
    # Imported here: the other forms need no template engine, and `aiops --help` needs none of this.
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Every text that a template prints goes through `clean`; what is Markup was made, and escaped, by us.
        finalize=lambda value: clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    made.filters |= {
        "cell": cell,
        "clean": clean,
        "link": link,
        "percent": percent,
        "figure": figure,
        "stamp": stamp,
        "clock": clock,
        "said": said,
    }
    made.globals |= {
        "say": say,
        "tag": tag,
        "percent": percent,
        "quantity": quantity,
        "between": between,
        "inline": Markup,
    }
    return made


def source(package: str, name: str) -> str:
    """A file among the templates of a package, as it is."""
    made = environment(package)
    assert made.loader is not None
    return made.loader.get_source(made, name)[0]

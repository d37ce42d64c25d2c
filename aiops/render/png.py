"""The picture as PNG, for chats that show no SVG. Drawn by resvg with the fonts of this machine, light, at twice the size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from functools import cache
from pathlib import Path

from aiops.domain import Report
from aiops.render.language import ENGLISH
from aiops.render.svg import svg

ZOOM = 2.0
FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path("~/.local/share/fonts"),
    Path("~/.fonts"),
)
# The first family whose first file is there is taken; resvg draws no letter in a family that is not.
_SANS = (
    ("Inter", ("Inter-Regular.otf", "Inter-SemiBold.otf", "Inter-Bold.otf")),
    ("Noto Sans", ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf")),
    ("DejaVu Sans", ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")),
    ("Liberation Sans", ("LiberationSans-Regular.ttf", "LiberationSans-Bold.ttf")),
)
# Of these one more, whichever is there, for letters that the first family lacks.
_CHINESE = (
    "NotoSansSC-Regular.otf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
)


class NoFont(LookupError):
    """This machine has no font that words could be drawn with; the message says how to mend it."""


def png(
    report: Report, *, tz: tzinfo = UTC, language: str = ENGLISH, folders: Sequence[Path] = FOLDERS, zoom: float = ZOOM
) -> bytes:
    """Raises NoFont where this machine has no font that the words could be drawn with."""
    # Imported here: only a chat needs the picture, `aiops --help` does not.
    import resvg_py

    family, files = _fonts(tuple(folders))
    drawn = svg(report, tz=tz, language=language)
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=drawn,
            zoom=zoom,
            skip_system_fonts=True,
            font_files=list(files),
            font_family=family,
            sans_serif_family=family,
        )
    )


@cache
def _fonts(folders: tuple[Path, ...]) -> tuple[str, tuple[str, ...]]:
    """(family, its files and one for Chinese)."""
    wanted = {name for _, names in _SANS for name in names} | set(_CHINESE)
    found: dict[str, str] = {}
    for folder in folders:
        for file in sorted(folder.expanduser().rglob("*")):
            if file.name in wanted:
                found.setdefault(file.name, str(file))
    chinese = [found[name] for name in _CHINESE if name in found][:1]
    for family, names in _SANS:
        if names[0] in found:
            return family, (*(found[name] for name in names if name in found), *chinese)
    raise NoFont(
        f"no font to draw a picture with in {', '.join(map(str, folders))}: install fonts-dejavu-core, and fonts-droid-fallback for Chinese"
    )

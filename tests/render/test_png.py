"""The picture for chats."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from aiops.domain import Report
from aiops.render import png

import servers
from render import sample

# This machine's, and what `make servers` has fetched for one that has none.
FONTS = (*png.FOLDERS, servers.parts.ROOT / "usr/share/fonts")


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG."""
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    wide, high = struct.unpack(">II", picture[16:24])
    return wide, high


def test_the_picture_is_twice_the_size_and_the_same_each_time(found: Report) -> None:
    first = png.png(found, folders=FONTS)
    assert size(first)[0] == 2 * 1128
    assert first == png.png(sample.found(), folders=FONTS)
    assert size(png.png(found, folders=FONTS, zoom=1.0))[0] == 1128


def test_words_are_drawn(found: Report) -> None:
    """Without a font resvg draws none and says nothing: then both languages would look the same."""
    assert png.png(found, language="zh", folders=FONTS) != png.png(found, folders=FONTS)


def test_a_hostile_report_can_be_drawn() -> None:
    assert size(png.png(sample.filled(sample.found(), "</svg><script>\x00&#0;"), folders=FONTS))


def test_without_a_font_there_is_no_picture(found: Report, tmp_path: Path) -> None:
    with pytest.raises(png.NoFont, match="fonts-dejavu-core"):
        png.png(found, folders=[tmp_path])

"""Tables that people take away into a spreadsheet: `?format=csv` of a list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import Response

from aiops.render import sheet


def answer(name: str, heads: Sequence[str], rows: Iterable[Sequence[sheet.Value]]) -> Response:
    """A table as a file of that name."""
    return download(name, sheet.sheet(heads, rows))


def download(name: str, text: str) -> Response:
    """CSV as a file of that name."""
    kept = {"content-disposition": f'attachment; filename="aiops-{name}.csv"'}
    return Response(text.encode("utf-8", "replace"), media_type=sheet.MEDIA_TYPE, headers=kept)

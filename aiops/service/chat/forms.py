"""Forms that come in from a chat platform, whatever their bytes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias
from urllib.parse import parse_qs

from aiops.service.chat.signatures import Distrusted

FIELDS = 40

Form: TypeAlias = Mapping[bytes, bytes]


def read(body: bytes) -> Form:
    """The first value of each field. Distrusted for what is no form: nobody who signs would send it."""
    exact = "surrogateescape"  # so that what is no UTF-8 is compared as the bytes it is
    try:
        told = parse_qs(body.decode("utf-8", exact), keep_blank_values=True, max_num_fields=FIELDS, errors=exact)
    except ValueError as error:
        raise Distrusted("the body is no form") from error
    return {name.encode("utf-8", exact): values[0].encode("utf-8", exact) for name, values in told.items()}


def text(form: Form, name: bytes) -> str:
    """The field as text; "" where there is none."""
    return form.get(name, b"").decode("utf-8", "replace")

"""A runbook's words with values in them: each value checked by its parameter's kind, each word one argument, never a line for a shell.

A value holds no control character, no blank at an end, nothing that a shell would expand, and never begins with a dash; so
that it can be no option, no path that leads elsewhere and no pattern, whatever program its word reaches. Patterns are RE2's,
matched in linear time.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Mapping
from functools import lru_cache

from aiops.domain import Act, Parameter, Runbook
from aiops.errors import DataError

LONGEST_VALUE = 200
LONGEST_PATTERN = 500
PLACE = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,198}[A-Za-z0-9])?")
_PATH = re.compile(r"(?:/[A-Za-z0-9_.][A-Za-z0-9_.@:+-]{0,99}){1,20}")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,14}")
_DURATION = re.compile(r"[1-9][0-9]{0,5}[smhd]")
_CHOICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@+-]{0,99}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def fits(pattern: str, text: str) -> bool:
    """Whether a pattern of RE2 fits the whole text; "" fits any. DataError for what is no pattern."""
    return not pattern or bool(_match(pattern, text))


@lru_cache(4096)
def _match(pattern: str, text: str) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(pattern) > LONGEST_PATTERN:
        raise DataError(f"a pattern has {len(pattern)} characters; at most {LONGEST_PATTERN} are allowed")
    try:
        data = text.encode()
        ends = struct.pack("=2i", 0, len(data))
        # By its bytes: for `pa.array` all of pandas would be loaded, at every start.
        held = pa.StringArray.from_buffers(1, pa.py_buffer(ends), pa.py_buffer(data))
        found = pc.match_substring_regex(held, pattern=rf"(?s)\A(?:{pattern})\z")
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise DataError(f"{pattern!r} is no pattern of RE2: {error}") from error
    return bool(found[0].as_py())


def seconds(text: str) -> int:
    """A duration, as `30m`, in seconds. DataError for what is none."""
    if not _DURATION.fullmatch(text):
        raise DataError(f"{text!r} is no duration; write 90s, 30m, 2h or 1d")
    return int(text[:-1]) * _SECONDS[text[-1]]


def value(parameter: Parameter, text: str) -> str:
    """The value as it is. DataError, with what is allowed, when it is none of its parameter."""
    problem = _problem(parameter, text)
    if not problem and not fits(parameter.pattern, text):
        problem = f"fits not {parameter.pattern}"
    if problem:
        raise DataError(f"{parameter.name} = {text[:80]!r}: {problem}")
    return text


def _problem(parameter: Parameter, text: str) -> str:
    if not text or len(text) > LONGEST_VALUE:
        return f"must have 1 to {LONGEST_VALUE} characters"
    match parameter.kind:
        case "name":
            good = _NAME.fullmatch(text) is not None and ".." not in text
            return "" if good else "must be of letters, digits and . _ @ -, and begin and end with a letter or digit"
        case "integer":
            good = _INTEGER.fullmatch(text) is not None and parameter.least <= int(text) <= parameter.most
            return "" if good else f"must be a whole number from {parameter.least} to {parameter.most}"
        case "duration":
            good = _DURATION.fullmatch(text) is not None and parameter.least <= seconds(text) <= parameter.most
            return "" if good else f"must be a duration of {parameter.least} to {parameter.most} seconds, as 30m"
        case "choice":
            return "" if text in parameter.choices else f"must be one of {', '.join(parameter.choices)}"
        case "path":
            inside = any(text == one or text.startswith(f"{one.rstrip('/')}/") for one in parameter.under)
            good = _PATH.fullmatch(text) is not None and posixpath.normpath(text) == text and inside
            return "" if good else f"must be a plain absolute path below {', '.join(parameter.under)}"
    raise AssertionError(f"no kind {parameter.kind}")


def is_choice(text: str) -> bool:
    """Whether a runbook may offer this text as a choice."""
    return _CHOICE.fullmatch(text) is not None


def values(runbook: Runbook, node: str, given: Mapping[str, str]) -> dict[str, str]:
    """Every parameter's value: as given, else the node or the default. DataError for what is missing, unknown or not allowed."""
    if unknown := sorted(set(given) - {one.name for one in runbook.parameters}):
        raise DataError(f"{runbook.name} has no parameter {', '.join(unknown)}")
    found = {}
    for one in runbook.parameters:
        text = given.get(one.name) or (node if one.source == "node" else one.default)
        if not text:
            raise DataError(f"{runbook.name} needs a value for {one.name}")
        found[one.name] = value(one, text)
    return found


def filled(act: Act, known: Mapping[str, str]) -> Act:
    """The act with values in its words. DataError when a word would become an option that the runbook doesn't spell."""
    argv = tuple(_word(word, known) for word in act.argv)
    return Act(argv, act.files, act.verbs, act.verb, {k: _word(v, known) for k, v in act.arguments.items()})


def _word(word: str, known: Mapping[str, str]) -> str:
    full = PLACE.sub(lambda place: known[place[1]], word)
    if full.startswith("-") and not word.startswith("-"):
        raise DataError(f"{full!r} would be an option")
    return full


def text(template: str, known: Mapping[str, str]) -> str:
    """A template of words or of PromQL with values in it; a value of a known parameter can hold no quote."""
    return PLACE.sub(lambda place: known.get(place[1], place[0]), template)


def words(act: Act) -> tuple[str, ...]:
    """What an act comes to, as people see it: the arguments, or the verb with its own."""
    return act.argv or (act.verb, *(f"{k}={v}" for k, v in sorted(act.arguments.items())))

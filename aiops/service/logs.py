"""The program's log: lines for people in a terminal, JSON for whoever collects them, and never a secret in either.

Each line says which diagnosis it belongs to, whatever module wrote it: that goes with the context (`telemetry`)."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from aiops import telemetry
from aiops.redaction import Formatter, redact
from aiops.service.metrics import Registry


class Lines(Formatter):
    """A line for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text, diagnosis = super().format(record), telemetry.diagnosis_id()
        return f"{text} [{diagnosis}]" if diagnosis and diagnosis not in text else text


class Json(logging.Formatter):
    """One JSON object on one line: at, level, logger, message, and where there is one diagnosis and error (a traceback)."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if diagnosis := telemetry.diagnosis_id():
            told["diagnosis"] = diagnosis
        if record.exc_info:
            told["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(told, ensure_ascii=False)


def to_stderr(form: str, level: str) -> None:
    """Writes the log there from now on, as `text`, `json` or `auto` (text in a terminal, else JSON), from a level on."""
    handler = logging.StreamHandler()
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler.setFormatter(Json() if as_json else Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler])


class Counted(logging.Handler):
    """Counts what is logged while it is attached (`with`)."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry

    def emit(self, record: logging.LogRecord) -> None:
        self._registry.count("aiops_log_messages_total", level=record.levelname.lower())

    def __enter__(self) -> Counted:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

"""Traces of diagnoses, sent to an OpenTelemetry collector: one span for each, and in it one for each stage.

Nothing of OpenTelemetry is imported until a collector is named. A collector that is away costs spans and a warning in the log, never
a diagnosis. Spans say which diagnosis and stage, how long, and whether it failed; nothing of what was diagnosed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiops import __version__
from aiops.errors import ConfigError
from aiops.redaction import redact
from aiops.telemetry import Watcher

LAST_S = 2  # what the collector gets at the end for the last spans, and for one request at any time
ID = "aiops.diagnosis.id"


@contextmanager
def watching(url: str, instance: str, token: str = "") -> Iterator[tuple[Watcher, ...]]:
    """Who watches diagnoses, to give to a worker; nobody where `url` is empty.

    url: where the collector takes OTLP over HTTP, without the path /v1/traces. Raises ConfigError without the extra `otel`."""
    if not url:
        yield ()
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import Status, StatusCode
    except ModuleNotFoundError as error:
        raise ConfigError("trace.url needs the extra 'otel': pip install '.[otel]' in the checkout") from error

    # Named in full, so that no variable of the environment has a say.
    about = {"service.name": "aiops", "service.version": __version__, "service.instance.id": instance}
    headers = {"authorization": f"Bearer {token}"} if token else {}
    exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", headers=headers, timeout=LAST_S)
    provider = TracerProvider(resource=Resource(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("aiops", __version__)

    @contextmanager
    def span(diagnosis_id: str, name: str) -> Iterator[None]:
        with tracer.start_as_current_span(
            name, attributes={ID: diagnosis_id}, record_exception=False, set_status_on_exception=False
        ) as current:
            try:
                yield
            except BaseException as error:
                current.set_status(Status(StatusCode.ERROR, redact(f"{type(error).__name__}: {error}")))
                raise

    try:
        yield (span,)
    finally:
        provider.force_flush(LAST_S * 1000)
        provider.shutdown()

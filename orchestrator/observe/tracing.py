"""OpenTelemetry traces: spans of what Kafka has, given to the SDK's exporter, which sends them from a thread of its own.

Off unless `traces_endpoint` is set, and then the extra `otel` must be there: nothing of OpenTelemetry is imported otherwise. What
the settings do not say (headers for a collector that wants a token, certificates, queue and batch sizes) OpenTelemetry's own
OTEL_EXPORTER_OTLP_* and OTEL_BSP_* variables do.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from orchestrator import __version__
from orchestrator.errors import UsageError

_STOP_S: Final = 3.0  # for the last spans at the end; a collector that does not answer must not keep a worker from stopping
_NS: Final = 1_000_000  # in a millisecond


class Span(Struct):
    """One span, made when its beginning was: `began` in ms UTC. Ids are hex digits. No attribute says who the customer is."""

    name: str
    kind: Literal["consumer", "producer"]
    trace_id: str
    span_id: str
    parent: str
    began: int
    attributes: dict[str, Any]
    failure: str = ""  # one of names.Reason


class Tracer:
    """Hands spans over to the SDK. One a worker; for the loop's thread only."""

    def __init__(self, endpoint: str, app: str, worker: str) -> None:
        """`endpoint` is the whole OTLP/HTTP address, such as http://collector:4318/v1/traces. Raises UsageError."""
        if not endpoint.startswith(("http://", "https://")):
            raise UsageError(
                f"traces_endpoint {endpoint} is no http or https address",
                next_step="name the whole address, for example http://localhost:4318/v1/traces",
            )
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.id_generator import IdGenerator
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        except ImportError:
            raise UsageError(
                "traces_endpoint is set, but OpenTelemetry is not installed",
                next_step="pip install 'journey-orchestrator[otel]'",
            ) from None

        class Given(IdGenerator):
            """Gives the id that was set for the next span."""

            span_id = 0

            def generate_span_id(self) -> int:
                return self.span_id

            def generate_trace_id(self) -> int:
                raise AssertionError("every span has a parent, which tells its trace")

        self._api = trace
        self._ids = Given()
        who = {"service.name": app, "service.instance.id": worker, "service.version": __version__}
        # The producer of an event decides which traces are recorded: what comes here is.
        self._provider = TracerProvider(
            resource=Resource.create(who), id_generator=self._ids, sampler=ALWAYS_ON, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("orchestrator", __version__)
        self._kinds: Mapping[str, Any] = {"consumer": trace.SpanKind.CONSUMER, "producer": trace.SpanKind.PRODUCER}

    def emit(self, spans: Iterable[Span], ended: int) -> None:
        """Take spans that ended at an instant, ms UTC. Does not block: where the queue is full the oldest are dropped."""
        api = self._api
        for span in spans:
            sampled = api.TraceFlags(api.TraceFlags.SAMPLED)
            above = api.SpanContext(int(span.trace_id, 16), int(span.parent, 16), is_remote=True, trace_flags=sampled)
            self._ids.span_id = int(span.span_id, 16)
            made = self._tracer.start_span(
                span.name,
                api.set_span_in_context(api.NonRecordingSpan(above)),
                self._kinds[span.kind],
                span.attributes,
                start_time=span.began * _NS,
            )
            if span.failure:
                made.set_status(api.StatusCode.ERROR, span.failure)
            made.end(max(ended, span.began) * _NS)

    def close(self) -> None:
        """Send what is left, for at most 3 s; blocks."""
        last = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(_STOP_S)

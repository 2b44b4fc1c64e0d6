"""Spans on their way out: with the ids and times that they were given, and no worker that hangs on a collector."""

from __future__ import annotations

import builtins
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from orchestrator.errors import UsageError
from orchestrator.observe.tracing import Span, Tracer
from tests.observe.collector import attributes, collector

TRACE, PARENT, OWN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00000000000000ff"
SPAN = Span("process events", "consumer", TRACE, OWN, PARENT, 1_000, {"messaging.kafka.offset": 7}, "handler_error")


def test_a_span_arrives_as_it_was_given() -> None:
    with collector() as found:
        tracer = Tracer(found.endpoint, "journeys", "w0")
        tracer.emit([SPAN], 1_500)
        tracer.close()
        (span,) = found.spans()
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (TRACE, OWN, PARENT)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_000_000_000, 1_500_000_000)
    assert (span.name, span.status.message) == ("process events", "handler_error")
    assert attributes(span) == {"messaging.kafka.offset": 7}
    assert found.services() == {"journeys w0"}


def test_a_collector_that_is_not_there_keeps_nobody_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens: each attempt is refused, or hangs
        tracer = Tracer(f"http://127.0.0.1:{taken.getsockname()[1]}/v1/traces", "journeys", "w0")
        tracer.emit([SPAN] * 5_000, 1_500)
        began = time.monotonic()
        tracer.close()
        assert time.monotonic() - began < 5


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return known(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError) as caught:
        Tracer("http://localhost:4318/v1/traces", "journeys", "w0")
    assert "journey-orchestrator[otel]" in (caught.value.next_step or "")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="localhost:4318"):
        Tracer("localhost:4318", "journeys", "w0")


def test_nothing_of_opentelemetry_is_imported_where_nobody_asks_for_traces() -> None:
    script = "import sys, orchestrator.stream.runner; print([n for n in sys.modules if n.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"

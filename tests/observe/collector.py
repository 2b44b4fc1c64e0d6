"""An OpenTelemetry collector that keeps what it is sent: OTLP over HTTP, on a free port."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


class Collector:
    """`requests` are the bodies as they came."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.endpoint = ""

    def spans(self) -> list[Any]:
        return [span for _, span in self._all()]

    def services(self) -> set[str]:
        return {f"{told['service.name']} {told['service.instance.id']}" for told, _ in self._all()}

    def _all(self) -> Iterator[tuple[dict[str, Any], Any]]:
        for body in self.requests:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    yield from ((attributes(resource.resource), span) for span in scope.spans)


def attributes(told: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    found = {}
    for each in told.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        found[each.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


@contextmanager
def collector() -> Iterator[Collector]:
    made = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.requests.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    made.endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
    yield made
    server.shutdown()
    server.server_close()

"""A registry that answers as a test tells it to."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any

from orchestrator.stream.registry import Registry, connect
from tests.wire.messages import SCHEMAS


class Stub:
    """Serves until it is closed; `asked` counts."""

    def __init__(self) -> None:
        self.answer: Callable[[], tuple[int, Any]] = lambda: (404, {"error_code": 40403, "message": "no such schema"})
        self.asked = 0
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stub.asked += 1
                status, found = stub.answer()
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def registry(self, **settings: str) -> Registry:
        return Registry(connect({"url": self.url, "max.retries": "0", "timeout": "0.5", **settings}), SCHEMAS, self.url)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

"""The worker's HTTP side: a small server in threads of its own. No client can keep the worker from its work, or keep others out.

One request a connection. A connection lives for seconds at most, however slowly its client sends or reads; of too many, the
oldest is closed. A request's head and body are bounded. Nothing of a request is ever logged.

Python's own server does for this: what uvicorn and starlette bring beyond it is not needed here, and uvicorn waits without end
for a head that never ends.
"""

from __future__ import annotations

import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Final

import orjson
from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.observe.callers import Caller, Right, who_calls
from orchestrator.observe.logs import logger

log = logger(__name__)

LOOPBACK: Final = "127.0.0.1"
LOCAL: Final = frozenset({LOOPBACK, "localhost", "::1"})
LIFE_S: Final = 10.0  # of a connection, from accept to close
CONNECTIONS: Final = 64
HEAD_BYTES: Final = 16_384
BODY_BYTES: Final = 4_096
_JSON: Final = "application/json"


class Request(Struct, frozen=True):
    """What was asked: the JSON object of the body, and who asks; None where anybody may."""

    body: Mapping[str, Any]
    caller: Caller | None


class Answer(Struct, frozen=True):
    """What is answered: a status, and a value as JSON or bytes as they are."""

    value: Any
    status: int = HTTPStatus.OK
    content_type: str = _JSON

    def encoded(self) -> bytes:
        """Give the body."""
        if isinstance(self.value, bytes):
            return self.value
        return orjson.dumps(self.value, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)


class Route(Struct, frozen=True):
    """What answers at a path. `right` is what the caller must have, None where anybody may ask."""

    answer: Callable[[Request], Answer]
    right: Right | None = None
    method: str = "GET"


class Tls(Struct, frozen=True):
    """Certificate and key of the server as files. With `client_ca`, clients may show a certificate that this authority signed."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Load the files. Raises UsageError."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.client_ca is not None:
                context.load_verify_locations(self.client_ca)
                # Asked for, not demanded: a probe has none. Who must show one is for the rights to say.
                context.verify_mode = ssl.CERT_OPTIONAL
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the certificate for HTTP cannot be used: {type(error).__name__}",
                where=str(self.certificate),
                next_step="http_certificate and http_key must be PEM files that belong together",
            ) from None
        return context


class Access(Struct, frozen=True):
    """How the server may be reached, and by whom."""

    callers: Sequence[Caller] = ()
    tls: Tls | None = None


def split_address(address: str) -> tuple[str, int]:
    """Give host and port of `host:port`, or of a port alone, which means this machine only. Raises ValueError."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or LOOPBACK, int(port)


def serve(address: str, routes: Mapping[str, Route], access: Access, setting: str = "http_address") -> str:
    """Serve routes from threads of their own for as long as the process lives; give the address in use.

    Port 0 takes a free one. Raises UsageError where the address is none or cannot be had, or state would be shown in the clear
    to other machines.
    """
    try:
        host, port = split_address(address)
        if access.callers and access.tls is None and host not in LOCAL:
            raise UsageError(
                "tokens and customers' values would go over the network in the clear", where=f"{setting}={address}",
                next_step="give http_certificate and http_key, or serve on 127.0.0.1 behind something that does TLS",
            )  # fmt: skip
        server = _Server((host, port), routes, access)
    except (ValueError, OverflowError, OSError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or "it is not host:port"
        raise UsageError(
            f"HTTP cannot be served: {why}", where=f"{setting}={address}", next_step="name a free port, such as 9400"
        ) from None
    Thread(target=server.serve_forever, name="http", daemon=True).start()
    bound = f"{address.rpartition(':')[0] or LOOPBACK}:{server.server_port}"
    log.info("http_served", address=bound, tls=access.tls is not None, callers=len(access.callers))
    return bound


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], routes: Mapping[str, Route], access: Access) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.routes, self.callers = routes, access.callers
        self.tls = access.tls.context() if access.tls is not None else None
        self._open: dict[int, tuple[float, socket.socket]] = {}  # by the time of acceptance, oldest first
        self._lock = Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking who the address belongs to: a name server may take its time."""
        # Else a worker that is started again finds its own port taken for a minute by connections that are over.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection; of too many, close the oldest, which is the slowest."""
        connection, address = self.socket.accept()
        connection.settimeout(LIFE_S)
        with self._lock:
            while len(self._open) >= CONNECTIONS:
                _shut(self._open.pop(next(iter(self._open)))[1])
            self._open[id(connection)] = (time.monotonic(), connection)
        return connection, address

    def service_actions(self) -> None:
        """Close what has lived for too long; called twice a second."""
        before = time.monotonic() - LIFE_S
        with self._lock:
            for name in [name for name, (since, _) in self._open.items() if since < before]:
                _shut(self._open.pop(name)[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in its own thread: the handshake too, which a client may draw out."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as wrapped:
            # Wrapping takes the descriptor over: from now on it is this one that must be closed in time.
            with self._lock:
                since, _ = self._open.get(id(request), (0.0, None))
                self._open[id(request)] = (since, wrapped)
            wrapped.do_handshake()
            super().finish_request(wrapped, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that is done."""
        with self._lock:
            self._open.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that broke off, or whose handshake failed, is no event of the worker's."""


def _shut(connection: socket.socket) -> None:
    try:
        # The plain one beneath TLS: saying goodbye could wait for the client.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return


class _TooLong(Exception):
    """The head or body of a request is longer than is taken."""


class _Bounded(io.RawIOBase):
    """Reads a connection up to a limit, and no further."""

    def __init__(self, raw: Any, limit: int) -> None:
        self._raw, self._left = raw, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise _TooLong
        view = memoryview(buffer)[: self._left]
        count = self._raw.readinto(view) or 0
        self._left -= count
        return int(count)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "orchestrator"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Bounded(self.connection.makefile("rb", buffering=0), HEAD_BYTES + BODY_BYTES), 1024)

    def handle(self) -> None:
        try:
            super().handle()
        except _TooLong:
            self._send(_refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request is too long"))

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request of HTTP without repeating any of it."""
        self._send(_refused(HTTPStatus(code), HTTPStatus(code).phrase))

    def log_message(self, *_: Any) -> None:
        """Log nothing: paths and headers are the client's words."""

    def _answer(self) -> None:
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            self._send(_refused(HTTPStatus.NOT_FOUND, "there is nothing here"))
        elif route.method != self.command:
            self._send(_refused(HTTPStatus.METHOD_NOT_ALLOWED, f"ask with {route.method}"))
        else:
            self._send(self._admitted(route))

    def _admitted(self, route: Route) -> Answer:
        caller = None
        if route.right is not None:
            certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            caller = who_calls(self.server.callers, self.headers.get("Authorization", ""), certificate)
            if caller is None:
                return _refused(HTTPStatus.UNAUTHORIZED, "this needs a token or a certificate of http_access_file")
            if route.right not in caller.rights:
                return _refused(HTTPStatus.FORBIDDEN, f"this needs the right {route.right}")
        try:
            body = self._body() if route.method == "POST" else {}
        except ValueError:
            return _refused(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
        try:
            return route.answer(Request(body, caller))
        except Exception as error:  # a thread's traceback would be lost, and could hold a customer's values
            log.error("http_answer_failed", error=type(error).__name__)
            return _refused(HTTPStatus.INTERNAL_SERVER_ERROR, "it could not be answered; the worker's log has the kind of error")

    def _body(self) -> Mapping[str, Any]:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 <= length <= BODY_BYTES:
            raise _TooLong
        found = orjson.loads(self.rfile.read(length) or b"{}")
        if not isinstance(found, dict):
            raise ValueError
        return found

    def _send(self, answer: Answer) -> None:
        body = answer.encoded()
        if self.request_version != "HTTP/0.9":
            self.send_response_only(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
        self.wfile.write(body)


def _refused(status: HTTPStatus, why: str) -> Answer:
    return Answer({"error": why}, status)

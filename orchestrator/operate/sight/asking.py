"""Asking workers over HTTP: with a token or a certificate, and over TLS wherever the way leaves this machine."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from msgspec import Struct

from orchestrator.errors import Unreachable, UsageError, WorkerRefuses
from orchestrator.observe.http import LOCAL, split_address
from orchestrator.settings import Settings

TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 64 << 20


class Asker(Struct, frozen=True):
    """Asks in the name of whom the settings say. Makes no connection before it is used."""

    token: str = ""
    tls: ssl.SSLContext | None = None

    def ask(self, address: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Give a worker's answer; with a body by POST. Blocks up to 10 s. Raises Unreachable, WorkerRefuses."""
        connection: http.client.HTTPConnection | None = None
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection = self._connection(address)
            method, content = ("GET", None) if body is None else ("POST", orjson.dumps(body))
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            found = orjson.loads(answer.read(_MOST_BYTES))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(
                f"the worker does not answer: {type(error).__name__}", where=address,
                next_step="is http_ca the authority that signed its certificate? Is it up, and reachable from here?",
            ) from None  # fmt: skip
        finally:
            if connection is not None:
                connection.close()
        if answer.status == HTTPStatus.OK:
            return found
        why = str(found.get("error", "")) if isinstance(found, dict) else ""
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise WorkerRefuses(why, where=address, next_step="name the file with your token: --set http_token_file=FILE")
        raise Unreachable(f"the worker does not say: {why}", where=address, next_step="ask again")

    def _connection(self, address: str) -> http.client.HTTPConnection:
        host, port = split_address(address)
        if self.tls is None and host in LOCAL:
            return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        return http.client.HTTPSConnection(
            host, port, timeout=TIMEOUT_S, context=self.tls or ssl.create_default_context()
        )  # fmt: skip


def asker(settings: Settings) -> Asker:
    """Read the files that the settings name. Raises UsageError."""
    token, tls = "", None
    try:
        if settings.http_token_file is not None:
            token = settings.http_token_file.read_text(encoding="utf-8").strip()
        if settings.http_ca is not None or settings.http_client_certificate is not None:
            tls = ssl.create_default_context(cafile=None if settings.http_ca is None else str(settings.http_ca))
            if settings.http_client_certificate is not None:
                tls.load_cert_chain(settings.http_client_certificate)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UsageError(
            f"a file for asking the workers cannot be used: {type(error).__name__}",
            where="http_token_file, http_ca, http_client_certificate",
        ) from None
    return Asker(token, tls)

"""Answers of a broker with another error in them, for the proxy's rules; kafka-python knows every version of their form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kafka.protocol.consumer
import kafka.protocol.producer  # noqa: F401 -- importing registers the messages
from kafka.protocol.api_header import ResponseClassRegistry

from tests.faults.proxy import Request


def with_error(code: int) -> Callable[[Request, bytes], bytes]:
    """Say this error wherever the answer has room for one: at its top, and for each topic and partition."""

    def change(request: Request, frame: bytes) -> bytes:
        kind = ResponseClassRegistry._response_class_registry[request.api]
        answer = kind.decode(frame, version=request.version, header=True)
        _mark(answer, code)
        changed: bytes = answer.encode(header=True)
        return changed

    return change


def _mark(part: Any, code: int) -> None:
    if isinstance(part, list):
        for each in part:
            _mark(each, code)
        return
    for name in getattr(part, "__slots__", ()):
        if name == "error_code":
            part.error_code = code
        elif isinstance(value := getattr(part, name, None), list):
            _mark(value, code)

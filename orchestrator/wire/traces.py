"""Traces on the wire: which one a record belongs to, and what an action says of it (W3C Trace Context, `traceparent`).

A span's id is a hash of what it is about, so the same record gives the same headers however often it is handled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final, TypeVar

from msgspec import Struct

from orchestrator.names import Header
from orchestrator.wire.framing import Headers

_FORM: Final = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1

Value = TypeVar("Value", bytes, bytes | None)


class Trace(Struct, frozen=True):
    """A trace that is recorded, and the span in it that sent the record; lower-case hex digits as in the header."""

    trace_id: str
    parent: str
    flags: str


def trace_of(headers: Headers | None) -> Trace | None:
    """Give the trace that a record belongs to: None where it has no `traceparent`, several, an odd one, or one not sampled."""
    found = [value for name, value in headers or () if name == Header.TRACEPARENT]
    if len(found) != 1 or found[0] is None:
        return None
    match = _FORM.fullmatch(found[0])
    if match is None or not int(match[3], 16) & _SAMPLED:
        return None
    trace_id, parent, flags = (part.decode() for part in match.groups())
    return Trace(trace_id, parent, flags)


def span_of(*words: str) -> str:
    """Give the id of the span about what these words name: 16 hex digits."""
    found = hashlib.blake2b("\x1f".join(words).encode(), digest_size=8).hexdigest()
    return found if int(found, 16) else "1".rjust(16, "0")


def span_of_action(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Give the id of an action's span: CloudEvents' source and id, which together name one command."""
    told = dict(headers)
    return span_of(*((told.get(name) or b"").decode(errors="replace") for name in (Header.CE_SOURCE, Header.CE_ID)))


def as_traced(headers: list[tuple[str, Value]]) -> list[tuple[str, Value]]:
    """Give an action's headers as a worker that exports spans writes them: its own span is the parent of what follows.

    Where there will be no span of it, the headers stay: what follows then hangs on whoever sent the event.
    """
    trace = trace_of(headers)
    if trace is None:
        return headers
    parent = f"00-{trace.trace_id}-{span_of_action(headers)}-{trace.flags}".encode()
    return [(name, parent if name == Header.TRACEPARENT else value) for name, value in headers]

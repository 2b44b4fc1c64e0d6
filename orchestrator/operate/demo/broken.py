"""Broken payloads, as real producers send them: one of every reason for which the gate refuses a record (rule B1).

`too_deep` is missing: no shipped schema nests, so nobody can nest too deep in one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from orchestrator.names import ACTION_OUTCOME, Reason
from orchestrator.operate.demo.cohort import START
from orchestrator.operate.demo.events import HOUR, utc_ms
from orchestrator.wire.lines import EventLine

Encode = Callable[[EventLine], bytes]
Headers = tuple[tuple[str, bytes | None], ...]

ROUNDS: Final = 2
_TOO_MANY_BYTES: Final = 1_000_001
_FAR_FUTURE: Final = utc_ms(2124, 1, 1)
_SINGLE_OBJECT: Final = 10  # bytes of C3 01 and the fingerprint before the Avro body


class Broken(Struct, frozen=True):
    """One record that is no event. `at` is its time in ms, `reason` the one of names.Reason that the gate must give."""

    key: bytes | None
    value: bytes | None
    at: int
    reason: str
    headers: Headers = ()


class _Samples:
    """Takes whole events apart."""

    def __init__(self, encode: Encode, number: int) -> None:
        self.customer = f"x{number:03d}"
        self.at = START + number * HOUR
        self._encode = encode

    def whole(self, event: str = "auth.login", data: dict[str, object] | None = None) -> bytes:
        fields = {"device": "web"} if data is None else data
        return self._encode(EventLine(self.at, self.customer, event, f"{self.customer}-{event}", fields))

    def record(self, value: bytes | None, reason: str) -> Broken:
        return Broken(self.customer.encode(), value, self.at, reason)


def _unreadable(sample: _Samples) -> list[Broken]:
    """What is not Avro, or not whole."""
    whole = sample.whole()
    frame, body = whole[:_SINGLE_OBJECT], whole[_SINGLE_OBJECT:]
    return [
        sample.record(b'{"event": "auth.login", "device": "web"}', Reason.NOT_AVRO),
        sample.record(b"", Reason.NOT_AVRO),
        sample.record(b"\xc3\x01" + bytes.fromhex("0123456789abcdef") + body, Reason.UNKNOWN_SCHEMA),
        sample.record(b"\x00\x00\x00\x30\x39" + body, Reason.UNKNOWN_SCHEMA),
        sample.record(whole[:-2], Reason.TRUNCATED),
        sample.record(whole[:6], Reason.TRUNCATED),
        sample.record(whole + b"\x00\x00", Reason.TRAILING_BYTES),
        # An event id of two bytes that are no UTF-8.
        sample.record(frame + b"\x04\xff\xfe" + body, Reason.UNDECODABLE),
        # The last byte says which branch of ["null", "string"] follows: there is no tenth.
        sample.record(sample.whole("account.closed", {})[:-1] + b"\x12", Reason.UNDECODABLE),
    ]


def _misplaced(sample: _Samples) -> list[Broken]:
    """What is good Avro in a bad record."""
    whole = sample.whole()
    outcome = sample.whole(ACTION_OUTCOME, {"action_id": "none", "status": "delivered"})
    return [
        sample.record(None, Reason.NO_VALUE),
        Broken(None, whole, sample.at, Reason.KEY_ABSENT),
        Broken(b"", whole, sample.at, Reason.KEY_ABSENT),
        Broken(b"somebody-else", whole, sample.at, Reason.KEY_MISMATCH),
        Broken(sample.customer.encode(), whole, _FAR_FUTURE, Reason.TIME_ABSURD),
        sample.record(outcome, Reason.NOT_DECLARED),
    ]


def _oversized(sample: _Samples) -> list[Broken]:
    """What is bigger than anybody needs."""
    return [
        sample.record(sample.whole(data={"device": "w" * _TOO_MANY_BYTES}), Reason.TOO_LARGE),
        Broken(sample.customer.encode(), sample.whole(), sample.at, Reason.TOO_LARGE, (("x-debug", b"d" * 20_000),)),
    ]


def broken(encode: Encode) -> list[Broken]:
    """Give the broken records in time order, within the cohort's first days.

    `encode` gives an event's bytes as Avro single object, as `orchestrator.wire` writes them without a registry.
    """
    found: list[Broken] = []
    for number in range(ROUNDS):
        found += _unreadable(_Samples(encode, 3 * number + 1))
        found += _misplaced(_Samples(encode, 3 * number + 2))
    found += _oversized(_Samples(encode, 3 * ROUNDS + 1))
    return found

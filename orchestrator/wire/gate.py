"""The gate: a Kafka message becomes a Record, or a Refusal that turns into an incident. It never raises for data (rule B1).

What every message is checked for: a value, its size, its headers' size, the key, the time, the frame, a schema that somebody
knows, an event type that streams.yaml lists for the topic. A message of a type that nobody hears stops there: it costs look-ups,
its body is not decoded, and so damage inside such a body is not noticed. Of all others no byte may be missing or left over, and
`customer_id` must be the key. Fields that no journey reads are stepped over (`wire.skimming`), so text in them need not be
UTF-8. fastavro is lenient in two points that harm nobody: numbers in more bytes than they need, and negative branch numbers,
which count from the end.

Cost of a purchase.made, all included: 5 us, 0.6 us where nobody hears it. fastavro's C reader takes 2.6 us of it; a decoder in
plain Python, compiled for the schema, took 3.2 us for the whole record and was rejected for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Final, Protocol

from orchestrator.engine.record import Record
from orchestrator.language.model import Streams
from orchestrator.names import Header, Reason, Stage
from orchestrator.structs import Frozen
from orchestrator.wire import framing
from orchestrator.wire.routing import carried_types
from orchestrator.wire.schemas import EventType, SchemaSet, SchemaSource
from orchestrator.wire.skimming import Skim

_DAY_MS: Final = 86_400_000
_CLOUD_EVENT_IDENTITY: Final = frozenset({Header.CE_ID, Header.CE_SOURCE})
_NO_TIMESTAMP: Final = 0  # confluent_kafka.TIMESTAMP_NOT_AVAILABLE


class Message(Protocol):
    """What the gate reads of a confluent_kafka.Message."""

    def topic(self) -> str: ...  # noqa: D102
    def partition(self) -> int: ...  # noqa: D102
    def offset(self) -> int: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102
    def headers(self) -> list[tuple[str, bytes | None]] | None: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102


class Refusal(Frozen, frozen=True):
    """Why a message is no event. `reason` is one of names.Reason; `message` holds nothing of its contents."""

    reason: str
    message: str
    schema_id: str = ""
    stage: str = "gate"


# What becomes of a record that ended the process. Replay makes the same of it: `incidents.deadly_record` tells which they were.
DEADLY: Final = Refusal(
    Reason.CRASHED_WORKER, "handling the record ended the process, several times over", stage=Stage.QUARANTINE
)


class GateLimits(Frozen, frozen=True):
    """What a message may be, at most."""

    value_bytes: int = 1_000_000
    key_bytes: int = 1_024
    headers: int = 64
    header_bytes: int = 16_384
    ahead_ms: int = _DAY_MS


DEFAULT_LIMITS: Final = GateLimits()


class _Refused(Exception):
    """Carries a refusal from a check to `admit_all`."""

    def __init__(self, reason: str, message: str, schema_id: str = "") -> None:
        self.refusal = Refusal(reason, message, schema_id)


class Gate:
    """Decides what enters the engine. Immutable but for its look-up cache: one for a worker, a new one for a new program."""

    def __init__(
        self,
        schemas: SchemaSet,
        streams: Streams,
        hears: Callable[[str], bool],
        limits: GateLimits = DEFAULT_LIMITS,
        registry: SchemaSource | None = None,
        reads: Callable[[str], frozenset[str] | None] = lambda _: None,
    ) -> None:
        """`hears` tells whether anybody cares about an event type, `reads` which fields of its payload, None for all.

        `registry` knows ids and GUIDs, None where there is none.
        """
        self._schemas = schemas
        self._reads = reads
        self._registry = registry
        self._hears = hears
        self._limits = limits
        self._carried = carried_types(streams, schemas.types)
        # What stands before the body, as in the value, to what it means on this topic. Only what was found is kept.
        self._frames: dict[str, dict[bytes, _Route]] = {topic: {} for topic in self._carried}

    def admit(self, message: Message, now_ms: int) -> Record | Refusal | None:
        """Give the record, or why it is none; None for one of a type that nobody hears. `now_ms` is the wall clock."""
        return self.admit_all((message,), now_ms)[0]

    def admit_all(self, messages: Sequence[Message], now_ms: int) -> list[Record | Refusal | None]:
        """Do the same for messages of one topic, one or more. Each is spared what is the same for all of them."""
        limits, topic = self._limits, messages[0].topic()
        routes, latest, most, key_bytes = self._frames.get(topic), now_ms + limits.ahead_ms, limits.value_bytes, limits.key_bytes
        admitted: list[Record | Refusal | None] = []
        for message in messages:
            try:
                value, headers = message.value(), message.headers()
                if value is None or headers or len(value) > most:
                    value = _checked(value, headers, limits)
                customer = _customer(message.key(), key_bytes)
                source, time = message.timestamp()
                if source == _NO_TIMESTAMP or time < 0 or time > latest:
                    raise _Refused(Reason.TIME_ABSURD, "the record's time is absent, before 1970 or too far ahead of the clock")
                route = None
                if routes and (not headers or framing.guid_header(headers) is None):
                    route = routes.get(value[:10]) or routes.get(value[:5])
                if route is None:
                    route = self._look_up(topic, value, headers)
                admitted.append(_decode(route, value, customer, time, message) if route.is_heard else None)
            except _Refused as refused:
                admitted.append(refused.refusal)
        return admitted

    def _look_up(self, topic: str, value: bytes, headers: framing.Headers | None) -> _Route:
        routes = self._frames.get(topic)
        if routes is None:
            raise _Refused(Reason.NOT_DECLARED, "streams.yaml does not name this topic")
        try:
            ref = framing.read_frame(value, headers)
        except framing.NotFramed as error:
            raise _Refused(Reason.TRUNCATED if error.is_short else Reason.NOT_AVRO, str(error)) from None
        event = self._schemas.resolve(ref)
        if event is None and self._registry is not None:
            event = self._registry.resolve(ref)
        if event is None:
            raise _Refused(Reason.UNKNOWN_SCHEMA, f"no schema with this {ref.kind} is known", str(ref))
        if event.type not in self._carried[topic]:
            raise _Refused(Reason.NOT_DECLARED, f"streams.yaml does not list {event.type} for this topic", str(ref))
        wanted = self._reads(event.type)
        route = _Route(event, self._hears(event.type), ref.body, str(ref), None if wanted is None else event.skim(wanted))
        if ref.kind != "guid":
            routes[value[: ref.body]] = route
        return route


class _Route:
    """What a frame means on a topic. `skim` reads what is wanted of the payload, None where that is all of it."""

    __slots__ = ("body", "event", "is_heard", "schema_id", "skim")

    def __init__(self, event: EventType, is_heard: bool, body: int, schema_id: str, skim: Skim | None) -> None:
        self.event = event
        self.is_heard = is_heard
        self.body = body
        self.schema_id = schema_id
        self.skim = skim


def _checked(value: bytes | None, headers: framing.Headers | None, limits: GateLimits) -> bytes:
    """Give the value where it and the headers are of a size that is taken."""
    if value is None:
        raise _Refused(Reason.NO_VALUE, "the record has no value: a tombstone means nothing on an event topic")
    if len(value) > limits.value_bytes:
        raise _Refused(Reason.TOO_LARGE, f"the value has {len(value)} bytes; at most {limits.value_bytes} are taken")
    if headers:
        _check_headers(headers, limits)
    return value


def _check_headers(headers: framing.Headers, limits: GateLimits) -> None:
    if len(headers) > limits.headers:
        raise _Refused(Reason.TOO_LARGE, f"the record has {len(headers)} headers; at most {limits.headers} are taken")
    size = sum(len(name) + len(value or b"") for name, value in headers)
    if size > limits.header_bytes:
        raise _Refused(Reason.TOO_LARGE, f"the headers have {size} bytes; at most {limits.header_bytes} are taken")


def _customer(key: bytes | None, limit: int) -> str:
    if not key:
        raise _Refused(Reason.KEY_ABSENT, "the record has no key; it must be the customer id")
    if len(key) > limit:
        raise _Refused(Reason.TOO_LARGE, f"the key has {len(key)} bytes; at most {limit} are taken")
    if key[0] == 0:
        raise _Refused(Reason.KEY_MISMATCH, "the key begins with U+0000: such keys are the engine's own, no customer id does so")
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise _Refused(Reason.KEY_MISMATCH, "the key is not UTF-8 text, so it cannot equal customer_id") from None


def _decode(route: _Route, value: bytes, customer: str, time: int, message: Message) -> Record:
    event_id = ""
    if route.skim is not None:
        try:
            event_id, customer_id, occurred_at, payload, end = route.skim(value, route.body)
            if end != len(value) or customer_id != customer:
                event_id = ""
        except Exception:  # noqa: S110 - see below
            pass
    if not event_id:  # whatever was odd about it: what this makes of the record counts
        event_id, occurred_at, payload = _decode_whole(route, value, customer, message)
    return Record(
        route.event.type, customer, event_id, time, payload,
        message.topic(), message.partition(), message.offset(), occurred_at, route.schema_id,
    )  # fmt: skip


def _decode_whole(route: _Route, value: bytes, customer: str, message: Message) -> tuple[str, int, dict[str, Any]]:
    body = BytesIO(value)
    body.seek(route.body)
    try:
        event_id, customer_id, occurred_at, payload = route.event.decode(body)
    except Exception as error:
        raise _undecodable(error, body, value, route.schema_id) from None
    if body.tell() != len(value):
        raise _Refused(Reason.TRAILING_BYTES, "bytes follow the end of the record", route.schema_id)
    if customer_id != customer:
        raise _Refused(Reason.KEY_MISMATCH, "the key does not equal customer_id", route.schema_id)
    return event_id or _header_id(message.headers()), occurred_at, payload


def _undecodable(error: Exception, body: BytesIO, value: bytes, schema_id: str) -> _Refused:
    """Tell what a decoder's exception means. Its text may hold a part of the value, so only its type is kept."""
    # fastavro says EOFError for a value that ends within a text or between fields, IndexError for one that ends within a number,
    # whose last byte then promises another; it says IndexError for a branch that a union lacks, too.
    is_cut_number = isinstance(error, IndexError) and body.tell() == len(value) and value[-1] & 0x80
    if isinstance(error, EOFError) or is_cut_number:
        return _Refused(Reason.TRUNCATED, "the value ends within the record", schema_id)
    if isinstance(error, RecursionError):
        return _Refused(Reason.TOO_DEEP, "the record is nested too deep", schema_id)
    return _Refused(Reason.UNDECODABLE, f"the value does not fit its schema: {type(error).__name__}", schema_id)


def _header_id(headers: framing.Headers | None) -> str:
    """Give the CloudEvents id for producers that carry it nowhere else, with its source: ids are unique only within one."""
    found = {name: value.decode(errors="replace") for name, value in headers or () if value and name in _CLOUD_EVENT_IDENTITY}
    event_id, source = found.get(Header.CE_ID, ""), found.get(Header.CE_SOURCE, "")
    return f"{source}#{event_id}" if source and event_id else event_id

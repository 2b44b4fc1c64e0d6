"""Incidents on the wire: dead letters with the original untouched, and what the engine wants an operator to see.

Key, value and headers are the source record's own; what happened stands in further headers, in the shape of KIP-1034 where that
has a name and under `orchestrator.` where it has none. No header holds anything of the record's contents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import orjson

from orchestrator.engine.handling import Handling
from orchestrator.engine.outputs import Incident
from orchestrator.names import Header, Reason, Stage
from orchestrator.wire.gate import DEFAULT_LIMITS, Message, Refusal
from orchestrator.wire.stops import Stop

KeyValueHeaders = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]

Place = tuple[str, int, int]  # topic, partition, offset

_NO_TIMESTAMP: Final = 0  # confluent_kafka.TIMESTAMP_NOT_AVAILABLE


def incident_from_refusal(
    message: Message, refusal: Refusal, app: str, version: str, limit: int = DEFAULT_LIMITS.value_bytes
) -> KeyValueHeaders:
    """Give (key, value, headers) for what the gate refused. `limit` is the most bytes of the value that are kept."""
    key, value, headers = _original(message, limit)
    headers += _context(refusal.reason, refusal.message, refusal.stage, app, version)
    headers += _origin(message, _position(message))
    if refusal.schema_id:
        headers.append((Header.SCHEMA_ID, refusal.schema_id.encode()))
    headers.append((Header.SEVERITY, b"error"))
    return key, value, headers


def incident_from_engine(
    incident: Incident, handling: Handling, index: int, message: Message | None, app_version: tuple[str, str]
) -> KeyValueHeaders:
    """Give (key, value, headers) for an incident of the engine.

    `index` counts the incidents of the handling from 0, `message` is the record at hand, `app_version` are the app's name and the
    program's version. A timer's incident has nothing to do with the record at hand: its value is a small JSON document.
    """
    app, version = app_version
    if message is not None and handling.event:
        key, value, headers = _original(message, DEFAULT_LIMITS.value_bytes)
        origin = _origin(message, f"{_position(message)}/{index}")
    else:
        key, value, headers = handling.customer.encode(), _document(incident, handling), []
        subject = incident.instance or incident.journey or "customer"
        origin = [(Header.INCIDENT_ID, f"{subject}@{handling.at}/{index}".encode())]
    headers += _context(incident.reason, incident.message, incident.stage, app, version) + origin
    if incident.journey:
        headers.append((Header.JOURNEY, incident.journey.encode()))
        headers.append((Header.JOURNEY_VERSION, str(incident.version).encode()))
    if incident.step:
        headers.append((Header.STEP, incident.step.encode()))
    headers.append((Header.SEVERITY, incident.severity.encode()))
    return key, value, headers


def incident_from_stop(stop: Stop, version: str) -> KeyValueHeaders:
    """Give (key, value, headers) of the alert that a partition was stopped. Its value is a small JSON document.

    It is of the worker, not of a record or a customer: the journal does not count it, replay does not make it (`is_of_breaker`).
    """
    text = f"more than {stop.incidents} records became incidents within {stop.window} offsets: the partition stands still"
    headers = _context(Reason.PARTITION_STOPPED, text, Stage.BREAKER, stop.app, version)
    headers.append((Header.INCIDENT_ID, f"{stop.topic}-{stop.partition}-{stop.offset}/stopped".encode()))
    headers.append((Header.SEVERITY, b"critical"))
    return None, msgspec.json.encode({"reason": Reason.PARTITION_STOPPED, "message": text, **msgspec.to_builtins(stop)}), headers


def is_of_breaker(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Tell whether an incident is the alert that a partition was stopped."""
    return dict(headers).get(Header.INCIDENT_STAGE) == Stage.BREAKER.encode()


def incident_timestamp(message: Message, refusal: Refusal, now_ms: int) -> int:
    """Give the record time of an incident: the original one, or `now_ms` where brokers might not take that one.

    A broker refuses a record ahead of its clock (an hour, by default), and the whole transaction fails with it; the original time
    stands in a header in any case.
    """
    source, time = message.timestamp()
    return time if source != _NO_TIMESTAMP and 0 <= time <= now_ms else now_ms


def deadly_record(headers: Sequence[tuple[str, bytes | None]]) -> Place | None:
    """Give topic, partition and offset where an incident is of a record that ended processes; None for any other incident.

    Whoever replays a partition must not handle these: `gate.DEADLY` is what became of them.
    """
    return refused_record(headers, Reason.CRASHED_WORKER)


def refused_record(headers: Sequence[tuple[str, bytes | None]], reason: str) -> Place | None:
    """Give topic, partition and offset where an incident is of a record that was refused for this reason; else None."""
    told = dict(headers)  # the last of a name: a record's own headers stand before ours, and may be called anything
    if told.get(Header.INCIDENT_REASON) != reason.encode():
        return None
    topic, partition, offset = (told[n] or b"" for n in (Header.ERROR_TOPIC, Header.ERROR_PARTITION, Header.ERROR_OFFSET))
    return topic.decode(), int(partition), int(offset)


def _position(message: Message) -> str:
    return f"{message.topic()}-{message.partition()}-{message.offset()}"


def _original(message: Message, limit: int) -> KeyValueHeaders:
    """Give the original; where a part is beyond what a topic takes, its beginning, with the digest of the whole value."""
    key, value = message.key(), message.value()
    headers = list(message.headers() or [])
    cut: list[str] = []
    whole = value
    if value is not None and len(value) > limit:
        value = value[:limit]
        cut.append("value")
    if key is not None and len(key) > DEFAULT_LIMITS.key_bytes:
        key = key[: DEFAULT_LIMITS.key_bytes]
        cut.append("key")
    kept = _headers_that_fit(headers)
    if len(kept) < len(headers):
        headers = kept
        cut.append("headers")
    if cut:
        headers.append((Header.TRUNCATED, ",".join(cut).encode()))
        headers.append((Header.SHA256, hashlib.sha256(whole or b"").hexdigest().encode()))
    return key, value, headers


def _headers_that_fit(headers: list[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    kept, size = [], 0
    for name, value in headers[: DEFAULT_LIMITS.headers]:
        size += len(name) + len(value or b"")
        if size > DEFAULT_LIMITS.header_bytes:
            break
        kept.append((name, value))
    return kept


def _origin(message: Message, incident_id: str) -> list[tuple[str, bytes | None]]:
    return [
        (Header.INCIDENT_ID, incident_id.encode()),
        (Header.ERROR_TOPIC, message.topic().encode()),
        (Header.ERROR_PARTITION, str(message.partition()).encode()),
        (Header.ERROR_OFFSET, str(message.offset()).encode()),
        (Header.SOURCE_TIMESTAMP, str(message.timestamp()[1]).encode()),
    ]


def _context(reason: str, text: str, stage: str, app: str, version: str) -> list[tuple[str, bytes | None]]:
    return [
        (Header.ERROR_EXCEPTION, f"orchestrator.{reason}".encode()),
        (Header.ERROR_MESSAGE, text.encode()),
        (Header.INCIDENT_REASON, reason.encode()),
        (Header.INCIDENT_STAGE, stage.encode()),
        (Header.APP, app.encode()),
        (Header.APP_VERSION, version.encode()),
    ]


def _document(incident: Incident, handling: Handling) -> bytes:
    found = {
        "reason": incident.reason,
        "message": incident.message,
        "customer": handling.customer,
        "at": handling.at,
        "journey": incident.journey,
        "version": incident.version,
        "instance": incident.instance,
        "step": incident.step,
        "severity": incident.severity,
    }
    return orjson.dumps({name: value for name, value in found.items() if value not in ("", 0)})

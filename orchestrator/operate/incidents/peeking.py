"""A look into the record that an incident carries: decoded as far as it goes, its values masked unless they are asked for."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Final

import fastavro

from orchestrator.engine.portrait import MASK
from orchestrator.errors import Unreachable
from orchestrator.operate.incidents.incident import HeaderList, Incident
from orchestrator.wire import framing
from orchestrator.wire.schemas import EventType, SchemaSource
from orchestrator.wire.shape import names_in
from orchestrator.wire.values import Convert, conversion

_SHOWN_BYTES: Final = 64


def peek(incident: Incident, schemas: SchemaSource, *, reveal: bool = False) -> dict[str, Any]:
    """Give what is known of the original record, fit for JSON: key, headers, size, and what its value is or looks like."""
    value = incident.value
    found: dict[str, Any] = {
        "key": _text(incident.key, reveal),
        "headers": {name: _text(each, reveal) for name, each in incident.headers},
        "bytes": None if value is None else len(value),
    }
    if value is not None:
        found |= _value(value, incident.headers, schemas, reveal) if incident.is_of_a_record else _json(value, reveal)
    return found


def _text(value: bytes | None, reveal: bool) -> str | None:
    if value is None:
        return None
    return value.decode(errors="backslashreplace") if reveal else MASK


def _value(value: bytes, headers: HeaderList, schemas: SchemaSource, reveal: bool) -> dict[str, Any]:
    try:
        ref = framing.read_frame(value, headers)
    except framing.NotFramed as error:
        return {"looks_like": _likeness(value), "damage": str(error), **_beginning(value, reveal)}
    try:
        event, why = schemas.resolve(ref), "which nobody here knows"
    except Unreachable as error:
        event, why = None, f"which is not to be had: {error.what}"
    if event is None:
        return {"looks_like": f"Avro of the schema with {ref.kind} {ref}, {why}", **_beginning(value, reveal)}
    fields, damage = _fields(event, value, ref.body)
    return {
        "event": event.type,
        "version": event.version,
        "fields": fields if reveal else dict.fromkeys(fields, MASK),
        **({"damage": damage} if damage else {}),
    }


def _fields(event: EventType, value: bytes, start: int) -> tuple[dict[str, Any], str]:
    """Read as many of the first fields as can be read; give them, fit for JSON, and what stopped the reading."""
    writer, names, damage = event.writer, names_in(event.schema), ""
    fields, types = writer["fields"], {each["name"]: each["type"] for each in event.schema["fields"]}
    for count in range(len(fields), 0, -1):
        body = BytesIO(value)
        body.seek(start)
        try:
            found: Any = fastavro.schemaless_reader(body, {**writer, "fields": fields[:count]}, None)
            plain = {name: _plain(each, conversion(types[name], names)) for name, each in found.items()}
        except Exception as error:  # whatever the bytes are: one field less
            damage = f"{type(error).__name__} in field {fields[count - 1]['name']}"
            continue
        left = len(value) - body.tell()
        return plain, damage or (f"{left} bytes follow the record's end" if left else "")
    return {}, damage


def _plain(value: Any, convert: Convert | None) -> Any:
    return _without_bytes(value if convert is None else convert(value))


def _without_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, list):
        return [_without_bytes(each) for each in value]
    return {name: _without_bytes(each) for name, each in value.items()} if isinstance(value, dict) else value


def _likeness(value: bytes) -> str:
    """Say what bytes that are no Avro look like, since the producer's mistake is most often this one."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if isinstance(found, dict | list):
        return "JSON: the producer writes JSON where Avro is expected"
    return "text" if value.isascii() else "bytes of no known form"


def _beginning(value: bytes, reveal: bool) -> dict[str, Any]:
    return {"begins": value[:_SHOWN_BYTES].hex(" ")} if reveal else {}


def _json(value: bytes, reveal: bool) -> dict[str, Any]:
    """What the worker wrote itself, for want of a record: a small JSON document."""
    try:
        found = json.loads(value)
    except ValueError:
        return {"looks_like": _likeness(value)}
    shown = {name: each if reveal or name not in {"customer", "key"} else MASK for name, each in found.items()}
    return {"document": shown}
